"""Locks that vanish with their holder, tried with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infercache.guards.machine_lock import SUPPORTED, MachineLock

pytestmark = pytest.mark.skipif(not SUPPORTED, reason="open file description locks are Linux's")

KEY = b"k" * 16
OTHER = b"o" * 16

_HOLDER = """
import sys, time
from infercache.guards.machine_lock import MachineLock
lock = MachineLock(sys.argv[1])
print(lock.try_acquire(bytes.fromhex(sys.argv[2])), flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "locks"


@pytest.fixture
def lock(path: Path) -> Iterator[MachineLock]:
    lock = MachineLock(path)
    yield lock
    lock.close()


Hold = Callable[[bytes], "subprocess.Popen[str]"]


@pytest.fixture
def hold(path: Path) -> Iterator[Hold]:
    """Start a process that takes a key and keeps it."""
    started: list[subprocess.Popen[str]] = []

    def start(digest: bytes) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", _HOLDER, str(path), digest.hex()]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def acquire_within(lock: MachineLock, digest: bytes, seconds: float) -> bool:
    limit = time.monotonic() + seconds
    while not lock.try_acquire(digest):
        if time.monotonic() > limit:
            return False
        time.sleep(0.005)
    return True


def test_lock_of_another_process_is_respected_key_by_key(lock: MachineLock, hold: Hold) -> None:
    hold(KEY)
    assert not lock.try_acquire(KEY)
    assert lock.try_acquire(OTHER)


def test_lock_vanishes_with_a_killed_holder(lock: MachineLock, hold: Hold) -> None:
    holder = hold(KEY)
    assert not lock.try_acquire(KEY)
    holder.send_signal(signal.SIGKILL)
    assert acquire_within(lock, KEY, 5)


def test_released_lock_can_be_taken_by_another_process(lock: MachineLock, hold: Hold) -> None:
    assert lock.try_acquire(KEY)
    lock.release(KEY)
    hold(KEY)
    assert not lock.try_acquire(KEY)


def test_lock_is_the_processes_and_counted(lock: MachineLock, path: Path) -> None:
    rival = MachineLock(path)  # another description of the same file: a stranger
    assert lock.try_acquire(KEY)
    assert lock.try_acquire(KEY)
    lock.release(KEY)
    assert not rival.try_acquire(KEY)
    lock.release(KEY)
    lock.release(KEY)  # once too often: ignored
    assert rival.try_acquire(KEY)
    rival.close()


def test_only_one_of_many_descriptions_gets_it(path: Path) -> None:
    locks = [MachineLock(path) for _ in range(8)]
    go = threading.Barrier(8)
    won: list[int] = []

    def race(number: int) -> None:
        go.wait()
        if locks[number].try_acquire(KEY):
            won.append(number)

    threads = [threading.Thread(target=race, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    for lock in locks:
        lock.close()


def test_nothing_is_left_on_disk_per_key(lock: MachineLock, path: Path) -> None:
    for number in range(100):
        assert lock.try_acquire(number.to_bytes(16, "little"))
    assert [p.name for p in path.parent.iterdir()] == ["locks"]
    assert path.stat().st_size == 0
    assert lock.held() == 100


def test_forked_child_neither_has_nor_keeps_its_parents_locks(path: Path, tmp_path: Path) -> None:
    """The holder forks, then is killed: the child lives on, and the lock is free."""
    program = f"""
import os, sys, time
from infercache.guards.machine_lock import MachineLock
lock = MachineLock({str(path)!r})
assert lock.try_acquire({KEY!r})
child = os.fork()
if child == 0:
    print(os.getpid(), lock.try_acquire({KEY!r}), lock.held(), flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid, got_it, held = parent.stdout.readline().split()
    try:
        assert (got_it, held) == ("False", "0")
        lock = MachineLock(path)
        assert not lock.try_acquire(KEY)
        parent.kill()
        parent.wait()
        assert acquire_within(lock, KEY, 5)
        lock.close()
        assert Path(f"/proc/{pid}").exists()
    finally:
        os.kill(int(pid), signal.SIGKILL)
        parent.kill()
        parent.stdout.close()


def test_program_started_while_locked_does_not_keep_the_lock(path: Path) -> None:
    lock = MachineLock(path)
    assert lock.try_acquire(KEY)
    sleeper = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        lock.close()
        stranger = MachineLock(path)
        assert stranger.try_acquire(KEY)
        stranger.close()
    finally:
        sleeper.kill()
        sleeper.wait()


def test_directory_that_cannot_be_written_grants_every_lock(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    lock = MachineLock(tmp_path / "file" / "locks")
    assert lock.try_acquire(KEY)
    assert lock.granted_blindly
    lock.release(KEY)
    assert lock.held() == 0
