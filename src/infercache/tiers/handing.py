"""How live values are handed out: as they are, as copies, or as read-only views."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from typing import Any

from infercache.errors import SettingError

Handing = Callable[[Any], Any]


def handing(mode: str) -> Handing | None:
    """Return what to apply to a value that leaves the memory tier, or None for nothing.

    Args:
        mode: "none" hands out the object itself: fastest, and whoever changes it changes it
            for everybody. "copy" hands out a deep copy. "readonly" hands out containers anew
            with arrays as read-only views; tensors, which know no read-only flag, as copies.

    Raises:
        SettingError: another mode.
    """
    modes: dict[str, Handing | None] = {"none": None, "copy": _copy, "readonly": _readonly}
    if mode not in modes:
        raise SettingError(f"copy={mode!r} is not one of {', '.join(map(repr, modes))}")
    return modes[mode]


def _copy(value: Any) -> Any:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return value.detach().clone()
    return copy.deepcopy(value)


def _readonly(value: Any) -> Any:
    if isinstance(value, (str, bytes, int, float, complex, type(None))):
        return value
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray):
        view = value.view()
        view.flags.writeable = False
        return view
    if type(value) is dict:
        return {key: _readonly(part) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_readonly(part) for part in value)
    return _copy(value)
