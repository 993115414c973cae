"""Checks that `import infercache` is quick and brings in neither a framework nor a driver."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

LIMIT_S = 0.100
ROUNDS = 9
# What is imported by whoever uses it, and never by us on import.
FOREIGN = ("torch", "numpy", "lmdb", "transformers", "zstandard", "lz4", "click", "rich", "PIL")

_PROBE = """
import json, sys, time
before = set(sys.modules)
began_at = time.perf_counter()
import infercache
seconds = time.perf_counter() - began_at
print(json.dumps([seconds, sorted(set(sys.modules) - before)]))
"""


def main() -> int:
    """Measure in fresh interpreters; print the median and what should not be there."""
    runs = [measure() for _ in range(ROUNDS)]
    median_s = statistics.median(seconds for seconds, _ in runs)
    foreign = [name for name in FOREIGN if name in runs[0][1]]
    print(f"import: median {median_s * 1000:.1f} ms of at most {LIMIT_S * 1000:.0f} ms")
    for name in foreign:
        print(f"import infercache loads {name}; import it where it is used")
    if median_s > LIMIT_S:
        print(
            "import infercache is too slow; `python -X importtime -c 'import infercache'` says why"
        )
    return 1 if foreign or median_s > LIMIT_S else 0


def measure() -> tuple[float, list[str]]:
    """Return seconds and new modules of one import in a fresh interpreter."""
    command = [sys.executable, "-c", _PROBE]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, modules = json.loads(result.stdout)
    return float(seconds), list(modules)


if __name__ == "__main__":
    sys.exit(main())
