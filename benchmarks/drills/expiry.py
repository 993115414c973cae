"""Drill: the time to live passes with a 400 ms computation under 100 callers; p99.9 of a call?"""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

from parts.contestants import REFRESHING, Contestant, open_contestant
from parts.outcome import Outcome, drill

CALLERS, TTL_S, COMPUTE_S, PAUSE_S = 100, 5.0, 0.4, 0.05
SECONDS, QUICK_SECONDS = 16.0, 6.5
TARGET_MS = 6.0


def compute() -> float:
    """Take long, and return when that was."""
    time.sleep(COMPUTE_S)
    return time.monotonic()


def call_often(
    cache: Contestant, until: float, calls: list[tuple[float, float]], raised: list[str]
) -> None:
    """One caller: note how long each call took, and how old its value was."""
    time.sleep(random.random() * PAUSE_S)
    while time.monotonic() < until:
        began = time.monotonic()
        try:
            made = cache.get("key", compute)
        except Exception as error:  # a contestant's own race; it is in the note
            raised.append(repr(error))
            continue
        ended = time.monotonic()
        calls.append((ended - began, began - made))
        time.sleep(PAUSE_S)


def run(name: str, directory: Path, quick: bool) -> Outcome:
    """Return the 99.9th percentile of a call's time in ms, the first computation excepted."""
    cache = open_contestant(name, directory, TTL_S)
    cache.get("key", compute)
    until = time.monotonic() + (QUICK_SECONDS if quick else SECONDS)
    calls: list[list[tuple[float, float]]] = [[] for _ in range(CALLERS)]
    raised: list[str] = []
    callers = [
        threading.Thread(target=call_often, args=(cache, until, mine, raised)) for mine in calls
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    cache.close()
    took = sorted(seconds for mine in calls for seconds, _ in mine)
    oldest_s = max(age for mine in calls for _, age in mine)
    figure = took[int(len(took) * 0.999)] * 1e3
    note = (
        f"p50 {took[len(took) // 2] * 1e3:.2f} ms, longest {took[-1] * 1e3:.0f} ms, "
        f"oldest value served {oldest_s:.1f} s, {len(took)} calls"
    )
    if raised:
        note += f", {len(raised)} raised {raised[0]}"
    return Outcome(name, round(figure, 2), note)


if __name__ == "__main__":
    drill(
        f"time to live passes, {COMPUTE_S * 1e3:g} ms computation, {CALLERS} callers: p99.9",
        "expiry",
        "ms",
        TARGET_MS,
        run,
        list(REFRESHING),
    )
