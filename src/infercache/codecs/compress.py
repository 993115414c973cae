"""Compression: zstd, also with a dictionary, and lz4."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from infercache import _core
from infercache.codecs.base import Codec
from infercache.codecs.pipeline import Transform
from infercache.errors import BlobError, MissingExtraError, SettingError
from infercache.units import parse_size

_ZSTD_LEVELS = range(-7, 23)
_LZ4_LEVELS = range(13)
_FEWEST_SAMPLES = 8


class Dictionary:
    """What many small values have in common, so that each of them shrinks well. Immutable.

    Attributes:
        content: A zstd dictionary; other tools read it too.
        id: Digest of the content; part of the codec id of what it helped to write.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.id = _core.xxh3_128(content).hex()[:16]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, whole or not at all."""
        target = Path(path)
        aside = target.with_name(f"{target.name}.{os.getpid()}.new")
        aside.write_bytes(self.content)
        aside.replace(target)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Dictionary:
        """Read it from a file."""
        return cls(Path(path).read_bytes())

    def __repr__(self) -> str:
        return f"Dictionary({self.id}, {len(self.content)} bytes)"


def train_dictionary(
    samples: Iterable[Any], size: int | str = "64KiB", codec: Codec | None = None
) -> Dictionary:
    """Return a dictionary for values that look like the samples. Seconds for many megabytes.

    Args:
        samples: Encoded bodies, or values if `codec` is given; some hundred of them.
        size: The largest dictionary.
        codec: What encodes the samples.

    Raises:
        SettingError: too few samples, or too little in common.
        MissingExtraError: zstandard is not installed.
    """
    zstandard = _driver("zstandard", "zstd")
    bodies = [bytes(one) if codec is None else b"".join(codec.encode(one)) for one in samples]
    if len(bodies) < _FEWEST_SAMPLES:
        raise SettingError(f"a dictionary needs at least {_FEWEST_SAMPLES} samples: {len(bodies)}")
    try:
        trained = zstandard.train_dictionary(parse_size(size, "dictionary size"), bodies)
    except zstandard.ZstdError as error:
        raise SettingError(
            f"no dictionary could be trained on {len(bodies)} samples of "
            f"{sum(map(len, bodies))} bytes ({error}); give more samples or a smaller size"
        ) from error
    return Dictionary(trained.as_bytes())


class Zstd(Transform):
    """zstd (RFC 8878): good ratio, expands at about 1 GB/s.

    Args:
        level: -7 (fast) to 22 (small).
        dictionary: What `train_dictionary` returned; readers need the same one.

    Raises:
        SettingError: another level.
        MissingExtraError: zstandard is not installed.
    """

    def __init__(self, level: int = 3, dictionary: Dictionary | None = None) -> None:
        zstandard = _driver("zstandard", "zstd")
        _check_level("zstd", level, _ZSTD_LEVELS)
        self.level = level
        self.dictionary = dictionary
        self.id = f"zstd/1:{dictionary.id}" if dictionary else "zstd/1"
        self.smallest_bytes = 16 if dictionary else 128
        shared = None
        if dictionary:
            shared = zstandard.ZstdCompressionDict(dictionary.content)
            shared.precompute_compress(level=level)
        self._content_size: Callable[[Any], int] = zstandard.frame_content_size
        self._shrinker = _PerThread(
            lambda: zstandard.ZstdCompressor(level=level, dict_data=shared, write_checksum=False)
        )
        self._expander = _PerThread(lambda: zstandard.ZstdDecompressor(dict_data=shared))

    @classmethod
    def from_number(cls, number: int) -> Zstd:
        """Return the transform that "zstd:9" names."""
        return cls(level=number)

    def shrink(self, data: bytes) -> bytes:
        """Return one zstd frame that states its length."""
        shrunk: bytes = self._shrinker.get().compress(data)
        return shrunk

    def expand(self, data: memoryview, size_bytes: int) -> bytes:
        """Return the content of the frame, if it states the length that is expected."""
        stated = self._content_size(data)
        if stated != size_bytes:
            raise BlobError(f"the frame states {stated} bytes, not {size_bytes}")
        expanded: bytes = self._expander.get().decompress(data, allow_extra_data=False)
        return expanded

    def __reduce__(self) -> tuple[Any, ...]:
        content = self.dictionary.content if self.dictionary else None
        return _rebuild_zstd, (self.level, content)

    def __repr__(self) -> str:
        return f"Zstd({self.level}{f', {self.dictionary!r}' if self.dictionary else ''})"


class Lz4(Transform):
    """lz4 (block format): modest ratio, expands at several GB/s.

    Args:
        level: 0 (fast) to 12 (small).

    Raises:
        SettingError: another level.
        MissingExtraError: lz4 is not installed.
    """

    id = "lz4/1"
    _LARGEST_INPUT = 0x7E000000

    def __init__(self, level: int = 0) -> None:
        self._block = _driver("lz4.block", "lz4")
        _check_level("lz4", level, _LZ4_LEVELS)
        self.level = level

    @classmethod
    def from_number(cls, number: int) -> Lz4:
        """Return the transform that "lz4:9" names."""
        return cls(level=number)

    def shrink(self, data: bytes) -> bytes | None:
        """Return one lz4 block; None for more than the format holds (about 2 GB)."""
        if len(data) > self._LARGEST_INPUT:
            return None
        how = {"mode": "high_compression", "compression": self.level} if self.level else {}
        shrunk: bytes = self._block.compress(data, store_size=False, **how)
        return shrunk

    def expand(self, data: memoryview, size_bytes: int) -> bytes:
        """Return the content of the block."""
        if size_bytes > self._LARGEST_INPUT:
            raise BlobError(f"an lz4 block cannot hold {size_bytes} bytes")
        expanded: bytes = self._block.decompress(data, uncompressed_size=size_bytes)
        return expanded

    def __reduce__(self) -> tuple[Any, ...]:
        return Lz4, (self.level,)

    def __repr__(self) -> str:
        return f"Lz4({self.level})"


class _PerThread:
    """One object for each thread: the contexts of zstd must not be used by two at once."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._local = threading.local()

    def get(self) -> Any:
        made = getattr(self._local, "made", None)
        if made is None:
            made = self._local.made = self._make()
        return made


def _rebuild_zstd(level: int, content: bytes | None) -> Zstd:
    return Zstd(level, None if content is None else Dictionary(content))


def _check_level(name: str, level: int, levels: range) -> None:
    if level not in levels:
        raise SettingError(f"{name}:{level} is not a level: {levels[0]} to {levels[-1]}")


def _driver(module: str, name: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"Codec {name!r} needs an extra: pip install 'infercache[compress]'"
        ) from error
