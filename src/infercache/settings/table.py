"""The one table of settings.

Constructor arguments, environment, `infercache.toml`, command line, JSON schema and reference
page are all made from it. Names are those of the constructors' parameters, with the tier in
front: `memory.capacity` is `Memory(capacity=)`, `ttl_s` is `Cache(ttl_s=)`.
"""

from __future__ import annotations

import difflib
import functools
from dataclasses import dataclass
from typing import Any

from infercache.errors import SettingError

TIER_SECTIONS = ("memory", "shared_memory", "disk")


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table.

    Attributes:
        name: As in the file: "ttl_s", or "memory.capacity" for `capacity` under `[memory]`.
        kind: How it is written and parsed; one of `infercache.settings.kinds.KINDS`.
        default: What holds if nobody says otherwise; None for "none" or "chosen by the tier".
        help: One sentence.
        choices: The allowed values, if there are few.
        registry: "policy" or "codec", if the value names a registered one.
    """

    name: str
    kind: str
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    registry: str = ""

    @property
    def section(self) -> str:
        """The file's section, or "" at the top."""
        return self.name.rpartition(".")[0]

    @property
    def field(self) -> str:
        """The constructor's parameter."""
        return self.name.rpartition(".")[2]

    @property
    def flat(self) -> str:
        """As a keyword argument: "memory_capacity"."""
        return self.name.replace(".", "_")

    @property
    def variable(self) -> str:
        """As an environment variable: "INFERCACHE_MEMORY_CAPACITY"."""
        return f"INFERCACHE_{self.flat.upper()}"

    @property
    def is_secret(self) -> bool:
        """Whether its value must never be shown, nor stand in a file."""
        return self.kind == "secret"


def _tier(section: str, what: str, enabled: bool, *rows: Setting) -> tuple[Setting, ...]:
    on = Setting(f"{section}.enabled", "flag", enabled, f"Whether there is a {what} tier.")
    ttl = Setting(
        f"{section}.ttl_s", "duration", None, "Longest time that an entry stays in this tier."
    )
    deadline = Setting(
        f"{section}.deadline_s",
        "duration",
        None,
        "Longest time that one operation of this tier may take; after that it is skipped.",
    )
    return (on, *rows, ttl, deadline)


def _policy(section: str) -> Setting:
    return Setting(
        f"{section}.policy", "name", "s3fifo", "Which entry leaves first.", registry="policy"
    )


def _directory(section: str, path_help: str, capacity: str) -> tuple[Setting, ...]:
    return (
        Setting(f"{section}.path", "path", None, path_help),
        Setting(f"{section}.capacity", "size", capacity, "Bound, over all processes together."),
        _policy(section),
        Setting(
            f"{section}.codec",
            "name",
            "auto",
            'How values become bytes: "auto", "json", "auto+zstd", "int8+lz4" and so on.',
            registry="codec",
        ),
        Setting(
            f"{section}.write",
            "choice",
            "through",
            "A put returns when it is written (through) or queued (back).",
            choices=("through", "back"),
        ),
        Setting(
            f"{section}.durable", "flag", False, "Whether a write waits until the device has it."
        ),
        Setting(f"{section}.read_only", "flag", False, "Never write into this tier."),
    )


_TOP = (
    Setting("scope", "text", "", "Tenant: entries of other scopes are never served."),
    Setting(
        "digest",
        "choice",
        "blake3",
        "Digest of keys; xxh3 is faster, and only for inputs that you trust.",
        choices=("blake3", "xxh3"),
    ),
    Setting(
        "secret",
        "secret",
        None,
        "Key of digests and checksums, for stores that others can write to; never in a file.",
    ),
    Setting("ttl_s", "duration", None, "How long a value is fresh; none for ever."),
    Setting(
        "jitter", "fraction", 0.0, "Fraction of ttl_s by which each entry's own is cut at random."
    ),
    Setting(
        "stale_s", "duration", 0.0, "How long after expiry an old value may stand in for a new one."
    ),
    Setting(
        "early_refresh",
        "number",
        1.0,
        "How eagerly values are refreshed before they expire (XFetch's beta); 0 for not at all.",
    ),
    Setting(
        "negative_ttl_s",
        "duration",
        None,
        "How long a computed None is kept; none: as long as others.",
    ),
    Setting(
        "fail_safe", "flag", False, "Serve the expired value, within stale_s, if computing raises."
    ),
)

SETTINGS: tuple[Setting, ...] = (
    *_TOP,
    *_tier(
        "memory",
        "memory",
        True,
        Setting("memory.capacity", "size", "1GB", "Bound of this process's memory tier."),
        Setting("memory.entries", "count", None, "Bound on the number of entries; none for none."),
        _policy("memory"),
        Setting(
            "memory.copy",
            "choice",
            "none",
            "How values are handed out: by reference, as copies, or as read-only views.",
            choices=("none", "copy", "readonly"),
        ),
    ),
    *_tier(
        "shared_memory",
        "shared-memory",
        False,
        *_directory(
            "shared_memory",
            "Directory on tmpfs; none for one for each user under /dev/shm.",
            "1GB",
        ),
    ),
    *_tier(
        "disk",
        "disk",
        True,
        *_directory(
            "disk",
            "Directory of the disk tier; none for `infercache` under the user's cache directory.",
            "10GB",
        ),
    ),
)


@functools.cache
def _by_name() -> dict[str, Setting]:
    return {row.name: row for row in SETTINGS} | {row.flat: row for row in SETTINGS}


def find_setting(name: str, origin: str) -> Setting:
    """Return the row of a name, dotted or flat.

    Raises:
        SettingError: unknown; the message says where it came from and the nearest name.
    """
    row = _by_name().get(name)
    if row is None:
        raise SettingError(
            f"unknown setting {name!r} ({origin}){nearest(name)}; "
            "`infercache settings` lists them all"
        )
    return row


def nearest(name: str) -> str:
    """Return " (did you mean ...?)" for the nearest known name, or ""."""
    spelled = name.lower().replace("-", "_")
    names = [row.name for row in SETTINGS]
    near = [known for known in names if known.rpartition(".")[2] in (spelled, f"{spelled}_s")]
    if not near:
        near = difflib.get_close_matches(spelled, names, n=1, cutoff=0.6)
    if not near:
        flat = difflib.get_close_matches(spelled, [row.flat for row in SETTINGS], n=1, cutoff=0.6)
        near = [_by_name()[one].name for one in flat]
    return f" (did you mean {near[0]!r}?)" if near else ""
