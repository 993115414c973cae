"""Blobs: every check refuses what it is there for, and nothing is copied that need not be."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infercache.codecs.blob import Blob, open_blob, peek_header, seal
from infercache.codecs.plain import PlainCodec
from infercache.entry import NEVER, Entry
from infercache.errors import BlobError, EncodeError, SettingError
from infercache.key import Key

# No absolute timing: the machine may be busy.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

KEY = Key("tenant", "embed", "v1", bytes(range(16)))
SECRETS = [None, b"secret of the fleet"]
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KEYS = st.builds(Key, NAMES, NAMES, NAMES, st.binary(min_size=16, max_size=16))
ENTRIES = st.builds(
    Entry,
    st.none(),
    cost_s=st.floats(0, 1e9),
    version=st.integers(0, 2**64 - 1),
    created_at=st.floats(0, 1e12),
    expires_at=st.floats(0, 1e12) | st.just(NEVER),
    stale_until=st.floats(0, 1e12) | st.just(NEVER),
    tags=st.lists(NAMES, max_size=4).map(tuple),
)


def sealed(body: bytes = b"body", secret: bytes | None = None, **changes: Any) -> bytes:
    return b"".join(seal(KEY, "plain/1", Entry(None, **changes), [body], secret))


@PATIENT
@given(KEYS, ENTRIES, st.lists(st.binary(max_size=100)), st.sampled_from(SECRETS))
def test_what_is_sealed_is_opened(
    key: Key, entry: Entry, body: list[bytes], secret: bytes | None
) -> None:
    blob = b"".join(seal(key, "plain/1+zstd/1", entry, body, secret))
    opened = open_blob(blob, key, "plain/1+zstd/1", secret)
    head = opened.header
    assert bytes(opened.body) == b"".join(body)
    assert (head.key, head.codec_id, head.keyed) == (key, "plain/1+zstd/1", secret is not None)
    for field in ("cost_s", "version", "created_at", "expires_at", "stale_until", "tags"):
        assert getattr(head, field) == getattr(entry, field)
    assert peek_header(blob) == head


@pytest.mark.parametrize("secret", SECRETS)
def test_every_flipped_bit_is_noticed(secret: bytes | None) -> None:
    blob = sealed(b"the body", secret, tags=("a", "b"))
    for place in range(len(blob) * 8):
        damaged = bytearray(blob)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(BlobError):
            open_blob(damaged, KEY, "plain/1", secret)


@pytest.mark.parametrize("secret", SECRETS)
def test_every_truncation_and_extension_is_noticed(secret: bytes | None) -> None:
    blob = sealed(b"the body", secret)
    for end in range(len(blob)):
        with pytest.raises(BlobError):
            open_blob(blob[:end], KEY, "plain/1", secret)
    for extra in (b"\0", b"x" * 16, blob):
        with pytest.raises(BlobError, match="truncated or overlong"):
            open_blob(blob + extra, KEY, "plain/1", secret)


@PATIENT
@given(st.binary(max_size=400))
def test_any_bytes_are_a_blob_error(data: bytes) -> None:
    for candidate in (data, sealed()[:16] + data):
        with pytest.raises(BlobError):
            open_blob(candidate, KEY, "plain/1")
        try:
            peek_header(candidate)
        except BlobError as error:
            assert str(error)  # noqa: PT017 - a header may be readable


@PATIENT
@given(KEYS)
def test_another_key_is_refused(other: Key) -> None:
    if other != KEY:
        with pytest.raises(BlobError, match="belongs to"):
            open_blob(sealed(), other, "plain/1")


def test_another_codec_is_refused_before_anything_is_decoded() -> None:
    with pytest.raises(BlobError, match=r"codec 'plain/1', and the reader accepts 'json/1'"):
        open_blob(sealed(), KEY, "json/1")


@pytest.mark.parametrize(
    ("written", "read", "reason"),
    [
        (None, b"secret", "sealed without a secret"),
        (b"secret", None, "sealed with a secret"),
        (b"secret", b"another", "checksum"),
    ],
)
def test_secrets_must_agree(written: bytes | None, read: bytes | None, reason: str) -> None:
    with pytest.raises(BlobError, match=reason):
        open_blob(sealed(secret=written), KEY, "plain/1", read)


def test_an_empty_secret_is_a_setting_error() -> None:
    with pytest.raises(SettingError, match="empty"):
        sealed(secret=b"")


def patched(offset: int, layout: str, value: int) -> bytes:
    blob = bytearray(sealed())
    struct.pack_into(layout, blob, offset, value)
    return bytes(blob)


@pytest.mark.parametrize(
    ("blob", "reason"),
    [
        (patched(0, "<B", 0), "magic number"),
        (patched(8, "<H", 2), "format 2; this version of infercache reads 1"),
        (patched(10, "<B", 9), "unknown checksum algorithm 9"),
        (patched(12, "<I", 2**32 - 1), "contradict"),
        (patched(16, "<I", 2**32 - 1), "contradict"),
        (patched(20, "<I", 2**32 - 1), "contradict"),
        (patched(24, "<Q", 2**64 - 1), "announces"),
    ],
)
def test_a_lying_header_is_named(blob: bytes, reason: str) -> None:
    with pytest.raises(BlobError, match=reason):
        open_blob(blob, KEY, "plain/1")


def test_the_header_can_be_read_from_the_beginning_alone() -> None:
    blob = sealed(b"x" * 100_000, tags=("a",))
    header = peek_header(blob[:256])
    assert (header.key, header.body_bytes, header.tags) == (KEY, 100_000, ("a",))
    with pytest.raises(BlobError, match="ends within its header"):
        peek_header(blob[:100])


def test_large_bodies_are_neither_copied_by_seal_nor_by_open() -> None:
    body = bytearray(b"x" * 1_000_000)
    buffers = seal(KEY, "plain/1", Entry(None), [memoryview(body)])
    assert isinstance(buffers[1], memoryview)
    assert buffers[1].obj is body
    stored = b"".join(buffers)
    assert open_blob(stored, KEY, "plain/1").body.obj is stored


@PATIENT
@given(st.lists(NAMES, max_size=10).map(tuple), st.integers(0, 300))
def test_bodies_start_aligned(tags: tuple[str, ...], size: int) -> None:
    blob = b"".join(seal(KEY, "plain/1", Entry(None, tags=tags), [b"x" * size]))
    assert (len(blob) - 16 - size) % 64 == 0
    assert bytes(open_blob(blob, KEY, "plain/1").body) == b"x" * size


@pytest.mark.parametrize(
    "changes",
    [{"version": -1}, {"version": 2**64}, {"tags": ("x" * 2**21,)}, {"tags": ("\ud800",)}],
)
def test_what_does_not_fit_is_an_encode_error(changes: dict[str, Any]) -> None:
    with pytest.raises(EncodeError):
        sealed(**changes)


def test_buffers_of_other_shapes_are_bytes_all_the_same() -> None:
    words = memoryview(bytearray(8)).cast("I")
    blob = b"".join(seal(KEY, "plain/1", Entry(None), [words]))
    opened: Blob = open_blob(memoryview(blob).cast("b"), KEY, "plain/1")
    assert bytes(opened.body) == bytes(8)


def test_a_codec_may_be_given_in_place_of_its_id() -> None:
    assert seal(KEY, PlainCodec(), Entry(None), [b"x"]) == seal(KEY, "plain/1", Entry(None), [b"x"])
