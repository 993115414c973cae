"""Key spaces: digests that are unique over tenants, stages and versions."""

from __future__ import annotations

from typing import Any

from infercache import _core
from infercache.errors import KeySpaceError
from infercache.key import Key
from infercache.keys.registry import encode_other

_FORMAT = b"infercache key space 1"
ALGORITHMS = ("blake3", "xxh3")


class KeySpace:
    """Makes keys of anything, in the space of one scope, namespace and version.

    A digest covers scope, namespace, version and the value, so that it alone tells any two keys
    apart, also where several spaces share a store. Values that are equal (same type, same
    content) have equal digests in every process and on every machine of the same endianness.
    1, True and 1.0 differ, as do -0.0 and 0.0, a list and a tuple, str and bytes; NaN equals
    itself; the order of dicts and sets does not count.

    Immutable: thread-safe. A digest of small plain values costs well under a microsecond; large
    buffers are hashed where they are, at 8 GB/s (blake3) or more (xxh3) on one core, with the
    interpreter lock released. An object that occurs n times in a value is encoded n times.

    Args:
        scope: Tenant; "" for none.
        namespace: Pipeline stage, such as "embed".
        version: Fingerprint of all that makes a value valid.
        algorithm: "blake3" is cryptographic: nobody can make two inputs that share a digest, so
            that keys may come from strangers. "xxh3" takes a fifth of the time on large inputs,
            and is meant for inputs that you make yourself: who chooses inputs at will can make
            two that collide, the secret notwithstanding.
        secret: Makes digests unpredictable to who does not have it. Processes that are to share
            entries need the same one.

    Raises:
        KeySpaceError: a part of the wrong type, or an unknown algorithm.
    """

    __slots__ = ("_digester", "algorithm", "namespace", "scope", "seed", "version")

    def __init__(
        self,
        scope: str,
        namespace: str,
        version: str,
        *,
        algorithm: str = "blake3",
        secret: bytes | None = None,
    ) -> None:
        for name, part in (("scope", scope), ("namespace", namespace), ("version", version)):
            if not isinstance(part, str):
                raise KeySpaceError(f"a key space's {name} is a str, not {part!r}")
        if algorithm not in ALGORITHMS:
            raise KeySpaceError(
                f"unknown algorithm {algorithm!r} of a key space; known: {', '.join(ALGORITHMS)}"
            )
        self.scope, self.namespace, self.version = scope, namespace, version
        self.algorithm = algorithm
        parts = (_FORMAT, algorithm, scope, namespace, version, secret)
        self.seed: bytes = _core.blake3(_core.encode(parts))
        self._digester = _core.Digester(self.seed, algorithm, encode_other)

    def digest(self, value: Any, name: str = "value") -> bytes:
        """Return the 16 bytes that stand for a value in this space.

        Args:
            value: Anything with a content key.
            name: What a message calls it, such as "argument 'image'".

        Raises:
            UnkeyableError: it holds something without one; the message says what and where.
        """
        return self._digester.digest(value, name)

    def key(self, value: Any, name: str = "value") -> Key:
        """Return the whole key of a value; as `digest`."""
        return self.key_of(self._digester.digest(value, name))

    def key_of(self, digest: bytes) -> Key:
        """Return the whole key behind a digest that this space made."""
        return Key(self.scope, self.namespace, self.version, digest)

    def __repr__(self) -> str:
        return f"KeySpace({self.scope!r}, {self.namespace!r}, {self.version!r})"
