"""Compression: what shrinks, what stays as it is, and how much a small blob may ask for."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

from infercache.codecs import make_codec
from infercache.codecs.compress import Dictionary, Lz4, Zstd, train_dictionary
from infercache.codecs.pipeline import Pipeline
from infercache.codecs.plain import PlainCodec
from infercache.errors import BlobError, EncodeError, MissingExtraError, SettingError
from infercache.testing.codec_kit import body_of

TEXT = {"text": "the same words again and again " * 200}


def profile(number: int) -> dict[str, Any]:
    return {"user": number, "language": "english", "plan": "premium", "scores": [number % 7, 0.5]}


@pytest.mark.parametrize("spec", ["auto+zstd", "auto+zstd:19", "auto+lz4", "auto+lz4:9"])
def test_text_shrinks(spec: str) -> None:
    plain = len(body_of(make_codec("auto").encode(TEXT)))
    assert len(body_of(make_codec(spec).encode(TEXT))) < plain / 10


@pytest.mark.parametrize("spec", ["auto+zstd", "auto+lz4"])
def test_noise_is_stored_as_it_is_and_read_without_a_copy(spec: str) -> None:
    array = np.frombuffer(os.urandom(100_000), np.uint8)
    codec = make_codec(spec)
    body = body_of(codec.encode(array))
    assert len(body) < array.nbytes + 400
    assert np.shares_memory(codec.decode(body), np.frombuffer(body, np.uint8))


def shrunk(size: int, content: bytes) -> memoryview:
    return memoryview((1).to_bytes(8, "little") + size.to_bytes(8, "little") + content)


BOMB = zstandard.ZstdCompressor().compress(bytes(2**24))
UNSIZED = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(2**24))


@pytest.mark.parametrize(
    ("spec", "size", "content", "reason"),
    [
        ("auto+zstd", 2**24, BOMB, "at most 1000000 are expanded"),
        ("auto+zstd", 100, BOMB, "states 16777216 bytes, not 100"),
        ("auto+zstd", 100, UNSIZED, "states -1 bytes"),
        ("auto+zstd", 2**63, BOMB, "at most"),
        ("auto+zstd", 100, b"noise", "not what zstd/1 writes"),
        ("auto+lz4", 2**40, b"\xff" * 100, "at most"),
        ("auto+lz4", 1000, b"\xff" * 100, "not what lz4/1 writes"),
        ("auto+lz4", 1000, b"\x10a", "expands to 1 bytes"),
    ],
)
def test_bombs_and_noise_are_blob_errors(spec: str, size: int, content: bytes, reason: str) -> None:
    made = make_codec(spec)
    assert isinstance(made, Pipeline)
    codec = Pipeline(made.inner, *made.transforms, largest="1MB")
    with pytest.raises(BlobError, match=reason):
        codec.decode(shrunk(size, content))


def test_a_value_above_the_limit_is_refused_when_written() -> None:
    codec = Pipeline(PlainCodec(), Zstd(), largest="1MB")
    with pytest.raises(EncodeError, match="more than largest"):
        codec.encode(b"x" * 2_000_000)


def test_a_dictionary_helps_small_values(tmp_path: Path) -> None:
    trained = train_dictionary(map(profile, range(1000)), "8KiB", PlainCodec())
    trained.save(tmp_path / "profiles.zstd")
    loaded = Dictionary.load(tmp_path / "profiles.zstd")
    assert loaded.id == trained.id
    codec = Pipeline(PlainCodec(), Zstd(dictionary=loaded))
    assert trained.id in codec.id
    small = sum(len(body_of(codec.encode(profile(n)))) for n in range(2000, 2100))
    plain = sum(len(body_of(make_codec("auto+zstd").encode(profile(n)))) for n in range(2000, 2100))
    assert small < plain * 0.75
    for number in range(2000, 2100):
        assert codec.decode(body_of(codec.encode(profile(number)))) == profile(number)
    again = pickle.loads(pickle.dumps(codec))
    assert again.id == codec.id
    assert again.decode(body_of(codec.encode(profile(1)))) == profile(1)


def test_another_dictionary_is_another_codec() -> None:
    ids = {
        Pipeline(PlainCodec(), Zstd(dictionary=train_dictionary(samples, 1024))).id
        for samples in ([b"red %d apple" % n for n in range(500)],
                        [b"blue %d pear" % n for n in range(500)])
    }  # fmt: skip
    assert len(ids | {make_codec("auto+zstd").id}) == 3


@pytest.mark.parametrize("samples", [[], [b"x"] * 3, [b""] * 20])
def test_too_few_samples_are_a_setting_error(samples: list[bytes]) -> None:
    with pytest.raises(SettingError, match="samples"):
        train_dictionary(samples)


@pytest.mark.parametrize(("make", "module"), [(Zstd, "zstandard"), (Lz4, "lz4.block")])
def test_a_missing_compressor_names_the_extra(
    make: Any, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"infercache\[compress\]"):
        make()


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("autp", "did you mean 'auto'"),
        ("auto+zst", "did you mean 'zstd'"),
        ("auto+zstd:99", "not a level"),
        ("auto+lz4:13", "not a level"),
        ("auto+zstd:fast", "not a whole number"),
        ("json:3", "takes no number"),
        ("pickle", "trusted"),
        ("", "unknown codec"),
        (None, "neither a Codec nor a name"),
    ],
)
def test_specifications_that_cannot_be_used_say_why(spec: Any, reason: str) -> None:
    with pytest.raises(SettingError, match=reason) as caught:
        make_codec(spec, "disk.codec")
    assert spec == "pickle" or "disk.codec" in str(caught.value) or "level" in reason


def test_a_codec_is_taken_as_it_is() -> None:
    codec = PlainCodec()
    assert make_codec(codec) is codec


def test_a_pipeline_needs_transforms() -> None:
    nothing: Any = ()
    for transforms in (nothing, (PlainCodec(),)):
        with pytest.raises(SettingError, match="byte transforms"):
            Pipeline(PlainCodec(), *transforms)
