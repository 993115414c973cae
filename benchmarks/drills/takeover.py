"""Drill: the process that computes is killed in the middle; when is a waiter served?"""

from __future__ import annotations

import multiprocessing
import time
from functools import partial
from pathlib import Path
from typing import Any

from parts.contestants import CONTESTANTS, open_contestant
from parts.outcome import Outcome, drill

COMPUTE_S, GRACE_S, LIMIT_S = 6.0, 3.0, 100.0
ASK_AFTER_S, KILL_AFTER_S = 1.0, 3.0


def compute(marks: Path, who: str) -> str:
    """Say that it began, and take long."""
    (marks / f"{who} began").touch()
    time.sleep(COMPUTE_S)
    return "value"


def process(name: str, directory: Path, who: str, served: Any) -> None:
    """Ask once."""
    cache = open_contestant(name, directory, 3600)
    value = cache.get("key", partial(compute, directory, who))
    assert value == "value"
    served.value = time.time()
    cache.close()


def run(name: str, directory: Path, quick: bool) -> Outcome:
    """Return the seconds from the kill until the waiter was served."""
    context = multiprocessing.get_context("spawn")
    served = [context.Value("d", 0.0) for _ in range(2)]
    first, second = (
        context.Process(target=process, args=(name, directory, who, times))
        for who, times in zip(("first", "second"), served, strict=True)
    )
    first.start()
    limit = time.monotonic() + 60
    while not (directory / "first began").exists():
        if time.monotonic() > limit:
            return Outcome(name, None, "the first process did not begin")
        time.sleep(0.01)
    began = time.time()
    time.sleep(ASK_AFTER_S)
    second.start()
    time.sleep(max(0.0, began + KILL_AFTER_S - time.time()))
    waited = not (directory / "second began").exists()
    first.kill()
    killed = time.time()
    second.join(20.0 if quick else LIMIT_S)
    second.kill()
    note = "" if waited else "did not wait: both computed at once"
    if not served[1].value:
        return Outcome(name, None, f"not within {LIMIT_S:g} s; {note}")
    return Outcome(name, round(served[1].value - killed, 2), note)


if __name__ == "__main__":
    drill(
        f"computer killed in a {COMPUTE_S:g} s computation: waiter served after the kill",
        "takeover",
        "s",
        COMPUTE_S + GRACE_S,
        run,
        list(CONTESTANTS),
    )
