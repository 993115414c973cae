"""Settings to cache: the only wiring."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from infercache.cache import Cache
from infercache.errors import MissingExtraError, SettingError
from infercache.settings import Resolved, resolve
from infercache.tiers.specs import Disk, Memory, SharedMemory

_TIERS: dict[str, Callable[..., Memory | SharedMemory | Disk]] = {
    "memory": Memory,
    "shared_memory": SharedMemory,
    "disk": Disk,
}


def open_cache(path: str | os.PathLike[str] | None = None, **overrides: Any) -> Cache:
    """Return the cache that arguments, environment, settings file and defaults describe.

    Without any settings: 1 GB of memory, and 10 GB on disk in the user's cache directory.

    Args:
        path: The settings file; None for the one that `INFERCACHE_CONFIG` names, or
            `infercache.toml` in the working directory if there is one.
        **overrides: Settings by flat name, such as `memory_capacity="2GB"` or `ttl_s="7d"`;
            docs/reference/settings.md lists them.

    Raises:
        SettingError: a setting that cannot be used; says which and where it came from.
        StoreError: a directory holds something that infercache did not write.
    """
    return build_cache(resolve(path, overrides))


def build_cache(settings: Resolved) -> Cache:
    """Return the cache that resolved settings describe.

    Raises:
        SettingError: no tier is enabled, or a name that is not registered.
    """
    specs = build_tiers(settings)
    if not specs:
        raise SettingError(
            "memory.enabled, shared_memory.enabled and disk.enabled are all false: "
            "a cache needs at least one tier"
        )
    own = settings.section("")
    cache = {name: own.pop(name) for name in ("scope", "digest", "secret")}
    return Cache(*specs, **cache, **own)


def build_tiers(settings: Resolved) -> list[Memory | SharedMemory | Disk]:
    """Return the specs of the enabled tiers, fastest first.

    Raises:
        SettingError: a policy or codec that is not registered; says where its name came from.
    """
    return [_build_tier(name, settings) for name in _TIERS if settings[f"{name}.enabled"]]


def directories(settings: Resolved) -> Mapping[str, Path]:
    """Return the directory of each enabled tier that has one."""
    specs = build_tiers(settings)
    return {spec.name: spec.directory() for spec in specs if not isinstance(spec, Memory)}


def default_directory() -> Path:
    """Return where the disk tier is if no setting says otherwise."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "infercache"


def _build_tier(name: str, settings: Resolved) -> Memory | SharedMemory | Disk:
    fields = settings.section(name)
    del fields["enabled"]
    if name == "disk" and fields["path"] is None:
        fields["path"] = default_directory()
    for field in ("policy", "codec"):
        if field in fields:
            _check_named(name, field, fields, settings)
    return _TIERS[name](**fields)


def _check_named(tier: str, field: str, fields: Mapping[str, Any], settings: Resolved) -> None:
    """Try a registered name by itself, so that the error says where the name came from."""
    probe: dict[str, Any] = {"path": fields["path"]} if "path" in fields else {}
    try:
        _TIERS[tier](**probe, **{field: fields[field]})
    except MissingExtraError:
        raise
    except SettingError as error:
        sentence = str(error).removeprefix(f"{tier}.{field}: ").removeprefix(f"{field}: ")
        raise settings.complain(f"{tier}.{field}", sentence) from error
