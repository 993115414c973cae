"""How many requests a second does replay go through, next to libcachesim with the same policy?

Both read the same requests from memory (libcachesim from a mapped file of its own format) with
the same capacity of a tenth of the distinct keys. libcachesim's hash table is given the size that
suits the capacity.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libcachesim
import numpy as np
from measure import Result, paired, report

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.simulate import shared_traces
from tests.simulate.shared_traces import Keys

from infercache.simulate.replay import replay

POLICIES = {
    "fifo": "FIFO",
    "lru": "LRU",
    "sieve": "Sieve",
    "s3fifo": "S3FIFO",
    "lfu": "LFU",
    "arc": "ARC",
    "wtinylfu": "WTinyLFU",
    "gdsf": "GDSF",
}
ROUNDS = 5


def write_trace(keys: Keys, path: Path) -> None:
    """Write requests of size 1 in libcachesim's binary format."""
    fields: Any = [("time", "<u4"), ("key", "<u8"), ("size", "<u4"), ("next", "<i8")]
    rows = np.zeros(len(keys), dtype=fields)
    rows["key"], rows["size"], rows["next"] = keys, 1, -2
    rows.tofile(path)


def peer(policy: str, path: Path, capacity: int) -> Callable[[], float]:
    """Return a call that replays the file with libcachesim."""
    power = min(24, max(10, capacity.bit_length() + 1))
    reader = libcachesim.TraceReader(
        trace=str(path), trace_type=libcachesim.TraceType.ORACLE_GENERAL_TRACE
    )

    def run() -> float:
        reader.reset()
        cache = getattr(libcachesim, POLICIES[policy])(cache_size=capacity, hashpower=power)
        return float(cache.process_trace(reader)[0])

    return run


def measure(name: str, keys: Keys, path: Path) -> list[Result]:
    """Measure every policy that both have on one trace."""
    write_trace(keys, path)
    capacity = len(np.unique(keys)) // 10
    results = []
    for policy in POLICIES:

        def ours(policy: str = policy) -> float:
            return 1 - replay(keys, policy, capacity).hit_ratio

        theirs = peer(policy, path, capacity)
        result = paired(
            ours,
            {"libcachesim": theirs},
            ROUNDS,
            max(1, 500_000 // len(keys)),
            question=f"{name}, {policy}",
            per_call=len(keys),
            target=1.0,
        )
        result.notes = {
            "requests": len(keys),
            "capacity": capacity,
            "million_requests_per_s": 1e-6 / result.ours,
            "miss_ratio": ours(),
            "miss_ratio_libcachesim": theirs(),
        }
        results.append(result)
    return results


def main() -> None:
    """Measure, print and write."""
    zipf = np.random.default_rng(1).zipf(1.1, 2_000_000) % 1_000_000
    traces = {"Zipf 1.1": zipf.astype(np.uint64)}
    if shared_traces.present():
        traces |= {name: shared_traces.load(name) for name in shared_traces.NAMES}
    else:
        print(f"only a generated trace: {shared_traces.HOW}")
    handle, path = tempfile.mkstemp(suffix=".bin")
    os.close(handle)
    try:
        results = [row for name, keys in traces.items() for row in measure(name, keys, Path(path))]
    finally:
        os.unlink(path)
    report(results, "replay")


if __name__ == "__main__":
    main()
