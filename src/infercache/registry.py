"""Names that settings may use, and the class behind each, loaded when first used."""

from __future__ import annotations

import difflib
import importlib
from typing import Any

from infercache.errors import MissingExtraError, SettingError


class Registry:
    """Maps names to "module:Class". Thread-safe after import; `register` is meant for start-up.

    Args:
        kind: What the names stand for, in singular ("store", "policy", "codec").
        targets: Name to "module:Class".
        extras: Name to the extra that brings its driver.
    """

    def __init__(
        self, kind: str, targets: dict[str, str], extras: dict[str, str] | None = None
    ) -> None:
        self.kind = kind
        self._targets: dict[str, Any] = dict(targets)
        self._extras = dict(extras or {})

    def names(self) -> list[str]:
        """Return the known names, sorted."""
        return sorted(self._targets)

    def __contains__(self, name: object) -> bool:
        return name in self._targets

    def register(self, name: str, target: Any) -> None:
        """Add a name: `target` is "module:Class" or the object itself.

        Raises:
            SettingError: the name is taken by another target.
        """
        if self._targets.get(name, target) != target:
            raise SettingError(f"{self.kind} {name!r} is registered already; choose another name")
        self._targets[name] = target

    def load(self, name: str) -> Any:
        """Return what stands behind a name, importing it if need be.

        Raises:
            SettingError: unknown name; the message lists the known ones and the nearest.
            MissingExtraError: its driver is not installed.
        """
        if name not in self._targets:
            raise SettingError(self.unknown(name))
        target = self._targets[name]
        if not isinstance(target, str):
            return target
        module, _, attribute = target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            if name not in self._extras or (error.name or "").startswith("infercache"):
                raise
            raise MissingExtraError(
                f"{self.kind.capitalize()} {name!r} needs an extra: "
                f"pip install 'infercache[{self._extras[name]}]'"
            ) from error

    def unknown(self, name: object) -> str:
        """Return the sentence for a name that is not known."""
        near = difflib.get_close_matches(str(name), self._targets, n=1, cutoff=0.5)
        guess = f" (did you mean {near[0]!r}?)" if near else ""
        return f"unknown {self.kind} {name!r}{guess}; known: {', '.join(self.names())}"
