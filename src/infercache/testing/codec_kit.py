"""The contract of codecs as tests: subclass `CodecKit` and say how to make your codec.

class TestMyCodec(CodecKit):
    def make(self) -> Codec:
        return MyCodec()

    values = [None, {"a": [1, 2]}, ...]
    refused = [object()]
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import pickle
import sys
from collections.abc import Sequence, Set
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infercache.codecs.base import Buffer, Codec
from infercache.codecs.blob import open_blob, seal
from infercache.entry import Entry
from infercache.errors import BlobError, EncodeError
from infercache.key import Key

KEY = Key("tenant", "namespace", "v1", bytes(range(16)))


class CodecKit:
    """What every codec must do; pytest collects the subclasses whose name starts with Test.

    Attributes:
        values: Values that the codec writes; a lossless one must give them back.
        refused: Values that it must refuse with `EncodeError`.
        runs_code: Whether decoding may run code (pickle), so that damaged bytes are not tried.
    """

    values: ClassVar[Sequence[Any]] = ()
    refused: ClassVar[Sequence[Any]] = ()
    runs_code: ClassVar[bool] = False

    def make(self) -> Codec:
        """Return a new codec."""
        raise NotImplementedError

    def within_bound(self, value: Any, back: Any) -> bool:
        """Return whether a lossy codec kept its promise; to be replaced for one."""
        return same(value, back)

    def test_values_come_back(self) -> None:
        """Same types, same content."""
        codec = self.make()
        assert self.values
        for value in self.values:
            back = codec.decode(body_of(codec.encode(value)))
            assert self.within_bound(value, back), (value, back)

    def test_another_codec_object_reads_them(self) -> None:
        """Nothing that is needed to read lives only in the writer."""
        for value in self.values:
            assert self.make().decode(body_of(self.make().encode(value))) is not NotImplemented

    def test_other_values_are_refused(self) -> None:
        """With `EncodeError` and a sentence."""
        codec = self.make()
        for value in self.refused:
            with pytest.raises(EncodeError) as caught:
                codec.encode(value)
            assert str(caught.value)

    def test_encoding_leaves_the_value_alone(self) -> None:
        """A writer may go on using what it put."""
        codec = self.make()
        for value in self.values:
            first = bytes(body_of(codec.encode(value)))
            codec.decode(memoryview(first))
            again = codec.decode(body_of(codec.encode(value)))
            assert same(codec.decode(memoryview(first)), again)

    def test_the_id_is_stable_and_short(self) -> None:
        """It is written into every blob."""
        codec = self.make()
        assert codec.id == self.make().id
        assert codec.id.isascii()
        assert 0 < len(codec.id) <= 255

    def test_the_codec_travels_to_other_processes(self) -> None:
        """Settings hold codecs and are pickled when a process is spawned."""
        codec = pickle.loads(pickle.dumps(self.make()))  # noqa: S301 - pickled here
        assert codec.id == self.make().id
        for value in self.values:
            assert self.within_bound(value, codec.decode(body_of(codec.encode(value))))

    def test_threads_share_a_codec(self) -> None:
        """Codecs are immutable: no lock, no mixing up."""
        codec = self.make()

        def work(number: int) -> bool:
            value = self.values[number % len(self.values)]
            return self.within_bound(value, codec.decode(body_of(codec.encode(value))))

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            assert all(pool.map(work, range(100)))

    def test_empty_and_truncated_bodies_are_blob_errors_or_values(self) -> None:
        """Never another exception."""
        codec = self.make()
        with pytest.raises(BlobError):
            codec.decode(memoryview(b""))
        for value in self.values:
            body = body_of(codec.encode(value))
            for end in {0, 1, len(body) // 2, len(body) - 1}:
                decodes(codec, body[:end])

    @settings(max_examples=50, suppress_health_check=list(HealthCheck), deadline=None)
    @given(data=st.data())
    def test_any_bytes_are_blob_errors_or_values(self, data: st.DataObject) -> None:
        """Damage that a checksum would have caught, and bytes that nobody wrote."""
        codec = self.make()
        if self.runs_code:
            return
        decodes(codec, memoryview(data.draw(st.binary(max_size=300))))
        body = bytearray(body_of(codec.encode(data.draw(st.sampled_from(self.values)))))
        for _ in range(data.draw(st.integers(1, 3))):
            if body:
                place = data.draw(st.integers(0, min(len(body) - 1, 200)))
                body[place] = data.draw(st.integers(0, 255))
        decodes(codec, memoryview(bytes(body)))

    def test_values_travel_in_blobs(self) -> None:
        """Sealed and opened again, with and without a secret."""
        codec = self.make()
        for value in self.values:
            for secret in (None, b"secret of the fleet"):
                sealed = seal(KEY, codec, Entry(None), codec.encode(value), secret)
                blob = open_blob(body_of(sealed), KEY, codec.id, secret)
                assert self.within_bound(value, codec.decode(blob.body))


def body_of(buffers: Sequence[Buffer]) -> memoryview:
    """Return buffers as the one read-only buffer that a store would hand out."""
    return memoryview(b"".join(buffers))


def decodes(codec: Codec, body: memoryview) -> bool:
    """Return whether a body decodes; anything but `BlobError` goes through."""
    try:
        codec.decode(body)
    except BlobError:
        return False
    return True


def same(left: Any, right: Any) -> bool:
    """Return whether two values are the same in type and content; NaN is the same as NaN."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return len(left) == len(right) and _same_pairs(left, right)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, (float, complex)):
        return repr(left) == repr(right)
    if dataclasses.is_dataclass(left):
        return same(vars(left), vars(right))
    if isinstance(left, (set, frozenset)):
        return _same_set(left, right)
    if hasattr(left, "dtype"):
        return _same_array(left, right)
    if hasattr(left, "equals"):
        return bool(left.equals(right))
    return repr(left) == repr(right) if left != left else bool(left == right)


def _same_pairs(left: dict[Any, Any], right: dict[Any, Any]) -> bool:
    pairs = zip(left.items(), right.items(), strict=True)
    return all(same(ours, theirs) for ours, theirs in pairs)


def _same_set(left: Set[Any], right: Set[Any]) -> bool:
    """Hashing tells most items; what is not equal to itself needs a look at each pair."""
    return len(left) == len(right) and all(any(same(one, other) for other in right) for one in left)


def _same_array(left: Any, right: Any) -> bool:
    if left.dtype != right.dtype or tuple(left.shape) != tuple(right.shape):
        return False
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(left, torch.Tensor):
        return bool(torch.equal(_raw(left, torch), _raw(right, torch)))
    if left.dtype.names:  # field by field: what lies between fields is nobody's
        return all(_same_array(left[name], right[name]) for name in left.dtype.names)
    return bool(left.tobytes() == right.tobytes())


def _raw(tensor: Any, torch: Any) -> Any:
    dense = tensor.detach().resolve_conj().contiguous().reshape(-1)
    return dense.view(torch.uint8) if dense.numel() else dense.to(torch.uint8)
