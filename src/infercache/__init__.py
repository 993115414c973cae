"""infercache: lets machine-learning models skip the work that they have already done.

Names are loaded when first used: importing the package does nothing else, and brings in
neither torch nor a driver.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infercache import errors, llm
    from infercache.assemble import open_cache as open  # noqa: A004
    from infercache.cache import Cache
    from infercache.clock import ManualClock
    from infercache.codecs.registry import CODECS, make_codec
    from infercache.entry import Entry
    from infercache.errors import InfercacheError, InfercacheWarning
    from infercache.events import Event
    from infercache.explain import Explanation
    from infercache.guards.base import Terms
    from infercache.key import Key
    from infercache.keys.files import File
    from infercache.keys.registry import register_key
    from infercache.keys.space import KeySpace
    from infercache.namespace import Namespace
    from infercache.policies import POLICIES
    from infercache.policies.base import Policy
    from infercache.reuse.datasets import CachedDataset
    from infercache.simulate.replay import replay
    from infercache.stats import Stats
    from infercache.tiers.specs import Disk, Memory, SharedMemory

__version__ = "0.1.0"

_WHERE = {
    "CODECS": "infercache.codecs.registry",
    "Cache": "infercache.cache",
    "CachedDataset": "infercache.reuse.datasets",
    "Disk": "infercache.tiers.specs",
    "Entry": "infercache.entry",
    "Event": "infercache.events",
    "Explanation": "infercache.explain",
    "File": "infercache.keys.files",
    "InfercacheError": "infercache.errors",
    "InfercacheWarning": "infercache.errors",
    "Key": "infercache.key",
    "KeySpace": "infercache.keys.space",
    "ManualClock": "infercache.clock",
    "Memory": "infercache.tiers.specs",
    "Namespace": "infercache.namespace",
    "POLICIES": "infercache.policies",
    "Policy": "infercache.policies.base",
    "SharedMemory": "infercache.tiers.specs",
    "Stats": "infercache.stats",
    "Terms": "infercache.guards.base",
    "make_codec": "infercache.codecs.registry",
    "register_key": "infercache.keys.registry",
    "replay": "infercache.simulate.replay",
}
_MODULES = ("errors", "llm")
_RENAMED = {"open": ("infercache.assemble", "open_cache")}

__all__ = [  # noqa: RUF022 - grouped as users meet them
    "Cache",
    "Memory",
    "SharedMemory",
    "Disk",
    "open",
    "Namespace",
    "Terms",
    "Key",
    "KeySpace",
    "File",
    "register_key",
    "Entry",
    "Stats",
    "Explanation",
    "Event",
    "ManualClock",
    "Policy",
    "POLICIES",
    "CODECS",
    "make_codec",
    "CachedDataset",
    "replay",
    "llm",
    "errors",
    "InfercacheError",
    "InfercacheWarning",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value: Any = importlib.import_module(f"infercache.{name}")
    elif name in _RENAMED:
        module, attribute = _RENAMED[name]
        value = getattr(importlib.import_module(module), attribute)
    elif name in _WHERE:
        value = getattr(importlib.import_module(_WHERE[name]), name)
    else:
        raise AttributeError(f"module 'infercache' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
