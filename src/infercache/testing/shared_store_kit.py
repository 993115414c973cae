# ruff: noqa: D102 - the names of the tests say what they promise
"""The contract of stores that processes on one machine share, as tests."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest

from infercache.stores.base import Invalidation, Record, SharedStore
from infercache.testing.store_kit import (
    LARGE,
    MakeStore,
    StoreContract,
    make_key,
    make_record,
    needs,
    read,
)


class SharedStoreContract(StoreContract):
    """What a store that processes share promises beyond that."""

    @pytest.fixture
    def shared(self, make_store: MakeStore) -> Iterator[SharedStore]:
        """Give a shared store, and find its accounts in order afterwards."""
        store = make_store()
        assert isinstance(store, SharedStore)
        yield store
        assert store.check() == []
        store.close()

    @pytest.fixture
    def other(self, make_store: MakeStore) -> Iterator[SharedStore]:
        """Give another store object on the same place."""
        store = make_store()
        assert isinstance(store, SharedStore)
        yield store
        store.close()

    def test_two_stores_see_each_others_records(
        self, shared: SharedStore, other: SharedStore
    ) -> None:
        shared.put_many([make_record(1, b"small"), make_record(2, LARGE)])
        assert (read(other, 1), read(other, 2)) == (b"small", LARGE)
        other.delete_many([make_key(1)])
        assert read(shared, 1) is None

    def test_closing_one_store_leaves_the_other_open(self, make_store: MakeStore) -> None:
        first, second = make_store(), make_store()
        first.put_many([make_record(1, LARGE)])
        first.close()
        assert read(second, 1) == LARGE
        second.close()

    def test_pickled_store_opens_the_same_place(self, shared: SharedStore) -> None:
        shared.put_many([make_record(1, b"blob")])
        copy = pickle.loads(pickle.dumps(shared))  # noqa: S301 - our own bytes
        assert read(copy, 1) == b"blob"
        copy.close()

    def test_usage_is_the_sum_of_the_records(self, shared: SharedStore) -> None:
        shared.put_many([make_record(n, b"x" * n, tags=("t",)) for n in range(1, 20)])
        shared.put_many([make_record(1, LARGE)])
        shared.delete_many([make_key(2)])
        infos = list(shared.scan())
        assert shared.usage() == (sum(info.size_bytes for info in infos), len(infos))
        shared.invalidate(Invalidation())
        assert shared.usage() == (0, 0)

    def test_evict_frees_what_it_says(self, shared: SharedStore) -> None:
        shared.put_many([make_record(1, b"x" * 300), make_record(2, LARGE)])
        before, _ = shared.usage()
        freed = shared.evict_many([make_key(1).digest, make_key(2).digest, make_key(3).digest])
        assert freed == before
        assert shared.usage() == (0, 0)

    # -- the journal -----------------------------------------------------------------------

    def test_journal_tells_each_kind_of_change(self, shared: SharedStore) -> None:
        since = shared.lease()
        shared.put_many([make_record(1, b"a", cost_s=2.0, expires_at=9e9)])
        shared.put_many([make_record(1, b"b")])
        shared.evict_many([make_key(1).digest])
        shared.invalidate(Invalidation(digest=make_key(1).digest))
        shared.invalidate(Invalidation(tag="t"))
        changes = shared.changes(since)
        assert changes is not None
        kinds = [change.kind for change in changes]
        assert kinds == ["put", "replace", "evict", "invalidate", "invalidate"]
        assert (changes[0].cost_s, changes[0].expires_at) == (2.0, 9e9)
        assert changes[0].size_bytes > 0
        assert [bool(change.digest) for change in changes] == [True, True, True, True, False]
        assert changes[4].target == Invalidation(tag="t")

    def test_journal_positions_grow_by_one(self, shared: SharedStore) -> None:
        since = shared.lease()
        for number in range(5):
            shared.put_many([make_record(number, b"x")])
        changes = shared.changes(since)
        assert changes is not None
        assert [change.sequence - since for change in changes] == [1, 2, 3, 4, 5]
        assert shared.changes(shared.lease()) == []
        assert shared.changes(since + 3) == changes[3:]

    def test_journal_says_whose_change_it_was(
        self, shared: SharedStore, other: SharedStore
    ) -> None:
        since = shared.lease()
        shared.put_many([make_record(1, b"x")])
        other.put_many([make_record(2, b"x")])
        for store, expected in ((shared, [True, False]), (other, [False, True])):
            changes = store.changes(since)
            assert changes is not None
            assert [change.own for change in changes] == expected

    def test_position_that_was_never_reached_is_refused(self, shared: SharedStore) -> None:
        assert shared.changes(shared.lease() + 1000) is None

    def test_hits_are_journalled_with_the_next_write(
        self, shared: SharedStore, other: SharedStore
    ) -> None:
        shared.put_many([make_record(1, b"x"), make_record(2, b"x")])
        since = shared.lease()
        shared.note_hits([make_key(1).digest, make_key(2).digest])
        shared.note_hits([make_key(1).digest])
        assert shared.changes(since) == []
        shared.put_many([make_record(3, b"x")])
        changes = other.changes(since)
        assert changes is not None
        touched = [change.digest for change in changes if change.kind == "touch"]
        assert touched == [make_key(2).digest, make_key(1).digest]

    def test_generation_changes_with_loud_changes_only(
        self, shared: SharedStore, other: SharedStore
    ) -> None:
        before = other.generation()
        shared.put_many([make_record(1, b"x")])
        shared.evict_many([make_key(1).digest])
        shared.put_many([make_record(1, b"x")])
        assert other.generation() == before
        shared.put_many([make_record(1, b"y")])
        replaced = other.generation()
        assert replaced != before
        shared.invalidate(Invalidation(tag="nothing has this tag"))
        assert other.generation() not in (before, replaced)

    # -- invalidation and fences -----------------------------------------------------------

    SPACES = (
        make_key(1, scope="a", namespace="x", version="1"),
        make_key(2, scope="a", namespace="x", version="2"),
        make_key(3, scope="a", namespace="y", version="1"),
        make_key(4, scope="b", namespace="x", version="1"),
    )
    WHATS: tuple[tuple[Invalidation, set[int]], ...] = (
        (Invalidation(digest=SPACES[1].digest), {2}),
        (Invalidation(scope="a"), {1, 2, 3}),
        (Invalidation(namespace="x"), {1, 2, 4}),
        (Invalidation(namespace="x", version="1"), {1, 4}),
        (Invalidation(scope="a", namespace="x", version="1"), {1}),
        (Invalidation(tag="odd"), {1, 3}),
        (Invalidation(tag="odd", namespace="y"), {3}),
        (Invalidation(tag="none"), set()),
        (Invalidation(digest=SPACES[1].digest, namespace="y"), set()),
        (Invalidation(), {1, 2, 3, 4}),
    )

    def _records(self) -> list[Record]:
        return [
            make_record(key, LARGE if n == 2 else b"x", tags=("odd", "all") if n % 2 else ("all",))
            for n, key in enumerate(self.SPACES, 1)
        ]

    @pytest.mark.parametrize(("what", "gone"), WHATS)
    def test_invalidate_deletes_what_matches(
        self, shared: SharedStore, what: Invalidation, gone: set[int]
    ) -> None:
        shared.put_many(self._records())
        assert shared.invalidate(what) == len(gone)
        found = shared.get_many(self.SPACES)
        assert {n for n, stored in enumerate(found, 1) if stored is None} == gone

    @pytest.mark.parametrize(("what", "gone"), WHATS)
    def test_value_computed_before_an_invalidation_is_refused(
        self, shared: SharedStore, other: SharedStore, what: Invalidation, gone: set[int]
    ) -> None:
        needs(shared, "fenced")
        lease = shared.lease()
        other.invalidate(what)
        written = shared.put_many(self._records(), lease=lease)
        assert {n for n, done in enumerate(written, 1) if not done} == gone
        assert shared.put_many(self._records(), lease=shared.lease()) == [True] * 4

    def test_eviction_fences_nothing(self, shared: SharedStore) -> None:
        shared.put_many([make_record(1, b"x")])
        lease = shared.lease()
        shared.evict_many([make_key(1).digest])
        shared.delete_many([make_key(1)])
        assert shared.put_many([make_record(1, b"x")], lease=lease) == [True]

    def test_lease_older_than_the_oldest_fence_is_refused(self, shared: SharedStore) -> None:
        needs(shared, "fenced")
        assert shared.put_many([make_record(1, b"x")], lease=0) == [False]
