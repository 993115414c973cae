"""The native core."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from typing_extensions import Buffer

NATIVE_POLICIES: tuple[str, ...]

class Table:
    """Bounded map from 16-byte keys to live values; the memory tier and every tier's ledger.

    Charged bytes and entries are never above the capacity, at no instant. Keys are compared and
    hashed without Python's help, and no Python code runs while the table is locked (but for a
    policy written in Python), so that every method may be called from any thread, and from
    destructors. `put`, `get` and their like are O(1); what one put must evict is its cost.

    An entry is fresh until `expires_at`, may be read as stale until `stale_until`, and is
    removed on sight after that. Times are seconds since the epoch by the machine's clock, or by
    `clock`, which is called outside the lock and only while some entry can expire.

    Args:
        capacity_bytes: Bound on the sum of sizes; None for none.
        capacity_entries: Bound on the number of entries; None for none.
        policy: A registered name, a subclass of `Policy`, or one of its instances.
        clock: Replaces the machine's clock.

    Raises:
        SettingError: an unknown policy.
        ValueError: a capacity that is no whole number from 0.
    """

    def __init__(
        self,
        capacity_bytes: int | None = None,
        capacity_entries: int | None = None,
        policy: str | object = "s3fifo",
        *,
        clock: Callable[[], float] | None = None,
    ) -> None: ...
    def get(self, key: bytes, default: Any = None, /) -> Any:
        """Return the value if it is fresh, else the default. Counted, and told to the policy."""

    def get_many(self, keys: Sequence[bytes], default: Any = None) -> list[Any]:
        """Do `get` for each key, at one instant."""

    def probe(self, key: bytes, default: Any = None, beta: float = 0.0) -> Any:
        """Return the fresh value, or `default` where it is missing, stale or due for a refresh.

        As `get`, but a miss is not counted: whoever looks on after it counts it.
        """

    def recalled(self) -> list[tuple[int, float]]:
        """Return, for each group from 0 on, hits of `probe` and `Memo` and the seconds saved."""

    def read(self, key: bytes, beta: float = 0.0) -> tuple[Any, ...] | None:
        """Return what may still be used, counted and told to the policy; None for a miss.

        `(state, value, size, cost, version, created_at, expires_at, stale_until, tags)`; state
        is 0 for fresh, 1 for fresh but due to be computed early by this caller, 2 for stale.
        The draw for 1 follows A. Vattani, F. Chierichetti, K. Lowenstein: Optimal probabilistic
        cache stampede prevention, VLDB 2015; it is made only where the entry expires and beta
        is above 0.
        """

    def peek(self, key: bytes) -> tuple[Any, ...] | None:
        """Return the same fields and the group as a tenth; nothing is counted, told or removed."""

    def put(
        self,
        key: bytes,
        value: Any,
        size: int = 1,
        cost: float = 0.0,
        version: int = 0,
        created_at: float = 0.0,
        expires_at: float = ...,
        stale_until: float = ...,
        group: int = 0,
        tags: tuple[str, ...] = (),
    ) -> bool:
        """Keep a value, evicting others if need be; replacing one counts as a use of it.

        Entries that are pinned or leaving are not evicted. False: there is no room even without
        all others; then nothing is evicted, and nothing is left under the key, so that no older
        value survives. `stale_until` is at least `expires_at`. A pin on the key stays.

        Raises:
            ValueError: a cost that is negative or not finite, or a time that is NaN.
            Exception: what a policy in Python raised; then nothing is left under the key.
        """

    def put_many(self, items: Sequence[tuple[Any, ...]]) -> list[bool]:
        """Put tuples of `put`'s arguments, in order; all after the value may be left out."""

    def remove(self, key: bytes) -> bool:
        """Remove an entry, even if it is pinned."""

    def remove_many(self, keys: Sequence[bytes]) -> int:
        """Remove entries, even pinned ones; return how many were there."""

    def remove_where(self, group: int | None = None, tag: str | None = None) -> list[bytes]:
        """Remove the entries of a group, or with a tag, or both. O(entries)."""

    def touch(self, key: bytes) -> bool:
        """Tell the policy of a use, without counting a hit."""

    def pin(self, key: bytes) -> bool:
        """Keep an entry from being evicted until `unpin` was called as often as `pin`."""

    def unpin(self, key: bytes) -> bool:
        """Take one pin back; False if there is none. The last one counts as a use."""

    def choose(
        self, size: int, entries: int = 1, key: bytes | None = None, cost: float = 0.0
    ) -> list[bytes] | None:
        """Return what must leave so that such an entry fits, marked as leaving, yet readable.

        None if there cannot be room. `key` is the key that will be put: what it has now is
        credited, and never chosen. Each call chooses anew: what leaves already is charged until
        it is forgotten, for the caller that chose it. End with `forget` or `keep`.
        """

    def victims(self, size: int) -> list[bytes]:
        """Choose entries of at least `size` bytes in all, or all that may leave; as `choose`."""

    def forget(self, keys: Sequence[bytes]) -> int:
        """Drop those that are still leaving; a put or a pin meanwhile cleared the mark."""

    def keep(self, keys: Sequence[bytes]) -> int:
        """Let those that are still leaving stay, as the next to leave, in the same order."""

    def resize(
        self, capacity_bytes: int | None = None, capacity_entries: int | None = None
    ) -> list[bytes]:
        """Set both bounds; return what was evicted, leaving entries first.

        Raises:
            ValueError: what is pinned alone is more; nothing changed then.
        """

    def sweep(self, limit: int = 1000) -> list[bytes]:
        """Look at up to `limit` slots, on from where it stopped; return what it removed as past."""

    def clear(self) -> int:
        """Remove everything, pinned entries too; return how many there were."""

    def entries(self) -> list[tuple[Any, ...]]:
        """Return one row an entry, in no order, without the value.

        `(key, size, cost, version, created_at, expires_at, stale_until, group, tags)`.
        """

    def stats(self) -> dict[str, Any]:
        """Return counts, accounts and bounds.

        hits, misses, puts, evictions, expirations, rejected, removed, entries, bytes, pinned,
        held_entries and held_bytes (pinned or leaving), memory_bytes and memory_bytes_per_entry
        (the table's own), capacity_bytes, capacity_entries, policy.
        """

    def check(self) -> list[str]:
        """Recompute all accounts, the policy's too; return one sentence a fault. O(entries)."""

    def __len__(self) -> int: ...
    def __contains__(self, key: bytes) -> bool: ...
    def __iter__(self) -> Iterator[bytes]: ...

def xxh3_128(data: Buffer, seed: int = 0) -> bytes:
    """Return the 16 bytes of XXH3-128 (canonical, big-endian) of a contiguous buffer."""

def blake3(data: Buffer, key: bytes | None = None, length: int = 32) -> bytes:
    """Return `length` bytes of BLAKE3 of a contiguous buffer, keyed by 32 bytes if given."""

class Hasher:
    """Digest of bytes that come in pieces: "blake3" (32 bytes) or "xxh3" (16). Not thread-safe."""

    def __init__(self, algorithm: str = "blake3", key: bytes | None = None) -> None: ...
    def update(self, data: Buffer) -> None: ...
    def digest(self) -> bytes: ...

def chain_digest(parent: bytes, tokens: Buffer | list[int], block_tokens: int) -> list[bytes]:
    """Return for each full block 16 bytes of BLAKE3(digest before || tokens as int64)."""

def encode(
    value: object, encode_other: Callable[[Any], Any] | None = None, name: str = "value"
) -> bytes:
    """Return the canonical encoding of a value."""

def open_blob(
    blob: Buffer, names: bytes, digest: bytes, key: bytes | None = None, /
) -> tuple[int, int, bytes | None, int, float, float, float, float] | None:
    """Return start and end of the body, stored tags, version, cost_s, created_at, expires_at and
    stale_until of a blob (`infercache.codecs.blob`); None unless every check passes.

    O(bytes), without a copy; the checksum is compared in constant time if there is a key.
    """

def seal_blob(
    names: bytes,
    tags: bytes,
    digest: bytes,
    numbers: tuple[int, float, float, float, float],
    body: Sequence[Buffer],
    key: bytes | None = None,
    /,
) -> bytes | None:
    """Return a whole blob; None if the body is over 32 KiB or the names are too long.

    `numbers` are version, cost_s, created_at, expires_at and stale_until; TypeError or
    OverflowError if one does not fit.
    """

def is_plain(value: object, /) -> bool:
    """Return whether a value is what msgpack carries as it is: exact None, bool, int, float, str,
    bytes under 64 KiB, list, and dict with such keys, at most 100 levels deep. O(items).

    Integers of more than 64 bits and lone surrogates count as plain: the encoder refuses them.
    """

class Digester:
    """Digests of values in one key space. Immutable: thread-safe."""

    def __init__(
        self,
        seed: bytes,
        algorithm: str = "blake3",
        encode_other: Callable[[Any], Any] | None = None,
    ) -> None: ...
    def digest(self, value: object, name: str = "value") -> bytes: ...

class Generation:
    """A counter in a memory-mapped file, shared by processes. Thread-safe.

    Opens read-only where it cannot write. The file must not be truncated while it is open
    (reading beyond its end kills the process); deleting or replacing it is safe.
    """

    seen: int
    def __init__(self, path: str | os.PathLike[str]) -> None: ...
    def load(self) -> int:
        """Return the counter. Some ns, no system call."""
    def is_current(self) -> bool:
        """Return whether the counter still is `seen`. Some ns, no system call."""

    def bump(self) -> int:
        """Add one, atomically over all processes, and return the new value."""

class Memo:
    """A function's results, found by the content of its arguments without running Python.

    A call whose value is fresh in the table returns it. Every other call is
    `slow(args, kwargs, digest, refresh_due)`: the digest is None where it was not or could not
    be computed, and an early refresh (drawn here with `beta`) is due if `refresh_due`. Also a
    descriptor, as functions are; attributes can be set, as `functools.update_wrapper` does.
    Thread-safe.

    Args:
        table: Where values are looked up.
        seed: `KeySpace.seed`.
        algorithm: `KeySpace.algorithm`.
        slow: Answers what is not in the table.
        defaults: Of the last parameters.
        nparams: Number of parameters; None if calls must be bound by `bind`.
        gate: If its counter is not what was seen, calls are slow.
        beta: Of the early refresh (XFetch); 0 for none.
        encode_other: `infercache.keys.registry.encode_other`.
        bind: `Arguments.bind`, for calls that cannot be bound natively.
        names: Of all parameters.
        positional_only: How many of them cannot be given by name.
        ignored: Places of parameters that do not count.
    """

    def __init__(
        self,
        table: Table,
        seed: bytes,
        algorithm: str,
        slow: Callable[[tuple[Any, ...], dict[str, Any], bytes | None, bool], Any],
        defaults: tuple[Any, ...] = (),
        nparams: int | None = None,
        gate: Generation | None = None,
        *,
        beta: float = 0.0,
        encode_other: Callable[[Any], Any] | None = None,
        bind: Callable[[tuple[Any, ...], dict[str, Any]], tuple[Any, ...]] | None = None,
        names: tuple[str, ...] = (),
        positional_only: int = 0,
        ignored: tuple[int, ...] = (),
    ) -> None: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __get__(self, instance: object, owner: type | None = None) -> Any: ...
    def __getattr__(self, name: str) -> Any: ...
    def digest(self, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> bytes:
        """Return what a call is looked up by: `KeySpace.digest(Arguments.values(args, kwargs))`."""

def replay(
    keys: Any,
    sizes: Any = None,
    costs: Any = None,
    policy: Any = "s3fifo",
    capacity: int = 0,
    *,
    outcomes: bool = False,
) -> dict[str, Any]:
    """Replay a trace; `infercache.simulate.replay` is its typed front and has the contract.

    Keys and sizes are contiguous buffers of uint64, costs of float64.
    """

def belady(
    keys: Any,
    sizes: Any = None,
    costs: Any = None,
    capacity: int = 0,
    *,
    bypass: bool = False,
    outcomes: bool = False,
) -> dict[str, Any]:
    """Replay a trace under the optimum; `infercache.simulate.optimum` has the contract."""

def stack_distances(keys: Any, sizes: Any = None) -> bytes:
    """Return a uint64 a request: what was used since its key's last use, and its own size.

    In entries without sizes, else in bytes; 2**64 - 1 for the first use of a key. O(n log n).
    """

def sampled_distances(
    keys: Any, sizes: Any = None, *, rate: float = 1.0, most: int = ...
) -> tuple[bytes, bytes, bytes]:
    """Measure `stack_distances` among a spatial sample of the keys only.

    Return, for each request looked at, its number (uint64), its distance within the sample
    (uint64), and the sampling rate at that moment (float64, followed by the rate at the end).
    The rate is lowered so that at most `most` keys are in the sample.
    """

def previous_uses(keys: Any) -> bytes:
    """Return an int64 a request: the number of the last request for the same key, or -1."""
