"""Checksums of blobs: XXH3-128 against damage, keyed BLAKE3 against tampering."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from infercache import _core
from infercache.codecs.base import Buffer
from infercache.errors import SettingError

XXH3 = 1
BLAKE3 = 2
SIZE_BYTES = {XXH3: 16, BLAKE3: 32}
_CONTEXT = b"infercache blob checksum 1\x00"


def algorithm_of(secret: bytes | None) -> int:
    """Return which algorithm seals blobs: BLAKE3 where there is a secret, XXH3 otherwise."""
    return XXH3 if secret is None else BLAKE3


def checksum(buffers: Iterable[Buffer], secret: bytes | None) -> bytes:
    """Return the checksum over buffers that follow each other: 16 bytes, or 32 with a secret.

    O(bytes), without a copy.
    """
    hasher = _core.Hasher("xxh3") if secret is None else _core.Hasher("blake3", key_of(secret))
    for buffer in buffers:
        hasher.update(buffer)
    return hasher.digest()


@functools.lru_cache(maxsize=16)
def key_of(secret: bytes) -> bytes:
    """Return the 32 bytes that BLAKE3 wants, derived from a secret of any length."""
    if not secret:
        raise SettingError("secret: it is empty; give at least 16 random bytes, or None")
    return _core.blake3(_CONTEXT + secret)
