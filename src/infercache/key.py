"""The identity of a value: tenant, pipeline stage, fingerprint, content digest."""

from __future__ import annotations

import msgspec

from infercache.errors import KeySpaceError

DIGEST_BYTES = 16


class Key(msgspec.Struct, frozen=True, gc=False):
    """The whole identity of one cached value.

    Keys come from a `KeySpace`, whose seed covers scope, namespace and version, so that the
    digest alone tells any two keys apart: tables and indexes use it as their key, and blobs
    repeat all four parts so that a reader can compare them.

    Attributes:
        scope: Tenant; "" for none.
        namespace: Pipeline stage, such as "embed".
        version: Fingerprint of all that makes the value valid (code, weights, settings).
        digest: 16 bytes over the content, in the key space of the other three parts.
    """

    scope: str
    namespace: str
    version: str
    digest: bytes

    def __post_init__(self) -> None:
        if len(self.digest) != DIGEST_BYTES:
            raise KeySpaceError(
                f"a key's digest has {DIGEST_BYTES} bytes, not {len(self.digest)}; "
                "make keys with KeySpace.key()"
            )

    @property
    def hex(self) -> str:
        """Return the digest as 32 hexadecimal digits, as shown to people and used in file names."""
        return self.digest.hex()

    def __str__(self) -> str:
        scope = f"{self.scope}/" if self.scope else ""
        return f"{scope}{self.namespace}@{self.version}:{self.hex}"
