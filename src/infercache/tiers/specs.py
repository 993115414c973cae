"""What users write to describe a tier; opening it is a separate step, so that specs travel.

A spec is immutable and picklable: a cache that is sent to another process opens its tiers
there anew.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from infercache.clock import Clock
from infercache.codecs.base import Codec
from infercache.codecs.registry import make_codec
from infercache.errors import SettingError
from infercache.events import Events
from infercache.policies import POLICIES
from infercache.policies.base import Policy
from infercache.tiers.base import Tier
from infercache.tiers.bytes import ByteTier
from infercache.tiers.departures import Departures
from infercache.tiers.handing import handing
from infercache.tiers.memory import MemoryTier
from infercache.tiers.spaces import Spaces
from infercache.tiers.write_back import WriteBackTier
from infercache.units import parse_duration, parse_size

_WRITES = ("through", "back")
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - tmpfs is what is asked for here


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the tiers of one cache have in common.

    Attributes:
        clock: Where the time comes from.
        events: Who wants to know.
        spaces: Numbers of key spaces.
        codecs: Codecs of single namespaces, where they differ from the tier's.
        secret: Key of blobs' checksums.
        departures: Why keys are gone, for `explain`.
    """

    clock: Clock
    events: Events
    spaces: Spaces
    codecs: dict[str, Codec] = field(default_factory=dict)
    secret: bytes | None = field(default=None, repr=False)
    departures: Departures = field(default_factory=Departures)


class TierSpec(Protocol):
    """Describes a tier.

    Attributes:
        name: The tier's name, unique within one cache.
        ttl_s: Longest time that the tier keeps an entry, or None for no limit of its own.
        deadline_s: Longest time that one operation of the tier may take, or None.
    """

    @property
    def name(self) -> str:
        """The tier's name."""

    @property
    def ttl_s(self) -> float | str | None:
        """Longest time that an entry stays."""

    @property
    def deadline_s(self) -> float | str | None:
        """Longest time that one operation may take."""

    def open(self, around: Surroundings) -> Tier:
        """Open the tier."""


@dataclass(frozen=True)
class Memory:
    """Objects of this process, kept by reference.

    Args:
        capacity: Bound, in bytes or as "1GB".
        entries: Bound on the number of entries; None for none.
        policy: What leaves: a registered name or a `Policy`.
        copy: "none", "copy" or "readonly": how values are handed out.
        ttl_s: Longest time that an entry stays here.
        name: The tier's name.

    Raises:
        SettingError: at once, for any setting that cannot be used.
    """

    capacity: int | str = "1GB"
    entries: int | None = None
    policy: str | Policy | type[Policy] = "s3fifo"
    copy: str = "none"
    ttl_s: float | str | None = None
    deadline_s: float | str | None = None
    name: str = "memory"

    def __post_init__(self) -> None:
        parse_size(self.capacity, f"{self.name}.capacity")
        handing(self.copy)
        _check_common(self)
        if self.entries is not None and self.entries < 1:
            raise SettingError(f"{self.name}.entries={self.entries}: at least 1, or None")

    def open(self, around: Surroundings) -> Tier:
        """Open the tier: an empty table."""
        return MemoryTier(
            parse_size(self.capacity),
            capacity_entries=self.entries,
            policy=self.policy,
            copy=self.copy,
            name=self.name,
            clock=around.clock,
            spaces=around.spaces,
        )


@dataclass(frozen=True)
class Disk:
    """Blobs in a directory, shared by all processes that use it, kept over restarts.

    Args:
        path: The directory; created if absent. "~" is expanded.
        capacity: Bound over all processes, in bytes or as "20GB".
        policy: What leaves: a registered name or a `Policy`.
        codec: How values become bytes: "auto", "json", "auto+zstd", "int8+lz4" and so on, or
            a `Codec`.
        ttl_s: Longest time that an entry stays here.
        write: "through" (a put returns when it is written) or "back" (a put returns when it
            is queued; the queue is written out at close and at exit).
        durable: Whether a write waits until the device has it; without it a power loss may
            cost the last few seconds of writes, never a wrong value.
        read_only: Never write.
        deadline_s: Longest time that one operation may take.
        name: The tier's name.

    Raises:
        SettingError: at once, for any setting that cannot be used.
    """

    path: str | os.PathLike[str]
    capacity: int | str = "10GB"
    policy: str | Policy | type[Policy] = "s3fifo"
    codec: str | Codec = "auto"
    ttl_s: float | str | None = None
    write: str = "through"
    durable: bool = False
    read_only: bool = False
    deadline_s: float | str | None = None
    name: str = "disk"

    def __post_init__(self) -> None:
        _check_directory_spec(self)

    def open(self, around: Surroundings) -> Tier:
        """Open the directory.

        Raises:
            StoreError: it cannot be used.
        """
        return _open_directory(self, self.directory(), around)

    def directory(self) -> Path:
        """Return where the blobs are."""
        return Path(self.path).expanduser()


@dataclass(frozen=True)
class SharedMemory:
    """Blobs in shared memory: a directory on tmpfs, shared by all processes of this user.

    The arguments are those of `Disk`. Large values are handed out as views of the shared
    pages: nothing is copied. The content is lost when the machine restarts.
    """

    capacity: int | str = "1GB"
    path: str | os.PathLike[str] | None = None
    policy: str | Policy | type[Policy] = "s3fifo"
    codec: str | Codec = "auto"
    ttl_s: float | str | None = None
    write: str = "through"
    durable: bool = False
    read_only: bool = False
    deadline_s: float | str | None = None
    name: str = "shared_memory"

    def __post_init__(self) -> None:
        _check_directory_spec(self)

    def open(self, around: Surroundings) -> Tier:
        """Open the directory; by default one for each user under /dev/shm.

        Raises:
            StoreError: it cannot be used.
        """
        return _open_directory(self, self.directory(), around)

    def directory(self) -> Path:
        """Return where the blobs are."""
        if self.path is not None:
            return Path(self.path).expanduser()
        base = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else Path(tempfile.gettempdir())
        return base / f"infercache-{os.getuid()}"


def _check_common(spec: Any) -> None:
    if isinstance(spec.policy, str) and spec.policy not in POLICIES:
        raise SettingError(f"{spec.name}.policy: {POLICIES.unknown(spec.policy)}")
    for setting in ("ttl_s", "deadline_s"):
        value = getattr(spec, setting)
        if value is not None:
            parse_duration(value, f"{spec.name}.{setting}")


def _check_directory_spec(spec: Disk | SharedMemory) -> None:
    parse_size(spec.capacity, f"{spec.name}.capacity")
    make_codec(spec.codec)
    _check_common(spec)
    if spec.write not in _WRITES:
        raise SettingError(f'{spec.name}.write={spec.write!r} is not "through" or "back"')


def _open_directory(spec: Disk | SharedMemory, path: Path, around: Surroundings) -> Tier:
    from infercache.stores.directory import DirectoryStore

    store = DirectoryStore(path, read_only=spec.read_only, clock=around.clock, durable=spec.durable)
    tier = ByteTier(
        store,
        make_codec(spec.codec),
        parse_size(spec.capacity),
        policy=spec.policy,
        name=spec.name,
        codecs=around.codecs,
        secret=around.secret,
        clock=around.clock,
        events=around.events,
        departures=around.departures,
    )
    return WriteBackTier(tier, events=around.events) if spec.write == "back" else tier
