"""A process of `test_guard_processes`: asks for keys in several threads and leaves marks."""

from __future__ import annotations

import os
import sys
import threading
import time
from functools import partial
from pathlib import Path

import infercache as ic


def compute(directory: Path, key: str, seconds: float) -> str:
    """Leave a mark for each computation, with the process that began it."""
    mark = os.open(directory / key, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(mark, f"{os.getpid()}\n".encode())
    os.close(mark)
    time.sleep(seconds)
    return f"value of {key}"


def main() -> None:
    """Ask: directory, seconds of a computation, number of threads, keys."""
    directory, seconds, threads = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    cache = ic.Cache(ic.Memory("10MB"), ic.Disk(directory / "cache", "100MB"))
    print("open", flush=True)
    sys.stdin.readline()

    def ask() -> None:
        for key in sys.argv[4:]:
            value = cache.get_or_compute(key, partial(compute, directory, key, seconds))
            assert value == f"value of {key}"

    callers = [threading.Thread(target=ask) for _ in range(threads)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    cache.close()
    print("done", flush=True)


if __name__ == "__main__":
    main()
