# ruff: noqa: D102 - the names of the tests say what they promise
"""The contract of stores as tests: subclass, say how to make a store, run pytest.

    class TestMyStore(StoreContract):
        @pytest.fixture
        def make_store(self, tmp_path):
            return lambda: MyStore(tmp_path / "store")

Called again, `make_store` opens the same place: the tests of persistent and shared stores look
at it through two store objects. `infercache.testing.shared_store_kit` has the contract of stores
that processes share. What a store does not claim in its `features` is not tested.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from infercache.errors import StoreFullError
from infercache.key import Key
from infercache.stores.base import (
    Buffer,
    Record,
    RecordInfo,
    Store,
    Stored,
)

MakeStore = Callable[[], Store]

LARGE = bytes(range(256)) * 4096
"""A blob of 1 MiB, which stores with mapped files keep in a file."""


def make_key(number: int, *, scope: str = "", namespace: str = "test", version: str = "v1") -> Key:
    """Return a key; numbers, and nothing else, tell digests apart."""
    return Key(scope, namespace, version, number.to_bytes(16, "big"))


def make_record(key: Key | int, *buffers: Buffer, **info: Any) -> Record:
    """Return a record of these buffers; `info` are further fields of `RecordInfo`."""
    key = make_key(key) if isinstance(key, int) else key
    size = sum(memoryview(buffer).nbytes for buffer in buffers)
    return Record(RecordInfo(key, size, **info), buffers)


def read(store: Store, key: Key | int) -> bytes | None:
    """Return one blob as bytes."""
    key = make_key(key) if isinstance(key, int) else key
    (stored,) = store.get_many([key])
    return None if stored is None else bytes(stored.buffer)


def needs(store: Store, feature: str) -> None:
    """Skip a test of a feature that the store does not claim."""
    if not getattr(store.features, feature):
        pytest.skip(f"{type(store).__name__} does not claim to be {feature}")


def read_stored(store: Store, number: int) -> Stored:
    """Return what a store hands out for a key that it holds."""
    (stored,) = store.get_many([make_key(number)])
    assert stored is not None
    return stored


def run_threads(jobs: list[Callable[[], None]]) -> None:
    """Run jobs at once, and raise the first error of any."""
    errors: list[BaseException] = []

    def guarded(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


class StoreContract:
    """What every store promises."""

    @pytest.fixture
    def make_store(self) -> MakeStore:
        """Return a function that opens the store under test; override this."""
        raise NotImplementedError("override the fixture make_store")

    @pytest.fixture
    def store(self, make_store: MakeStore) -> Iterator[Store]:
        """Give a store, and find its accounts in order afterwards."""
        store = make_store()
        yield store
        assert store.check() == []
        store.close()

    # -- reading and writing ---------------------------------------------------------------

    def test_unknown_key_reads_as_none(self, store: Store) -> None:
        assert store.get_many([make_key(1)]) == [None]

    def test_what_was_put_is_read(self, store: Store) -> None:
        assert store.put_many([make_record(1, b"blob")]) == [True]
        assert read(store, 1) == b"blob"

    def test_large_blob_is_read_whole(self, store: Store) -> None:
        store.put_many([make_record(1, LARGE)])
        assert read(store, 1) == LARGE

    def test_empty_blob_is_not_a_miss(self, store: Store) -> None:
        store.put_many([make_record(1, b"")])
        assert read(store, 1) == b""

    def test_empty_batches_do_nothing(self, store: Store) -> None:
        assert store.get_many([]) == []
        assert store.put_many([]) == []
        assert store.delete_many([]) == 0

    def test_results_follow_the_order_of_keys(self, store: Store) -> None:
        store.put_many([make_record(number, b"%d" % number) for number in range(10)])
        asked = [7, 99, 3, 3, 0]
        found = store.get_many([make_key(number) for number in asked])
        blobs = [stored and bytes(stored.buffer) for stored in found]
        assert blobs == [b"7", None, b"3", b"3", b"0"]

    def test_buffers_of_one_record_follow_each_other(self, store: Store) -> None:
        store.put_many([make_record(1, b"a", b"", bytearray(b"b"), memoryview(b"xcx")[1:2])])
        assert read(store, 1) == b"abc"

    def test_buffers_of_a_large_record_follow_each_other(self, store: Store) -> None:
        store.put_many([make_record(1, b"head", memoryview(LARGE), b"", bytearray(b"tail"))])
        assert read(store, 1) == b"head" + LARGE + b"tail"

    def test_later_changes_of_the_callers_buffer_do_not_reach_the_store(self, store: Store) -> None:
        small, large = bytearray(b"before"), bytearray(LARGE)
        store.put_many([make_record(1, small), make_record(2, large)])
        small[:] = b"after!"
        large[0] = 99
        assert read(store, 1) == b"before"
        assert read(store, 2) == LARGE

    def test_buffers_are_read_only(self, store: Store) -> None:
        store.put_many([make_record(1, b"small"), make_record(2, LARGE)])
        for stored in store.get_many([make_key(1), make_key(2)]):
            assert stored is not None
            assert memoryview(stored.buffer).readonly

    def test_put_replaces(self, store: Store) -> None:
        for blob in (b"first", LARGE, LARGE[::-1], b"last"):
            assert store.put_many([make_record(1, blob)]) == [True]
            assert read(store, 1) == blob
        assert len(list(store.scan())) == 1

    def test_last_of_two_records_under_one_key_wins(self, store: Store) -> None:
        for first, second in ((b"a", b"b"), (LARGE, b"b"), (b"a", LARGE)):
            store.put_many([make_record(1, first), make_record(1, second)])
            assert read(store, 1) == second

    def test_batch_of_a_thousand(self, store: Store) -> None:
        numbers = range(1000)
        assert all(store.put_many([make_record(n, b"%d" % n) for n in numbers]))
        found = store.get_many([make_key(n) for n in numbers])
        assert [stored and bytes(stored.buffer) for stored in found] == [b"%d" % n for n in numbers]

    # -- deleting --------------------------------------------------------------------------

    def test_delete_counts_what_was_there(self, store: Store) -> None:
        store.put_many([make_record(1, b"a"), make_record(2, LARGE)])
        assert store.delete_many([make_key(1), make_key(2), make_key(3)]) == 2
        assert store.get_many([make_key(1), make_key(2)]) == [None, None]
        assert store.delete_many([make_key(1)]) == 0

    @pytest.mark.parametrize("blob", [b"small", LARGE], ids=["small", "large"])
    def test_held_buffer_survives_delete_replace_and_close(
        self, make_store: MakeStore, blob: bytes
    ) -> None:
        store = make_store()
        store.put_many([make_record(1, blob), make_record(2, blob)])
        held = [stored.buffer for stored in store.get_many([make_key(1), make_key(2)]) if stored]
        store.delete_many([make_key(1)])
        store.put_many([make_record(2, blob[::-1])])
        store.close()
        assert [bytes(buffer) for buffer in held] == [blob, blob]

    # -- what the index knows --------------------------------------------------------------

    def test_scan_tells_all_that_was_written(self, store: Store) -> None:
        key = make_key(1, scope="tenant-ü", namespace="stage", version="v-7")
        store.put_many(
            [
                make_record(
                    key,
                    b"blob",
                    cost_s=1.5,
                    version=3,
                    created_at=1000.25,
                    expires_at=9e9,
                    tags=("one", "zwei–2"),
                )
            ]
        )
        (info,) = store.scan()
        assert (info.key, info.cost_s, info.version) == (key, 1.5, 3)
        assert (info.created_at, info.expires_at) == (1000.25, 9e9)
        assert set(info.tags) == {"one", "zwei–2"}

    def test_scan_gives_each_record_once(self, store: Store) -> None:
        store.put_many([make_record(n, b"x") for n in range(1500)])
        assert {info.key.digest for info in store.scan()} == {
            make_key(n).digest for n in range(1500)
        }
        assert sum(1 for _ in store.scan()) == 1500

    def test_scan_filters_by_scope_and_namespace(self, store: Store) -> None:
        spaces = [("a", "x"), ("a", "y"), ("b", "x")]
        store.put_many(
            [
                make_record(make_key(n, scope=scope, namespace=namespace), b"x")
                for n, (scope, namespace) in enumerate(spaces)
            ]
        )
        assert {info.key.namespace for info in store.scan(scope="a")} == {"x", "y"}
        assert {info.key.scope for info in store.scan(namespace="x")} == {"a", "b"}
        assert [info.key.digest for info in store.scan("b", "x")] == [make_key(2).digest]
        assert list(store.scan("c")) == []

    def test_records_may_be_deleted_while_scanning(self, store: Store) -> None:
        store.put_many([make_record(n, b"x") for n in range(20)])
        for info in store.scan():
            store.delete_many([info.key])
        assert list(store.scan()) == []

    def test_charge_covers_the_bytes(self, store: Store) -> None:
        store.put_many([make_record(1, b"x" * 100), make_record(2, LARGE)])
        charges = {info.key.digest: info.size_bytes for info in store.scan()}
        assert charges[make_key(1).digest] >= 100
        assert charges[make_key(2).digest] >= len(LARGE)

    # -- limits ----------------------------------------------------------------------------

    @pytest.mark.parametrize("blob", [b"x" * 500, LARGE], ids=["small", "large"])
    def test_put_over_the_limit_writes_nothing(self, store: Store, blob: bytes) -> None:
        store.put_many([make_record(1, blob)])
        (info,) = store.scan()
        batch = [make_record(2, blob), make_record(3, blob)]
        with pytest.raises(StoreFullError):
            store.put_many(batch, limit_bytes=info.size_bytes * 2)
        assert store.get_many([make_key(2), make_key(3)]) == [None, None]
        assert read(store, 1) == blob
        assert store.put_many(batch, limit_bytes=info.size_bytes * 3) == [True, True]

    def test_replacing_counts_only_the_difference(self, store: Store) -> None:
        store.put_many([make_record(1, b"x" * 500)])
        (info,) = store.scan()
        assert store.put_many([make_record(1, b"y" * 500)], limit_bytes=info.size_bytes) == [True]

    # -- conditional puts ------------------------------------------------------------------

    def test_put_if_absent(self, store: Store) -> None:
        needs(store, "conditional_put")
        assert store.put_many([make_record(1, b"first", version=1)], if_version=[0]) == [True]
        assert store.put_many([make_record(1, b"second", version=1)], if_version=[0]) == [False]
        assert read(store, 1) == b"first"

    def test_put_if_version(self, store: Store) -> None:
        needs(store, "conditional_put")
        store.put_many([make_record(1, b"one", version=1)])
        assert store.put_many([make_record(1, b"x", version=9)], if_version=[5]) == [False]
        assert store.put_many([make_record(1, b"two", version=2)], if_version=[1]) == [True]
        assert store.put_many([make_record(2, b"x", version=9)], if_version=[1]) == [False]
        assert (read(store, 1), read(store, 2)) == (b"two", None)

    def test_each_record_of_a_batch_is_judged_for_itself(self, store: Store) -> None:
        needs(store, "conditional_put")
        store.put_many([make_record(1, b"one", version=1)])
        batch = [make_record(n, LARGE, version=2) for n in (1, 2, 3)]
        assert store.put_many(batch, if_version=[7, 0, None]) == [False, True, True]
        assert [read(store, n) for n in (1, 2, 3)] == [b"one", LARGE, LARGE]

    def test_of_racing_conditional_puts_one_wins(self, store: Store) -> None:
        needs(store, "conditional_put")
        won: list[int] = []

        def race(number: int) -> None:
            record = make_record(1, b"%d" % number, version=1)
            if store.put_many([record], if_version=[0]) == [True]:
                won.append(number)

        run_threads([partial(race, n) for n in range(8)])
        assert len(won) == 1
        assert read(store, 1) == b"%d" % won[0]

    # -- life ------------------------------------------------------------------------------

    def test_close_twice(self, make_store: MakeStore) -> None:
        store = make_store()
        store.close()
        store.close()

    def test_threads_see_whole_blobs(self, store: Store) -> None:
        blobs = [bytes([letter]) * size for letter in range(4) for size in (10, 100_000)]

        def work(seed: int) -> None:
            for step in range(30):
                blob = blobs[(seed + step) % len(blobs)]
                store.put_many([make_record(step % 3, blob)])
                found = read(store, (step + 1) % 3)
                assert found is None or found in blobs

        run_threads([partial(work, seed) for seed in range(4)])

    def test_records_survive_a_restart(self, make_store: MakeStore) -> None:
        store = make_store()
        needs(store, "persistent")
        store.put_many([make_record(1, b"small", tags=("t",)), make_record(2, LARGE)])
        before = sorted(info.key.digest for info in store.scan())
        store.close()
        again = make_store()
        assert (read(again, 1), read(again, 2)) == (b"small", LARGE)
        assert sorted(info.key.digest for info in again.scan()) == before
        assert again.check() == []
        again.close()

    # -- zero copy -------------------------------------------------------------------------

    def test_large_blob_is_handed_out_as_the_same_object(self, store: Store) -> None:
        needs(store, "zero_copy")
        store.put_many([make_record(1, LARGE)])
        time.sleep(0.05)
        first, second = read_stored(store, 1), read_stored(store, 1)
        first.verified = "by the reader"
        assert isinstance(first.buffer, memoryview)
        assert second is first
        assert read_stored(store, 1).verified == "by the reader"

    def test_replaced_blob_is_not_taken_for_verified(self, store: Store) -> None:
        needs(store, "zero_copy")
        store.put_many([make_record(1, LARGE)])
        time.sleep(0.05)
        read_stored(store, 1).verified = True
        store.put_many([make_record(1, LARGE[::-1])])
        assert read_stored(store, 1).verified is None
        assert read(store, 1) == LARGE[::-1]
