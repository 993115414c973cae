"""A store against a plain dict, step by random step.

class MyMachine(StoreMachine):
    def make_store(self):
        return MyStore(tempfile.mkdtemp())

TestMyStore = MyMachine.TestCase
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from infercache.errors import StoreFullError
from infercache.key import Key
from infercache.stores.base import Invalidation, Record, RecordInfo, SharedStore, Store

_keys = st.builds(
    lambda number, namespace: Key("", namespace, "v", bytes([number]) * 16),
    st.integers(0, 7),
    st.just("a"),
) | st.builds(lambda number: Key("t", "b", "v", bytes([number + 8]) * 16), st.integers(0, 7))
_blobs = st.builds(
    lambda letter, size: bytes([letter]) * size,
    st.integers(0, 255),
    st.sampled_from([0, 1, 100, 3_000, 16_384, 16_385, 70_000]),
)
_tags = st.lists(st.sampled_from(["red", "blue"]), unique=True).map(tuple)
_versions = st.integers(1, 3)


class StoreMachine(RuleBasedStateMachine):
    """Puts, deletes, invalidations and reopenings; the store must agree with the dict.

    Override `make_store`; called again after `close` it must open the same place if the store
    is persistent.
    """

    def __init__(self) -> None:
        super().__init__()
        self.store = self.make_store()
        self.model: dict[Key, tuple[bytes, tuple[str, ...], int]] = {}
        self.held: list[tuple[Any, bytes]] = []
        self.leases: list[tuple[int, list[Invalidation]]] = []

    def make_store(self) -> Store:
        """Open the store under test."""
        raise NotImplementedError("override make_store")

    @rule(batch=st.lists(st.tuples(_keys, _blobs, _tags, _versions), max_size=4))
    def put(self, batch: list[tuple[Key, bytes, tuple[str, ...], int]]) -> None:
        """Write a batch; all of it is there."""
        assert self.store.put_many([self._record(*one) for one in batch]) == [True] * len(batch)
        self.model.update({key: (blob, tags, version) for key, blob, tags, version in batch})

    @rule(key=_keys, blob=_blobs, expected=st.integers(0, 3), version=_versions)
    def put_if(self, key: Key, blob: bytes, expected: int, version: int) -> None:
        """Write only over an expected version."""
        if not self.store.features.conditional_put:
            return
        known = self.model[key][2] if key in self.model else 0
        written = self.store.put_many([self._record(key, blob, (), version)], if_version=[expected])
        assert written == [known == expected]
        if written == [True]:
            self.model[key] = (blob, (), version)

    @rule(key=_keys, blob=_blobs)
    def put_over_limit(self, key: Key, blob: bytes) -> None:
        """A put that cannot fit changes nothing."""
        with pytest.raises(StoreFullError):
            self.store.put_many([self._record(key, blob, (), 1)], limit_bytes=0)

    @rule(keys=st.lists(_keys, max_size=4, unique=True))
    def delete(self, keys: list[Key]) -> None:
        """Delete, and count what was there."""
        assert self.store.delete_many(keys) == len(self.model.keys() & set(keys))
        for key in keys:
            self.model.pop(key, None)

    @rule(keys=st.lists(_keys, max_size=6))
    def get(self, keys: list[Key]) -> None:
        """Read a batch, and hold on to the buffers."""
        for key, stored in zip(keys, self.store.get_many(keys), strict=True):
            assert (stored is None) == (key not in self.model)
            if stored is not None:
                assert bytes(stored.buffer) == self.model[key][0]
                self.held = [*self.held[-5:], (stored.buffer, self.model[key][0])]

    @precondition(lambda self: isinstance(self.store, SharedStore))
    @rule(
        what=st.builds(
            Invalidation,
            scope=st.none() | st.sampled_from(["", "t"]),
            namespace=st.none() | st.sampled_from(["a", "b"]),
            version=st.none() | st.just("v"),
            tag=st.none() | st.sampled_from(["red", "blue"]),
            digest=st.none() | _keys.map(lambda key: key.digest),
        )
    )
    def invalidate(self, what: Invalidation) -> None:
        """Drop what matches."""
        assert isinstance(self.store, SharedStore)
        doomed = [key for key, (_, tags, _) in self.model.items() if what.matches(key, tags)]
        assert self.store.invalidate(what) == len(doomed)
        for key in doomed:
            del self.model[key]
        for _, since in self.leases:
            since.append(what)

    @precondition(lambda self: isinstance(self.store, SharedStore))
    @rule()
    def take_lease(self) -> None:
        """Begin a computation."""
        assert isinstance(self.store, SharedStore)
        self.leases = [*self.leases[-3:], (self.store.lease(), [])]

    @precondition(lambda self: self.leases)
    @rule(at=st.integers(0, 3), key=_keys, blob=_blobs, tags=_tags)
    def put_under_lease(self, at: int, key: Key, blob: bytes, tags: tuple[str, ...]) -> None:
        """End a computation: its value is refused if it was invalidated meanwhile."""
        lease, since = self.leases[at % len(self.leases)]
        fenced = any(what.matches(key, tags) for what in since)
        assert self.store.put_many([self._record(key, blob, tags, 1)], lease=lease) == [not fenced]
        if not fenced:
            self.model[key] = (blob, tags, 1)

    @precondition(lambda self: self.store.features.persistent)
    @rule()
    def reopen(self) -> None:
        """Close and open again."""
        self.store.close()
        self.store = self.make_store()

    @invariant()
    def accounts_add_up(self) -> None:
        """Nothing is lost, nothing is left over, and every held buffer still reads the same."""
        assert self.store.check() == []
        infos = {info.key: info for info in self.store.scan()}
        assert infos.keys() == self.model.keys()
        for key, (_, tags, version) in self.model.items():
            assert (set(infos[key].tags), infos[key].version) == (set(tags), version)
        if isinstance(self.store, SharedStore):
            charged = sum(info.size_bytes for info in infos.values())
            assert self.store.usage() == (charged, len(infos))
        for buffer, blob in self.held:
            assert bytes(buffer) == blob

    def teardown(self) -> None:
        """Close the store."""
        self.store.close()

    def _record(self, key: Key, blob: bytes, tags: tuple[str, ...], version: int) -> Record:
        half = len(blob) // 2
        info = RecordInfo(key, len(blob), 0.0, version, tags=tags)
        return Record(info, (blob[:half], memoryview(blob)[half:]))
