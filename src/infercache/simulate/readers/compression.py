"""Unpacks files by their first bytes, whatever they are called."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from pathlib import Path

from infercache.errors import MissingExtraError, TraceError


def decompress(path: Path) -> bytes:
    """Return the content of a file, unpacked if it is gzip, xz, bzip2 or Zstandard.

    Raises:
        TraceError: what is packed is damaged or cut off.
        MissingExtraError: zstandard is not installed.
        OSError: the file cannot be read.
    """
    packed = path.read_bytes()
    for magic, unpack in _UNPACKERS.items():
        if packed.startswith(magic):
            try:
                return unpack(packed)
            except (EOFError, zlib.error, lzma.LZMAError, ValueError, OSError) as error:
                raise TraceError(
                    f"{path}: the packed file is damaged or cut off ({error}); fetch it again"
                ) from error
    return packed


def _unzstd(packed: bytes) -> bytes:
    try:
        import zstandard
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "traces in .zst need an extra: pip install 'infercache[compress]'"
        ) from error
    parts = []
    while packed:
        frame = zstandard.ZstdDecompressor().decompressobj()
        try:
            parts.append(frame.decompress(packed))
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from error
        if not frame.eof:
            raise EOFError("it ends within a frame")
        packed = frame.unused_data
    return b"".join(parts)


_UNPACKERS = {
    b"\x1f\x8b": gzip.decompress,
    b"\xfd7zXZ\x00": lzma.decompress,
    b"\x28\xb5\x2f\xfd": _unzstd,
    b"BZh": bz2.decompress,
}
