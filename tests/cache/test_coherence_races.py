"""Orders of events between two caches over one directory that once gave an old answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

import infercache as ic
from infercache.entry import Entry
from infercache.errors import StoreError
from infercache.key import Key
from infercache.stores.base import Invalidation
from infercache.tiers.base import Tier


class Twins:
    """Two caches that share a directory, as two processes do."""

    def __init__(self, path: Path, **disk: Any) -> None:
        self.path, self.options = path, disk
        self.one = self._open()
        self.other = self._open()

    def _open(self) -> ic.Cache:
        memory = ic.Memory("64KB", policy="lru")
        return ic.Cache(memory, ic.Disk(self.path, "10MB", **self.options))


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[Twins]:
    made = Twins(tmp_path)
    with made.one, made.other:
        yield made
        assert made.one.check() == made.other.check() == []


def evict_from_disk(cache: ic.Cache, key: str) -> None:
    """Delete as the policy would when room is needed."""
    _store(cache).evict_many([cache.key(key).digest])


def _store(cache: ic.Cache) -> Any:
    return cache._stack.tiers[-1].journal


def overflow_memory(cache: ic.Cache) -> None:
    for number in range(8):
        cache.put(f"filler {number}", bytes(12_000))


class Interposed(Tier):
    """Runs something once, before or after a tier is read."""

    def __init__(self, inner: Tier) -> None:
        self.inner = inner
        self.after_read: Callable[[], object] | None = None
        self.after_look: Callable[[], object] | None = None

    def __getattribute__(self, name: str) -> Any:
        own = ("inner", "after_read", "after_look", "get", "get_many", "holds_many", "_run")
        if name in own or name.startswith("__"):
            return object.__getattribute__(self, name)
        return getattr(self.inner, name)

    def _run(self, name: str) -> None:
        hook = getattr(self, name)
        setattr(self, name, None)
        if hook is not None:
            hook()

    def get(self, key: Key) -> Entry | None:
        entry = self.inner.get(key)
        self._run("after_read")
        return entry

    def get_many(self, keys: Sequence[Key]) -> list[Entry | None]:
        entries = self.inner.get_many(keys)
        self._run("after_read")
        return entries

    def holds_many(self, keys: Sequence[Key]) -> list[bool]:
        held = self.inner.holds_many(keys)
        self._run("after_look")
        return held


for _abstract in ("put_many", "invalidate", "scan", "stats", "close"):
    setattr(Interposed, _abstract, None)
Interposed.__abstractmethods__ = frozenset()


def interpose(cache: ic.Cache, level: int) -> Interposed:
    chain = cache._stack.chain
    made: Interposed = Interposed(chain.tiers[level])  # type: ignore[abstract]
    swap = {id(chain.tiers[level]): made}
    for watch in chain._watches:
        if watch.tier is chain.tiers[level]:
            watch.tier = made
    for name in ("tiers", "_own", "_shared"):
        tiers = getattr(chain, name)
        setattr(chain, name, tuple(swap.get(id(tier), tier) for tier in tiers))
    chain._demotion._tiers = chain.tiers
    return made


def test_memory_does_not_demote_what_another_process_invalidated(twins: Twins) -> None:
    twins.one.put("k", "old")
    evict_from_disk(twins.one, "k")
    assert twins.other.invalidate("k") == 0
    overflow_memory(twins.one)
    assert twins.other.get("k") is None
    assert twins.one.get("k") is None


def test_memory_does_not_demote_what_another_process_invalidated_by_tag(twins: Twins) -> None:
    twins.one.put("k", "old", tags=("t",))
    evict_from_disk(twins.one, "k")
    twins.other.invalidate(tag="t")
    overflow_memory(twins.one)
    assert twins.one.get("k") is None


def test_memory_does_not_demote_what_another_process_replaced(twins: Twins) -> None:
    twins.one.put("k", "old")
    evict_from_disk(twins.one, "k")
    twins.other.put("k", "new")
    evict_from_disk(twins.one, "k")
    overflow_memory(twins.one)
    assert twins.other.get("k") == "new"
    assert twins.one.get("k") is None


def test_demotion_still_keeps_what_is_valid(twins: Twins) -> None:
    twins.one.invalidate("something else")
    twins.other.invalidate("something else")
    twins.one.put("k", "v")
    evict_from_disk(twins.one, "k")
    overflow_memory(twins.one)
    assert twins.other.get("k") == "v"


def test_a_put_of_a_key_that_the_disk_evicted_is_seen_by_others(twins: Twins) -> None:
    twins.one.put("k", "old")
    evict_from_disk(twins.one, "k")
    twins.other.put("k", "new")
    assert twins.one.get("k") == "new"


def test_a_put_elsewhere_is_not_overwritten_by_a_computation_from_before(twins: Twins) -> None:
    def compute() -> str:
        twins.other.put("k", "new")
        return "old"

    twins.one.get_or_compute("k", compute)
    assert twins.other.get("k") == "new"
    assert twins.one.get("k") == "new"


def test_a_promotion_does_not_overtake_a_put(twins: Twins) -> None:
    twins.one.put("k", "old")
    twins.one._stack.tiers[0].clear()  # type: ignore[attr-defined]
    disk = interpose(twins.one, 1)
    disk.after_read = lambda: twins.one.put("k", "new")
    twins.one.get("k")
    assert twins.one.get("k") == "new"


def test_a_promotion_of_many_does_not_overtake_a_put(twins: Twins) -> None:
    twins.one.put("k", "old")
    twins.one._stack.tiers[0].clear()  # type: ignore[attr-defined]
    disk = interpose(twins.one, 1)
    disk.after_read = lambda: twins.one.put("k", "new")
    twins.one.get_many(["k", "l"])
    assert twins.one.get("k") == "new"


def test_a_demotion_does_not_overtake_a_put_elsewhere(twins: Twins) -> None:
    twins.one.put("k", "old")
    evict_from_disk(twins.one, "k")
    disk = interpose(twins.one, 1)
    disk.after_look = lambda: twins.other.put("k", "new")
    overflow_memory(twins.one)
    assert twins.other.get("k") == "new"
    assert twins.one.get("k") == "new"


def test_a_value_that_the_disk_cannot_take_replaces_the_old_one_there(twins: Twins) -> None:
    for unfit in (object(), bytes(11_000_000)):
        twins.one.put("k", "old")
        assert twins.other.get("k") == "old"
        if isinstance(unfit, bytes):
            twins.one.put("k", unfit)
        else:
            with pytest.warns(ic.InfercacheWarning, match="are not kept"):
                twins.one.put("k", unfit)
        assert twins.other.get("k") is None
        overflow_memory(twins.one)
        assert twins.one.get("k") is None


def test_queued_writes_do_not_outlive_an_invalidation_elsewhere(tmp_path: Path) -> None:
    twins = Twins(tmp_path, write="back")
    with twins.one, twins.other:
        for number in range(300):
            twins.one.put(number, "old")
            twins.other.invalidate(number)
            assert twins.one.get(number) is None
        twins.one.flush()
        assert not any(twins.one.get_many(range(300)))
        assert not any(twins.other.get_many(range(300)))


@pytest.fixture
def stacked(tmp_path: Path) -> Iterator[tuple[ic.Cache, ic.Cache]]:
    def make() -> ic.Cache:
        upper = ic.Disk(tmp_path / "upper", "1MB", name="upper")
        return ic.Cache(ic.Memory("64KB"), upper, ic.Disk(tmp_path / "lower", "1MB"))

    with make() as one, make() as other:
        yield one, other


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("change", ["invalidate", "put"])
def test_a_promotion_between_shared_tiers_does_not_overtake(
    stacked: tuple[ic.Cache, ic.Cache], many: bool, change: str
) -> None:
    one, other = stacked
    one.put("k", "old")
    one._stack.tiers[0].clear()  # type: ignore[attr-defined]
    evict_from_upper(one, "k")
    lower = interpose(one, 2)
    new = "new" if change == "put" else None
    lower.after_read = lambda: other.put("k", "new") if new else other.invalidate("k")
    if many:
        one.get_many(["k", "l"])
    else:
        one.get("k")
    assert other.get("k") == new
    assert one.get("k") == new


def evict_from_upper(cache: ic.Cache, key: str) -> None:
    store: Any = cache._stack.tiers[1].journal
    store.evict_many([cache.key(key).digest])


@pytest.mark.parametrize("change", ["invalidate", "put"])
def test_a_promotion_in_the_middle_of_a_change_does_not_survive_it(
    stacked: tuple[ic.Cache, ic.Cache], change: str
) -> None:
    """Changes reach the lowest tier first, so that nothing old can be promoted after them."""
    one, other = stacked
    one.put("k", "old")
    evict_from_upper(one, "k")
    tier: Any = other._stack.chain.tiers[2]
    inner, names = tier.inner, ("invalidate", "put", "put_many")
    plain = {name: getattr(inner, name) for name in names}

    def late(name: str) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            one._stack.tiers[0].clear()  # type: ignore[attr-defined]
            one.get("k")
            return plain[name](*args, **kwargs)

        return run

    for name in names:
        setattr(inner, name, late(name))
    if change == "put":
        other.put("k", "new")
    else:
        other.invalidate("k")
    for name in names:
        delattr(inner, name)
    assert one.get("k") == other.get("k") == ("new" if change == "put" else None)


def test_an_unreadable_journal_is_no_reason_to_trust_memory(
    twins: Twins, monkeypatch: pytest.MonkeyPatch
) -> None:
    twins.one.put("k", "old")
    twins.other.invalidate("k")

    def fail(since: int) -> None:
        raise StoreError("no more readers")

    monkeypatch.setattr(_store(twins.one), "changes", fail)
    with pytest.warns(ic.InfercacheWarning, match="no more readers"):
        assert twins.one.get("k") is None


def test_a_demotion_does_not_bring_back_what_is_just_being_invalidated(twins: Twins) -> None:
    """One's own journal lines are followed before memory is cleared a second time."""
    cache = twins.one
    cache.put("k", "old")
    disk = interpose(cache, 1)
    inner = cast("Any", disk).inner
    invalidate = inner.invalidate

    def overtaken(what: Invalidation) -> int:
        cache.get("k")  # promoted again, after memory was cleared first
        gone: int = invalidate(what)
        cache.get("unknown")  # the journal is followed up to the invalidation
        overflow_memory(cache)  # and memory demotes what it still holds
        return gone

    inner.invalidate = overtaken
    cache.invalidate("k")
    inner.invalidate = invalidate
    assert cache.get("k") is None
