"""Digests against the published vectors, and pieces against the whole."""

from __future__ import annotations

import array
import mmap
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infercache import _core

PRIME32, PRIME64 = 2654435761, 11400714785074694797
KEY = b"whats the Elvish word for friend"

# Length, seed, and the result as its high and low half: from the xxHash project's self-test.
XXH3_128 = [
    (0, 0, 0x99AA06D3014798D8, 0x6001C324468D497F),
    (0, PRIME32, 0x92220AE55E14AB50, 0x5444F7869C671AB0),
    (1, 0, 0xA6CD5E9392000F6A, 0xC44BDFF4074EECDB),
    (6, PRIME32, 0x5A865B5389ABD2B1, 0x269D8F70BE98856E),
    (12, 0, 0x6E3EFD8FC7802B18, 0x061A192713F69AD9),
    (24, PRIME32, 0x3162026714A6A243, 0xD7304C54EBAD40A9),
    (48, 0, 0xA002AC4E5478227E, 0xF942219AED80F67B),
    (81, PRIME32, 0x2724EC7ADC750FB6, 0x703FBB3D7A5F755C),
    (222, 0, 0x337E09641B948717, 0xF1AEBD597CEC6B3A),
    (403, PRIME64, 0xBED311971E0BE8F2, 0x6259F6ECFD6443FD),
    (512, 0, 0x18D2D110DCC9BCA1, 0x617E49599013CB6B),
    (2048, PRIME32, 0x7FB03F7E7186C3EA, 0x230D43F30206260B),
    (2240, 0, 0xCCB134FBFA7CE49D, 0x6E73A90539CF2948),
    (2367, PRIME32, 0xD23AAE4B76C31ECB, 0x6F5360AE69C2F406),
]
# Length, hash, keyed hash (their first 32 bytes): from the BLAKE3 project's test vectors.
BLAKE3 = [
    (
        0,
        "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
        "92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26",
    ),
    (
        1,
        "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
        "6d7878dfff2f485635d39013278ae14f1454b8c0a3a2d34bc1ab38228a80c95b",
    ),
    (
        1023,
        "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
        "c951ecdf03288d0fcc96ee3413563d8a6d3589547f2c2fb36d9786470f1b9d6e",
    ),
    (
        1024,
        "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
        "75c46f6f3d9eb4f55ecaaee480db732e6c2105546f1e675003687c31719c7ba4",
    ),
    (
        1025,
        "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
        "357dc55de0c7e382c900fd6e320acc04146be01db6a8ce7210b7189bd664ea69",
    ),
    (
        3073,
        "7124b49501012f81cc7f11ca069ec9226cecb8a2c850cfe644e327d22d3e1cd3",
        "68dede9bef00ba89e43f31a6825f4cf433389fedae75c04ee9f0cf16a427c95a",
    ),
    (
        7169,
        "a003fc7a51754a9b3c7fae0367ab3d782dccf28855a03d435f8cfe74605e7817",
        "ed9b1a922c046fdb3d423ae34e143b05ca1bf28b710432857bf738bcedbfa511",
    ),
]


def xxhash_input(length: int) -> bytes:
    state, out = PRIME32, bytearray()
    for _ in range(length):
        out.append(state >> 56)
        state = state * PRIME64 % 2**64
    return bytes(out)


def blake3_input(length: int) -> bytes:
    return (bytes(range(251)) * (length // 251 + 1))[:length]


@pytest.mark.parametrize(("length", "seed", "high", "low"), XXH3_128)
def test_xxh3_gives_the_published_vectors(length: int, seed: int, high: int, low: int) -> None:
    expected = (high << 64 | low).to_bytes(16, "big")
    assert _core.xxh3_128(xxhash_input(length), seed) == expected
    if seed == 0:
        hasher = _core.Hasher("xxh3")
        hasher.update(xxhash_input(length))
        assert hasher.digest() == expected


@pytest.mark.parametrize(("length", "plain", "keyed"), BLAKE3)
def test_blake3_gives_the_published_vectors(length: int, plain: str, keyed: str) -> None:
    data = blake3_input(length)
    assert _core.blake3(data).hex() == plain
    assert _core.blake3(data, key=KEY).hex() == keyed
    assert _core.blake3(data, KEY, 8).hex() == keyed[:16]


def test_blake3_gives_more_than_32_bytes_if_asked() -> None:
    long = _core.blake3(b"", length=48)
    assert long.hex() == BLAKE3[0][1] + "e00f03e7b69af26b7faaf09fcd333050"


@given(st.lists(st.binary(max_size=3000), max_size=8), st.sampled_from(["blake3", "xxh3"]))
def test_pieces_give_the_digest_of_the_whole(pieces: list[bytes], algorithm: str) -> None:
    hasher = _core.Hasher(algorithm)
    for piece in pieces:
        hasher.update(piece)
    whole = _core.blake3 if algorithm == "blake3" else _core.xxh3_128
    assert hasher.digest() == whole(b"".join(pieces))


@pytest.mark.parametrize("size", [0, 1, 1000, 200_000])
def test_every_kind_of_buffer_is_read_where_it_is(size: int, tmp_path: Path) -> None:
    data = blake3_input(size)
    kinds: list[Any] = [bytearray(data), memoryview(data), array.array("B", data)]
    kinds += [np.frombuffer(data, np.uint8)]
    if size % 1000 == 0 and size:
        kinds += [np.frombuffer(data, np.float64).reshape(-1, 5)]
        file = tmp_path / "data"
        file.write_bytes(data)
        with file.open("rb") as opened:
            kinds.append(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))
    assert {_core.xxh3_128(kind) for kind in kinds} == {_core.xxh3_128(data)}
    assert {_core.blake3(kind) for kind in kinds} == {_core.blake3(data)}


def test_other_threads_run_while_a_large_buffer_is_hashed() -> None:
    """With the interpreter lock held, the other thread would wake up after the hashing only."""
    data = bytes(64 << 20)
    assert any(_wakes_up_early(data) for _ in range(10))


def _wakes_up_early(data: bytes) -> bool:
    begun, times = threading.Event(), []

    def hash_all() -> None:
        begun.set()
        times.append(time.perf_counter())
        _core.blake3(data)
        times.append(time.perf_counter())

    worker = threading.Thread(target=hash_all)
    worker.start()
    begun.wait()
    woken = time.perf_counter()
    worker.join()
    start, end = times
    return start < woken < (start + end) / 2


def test_wrong_arguments_are_refused_with_a_sentence() -> None:
    with pytest.raises(ValueError, match="32 bytes, not 3"):
        _core.blake3(b"", key=b"abc")
    with pytest.raises(ValueError, match="known: blake3, xxh3"):
        _core.Hasher("md5")
    with pytest.raises(ValueError, match="no key"):
        _core.Hasher("xxh3", b"key")
    with pytest.raises(TypeError):
        _core.blake3("text")  # type: ignore[arg-type]
    with pytest.raises((BufferError, ValueError)):
        _core.blake3(np.zeros((4, 4))[:, 1])  # type: ignore[arg-type]


tokens_lists = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=50)


@given(st.binary(max_size=40), tokens_lists, st.integers(1, 9))
def test_chained_digests_are_what_they_are_defined_as(
    parent: bytes, tokens: list[int], block: int
) -> None:
    expected: list[bytes] = []
    for start in range(0, len(tokens) - block + 1, block):
        run = np.array(tokens[start : start + block], dtype="<i8").tobytes()
        parent_now = expected[-1] if expected else parent
        expected.append(_core.blake3(parent_now + run, length=16))
    assert _core.chain_digest(parent, tokens, block) == expected
    assert _core.chain_digest(parent, np.array(tokens, dtype=np.int64), block) == expected  # type: ignore[arg-type]


@given(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=40), st.integers(1, 5))
def test_narrow_and_wide_tokens_chain_alike(tokens: list[int], block: int) -> None:
    narrow = np.array(tokens, dtype=np.int32)
    assert _core.chain_digest(b"", narrow, block) == _core.chain_digest(b"", tokens, block)  # type: ignore[arg-type]


def test_a_longer_prompt_keeps_the_digests_of_its_prefix() -> None:
    tokens = list(range(100))
    assert _core.chain_digest(b"m", tokens, 16)[:4] == _core.chain_digest(b"m", tokens[:64], 16)
    assert _core.chain_digest(b"m", tokens, 16) != _core.chain_digest(b"n", tokens, 16)


def test_tokens_of_another_type_are_refused() -> None:
    with pytest.raises(TypeError, match="int64 or int32"):
        _core.chain_digest(b"", np.zeros(4), 2)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 1"):
        _core.chain_digest(b"", [1], 0)
