"""Reads the public traces that lie beside the repository, where they do."""

from __future__ import annotations

import csv
import gzip
import json
import lzma
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

# Read at import: tests run without the INFERCACHE_ settings of whoever started them.
FOLDER = Path(os.environ.get("INFERCACHE_TRACES", Path(__file__).parents[3] / "shared" / "traces"))
HOW = "set INFERCACHE_TRACES to a folder with the public traces and their baselines.csv"
NAMES = (
    "adapt_size_request",
    "arc_OLTP",
    "cache2k_orm-busy",
    "cache2k_web07",
    "lirs_loop",
    "lirs_multi1",
    "lirs_sprite",
    "mooncake_conversation",
)
Keys = NDArray[np.uint64]


def present() -> bool:
    """Return whether the folder is there."""
    return (FOLDER / "baselines.csv").exists()


def need() -> None:
    """Skip a test where the folder is absent, also in CI: the traces are not the project's own."""
    if not present():
        pytest.skip(f"the folder of public traces is missing: {HOW}")


def baselines() -> dict[tuple[str, str], list[tuple[int, float]]]:
    """Return, for each trace and policy of libcachesim, capacities and miss ratios."""
    found: dict[tuple[str, str], list[tuple[int, float]]] = {}
    with (FOLDER / "baselines.csv").open() as lines:
        for row in csv.DictReader(lines):
            measured = int(row["capacity"]), float(row["miss_ratio"])
            found.setdefault((row["trace"], row["policy"].lower()), []).append(measured)
    return found


def _unzstd(path: Path) -> bytes:
    import zstandard

    with path.open("rb") as file:
        return bytes(zstandard.ZstdDecompressor().stream_reader(file).read())


def _blocks(text: bytes) -> Keys:
    rows = np.array(text.split(), dtype=np.int64).reshape(-1, 4)
    return np.concatenate([np.arange(row[0], row[0] + row[1]) for row in rows]).astype(np.uint64)


def _prefixes(text: bytes) -> Keys:
    rows = (json.loads(line)["hash_ids"] for line in text.splitlines())
    return np.array([block for row in rows for block in row], dtype=np.uint64)


def _objects(lines: list[str]) -> Keys:
    known: dict[tuple[str, str], int] = {}
    rows = (line.split() for line in lines)
    keys = [known.setdefault((row[1], row[2]), len(known)) for row in rows]
    return np.array(keys, dtype=np.uint64)


def _integers(lines: list[str]) -> Keys:
    wanted = (line for line in lines if line.strip() and not line.startswith("*"))
    return np.array([int(line) for line in wanted], dtype=np.uint64)


def load(name: str) -> Keys:
    """Return the keys of a trace, one a request."""
    if name == "mooncake_conversation":
        return _prefixes(_unzstd(FOLDER / f"{name}.jsonl.zst"))
    if name == "arc_OLTP":
        return _blocks(_unzstd(FOLDER / f"{name}.lis.zst"))
    if name.startswith("lirs"):
        text = gzip.decompress((FOLDER / f"{name}.trace.gz").read_bytes()).decode()
        return _integers(text.splitlines())
    data = lzma.decompress((FOLDER / f"{name}.trace.xz").read_bytes())
    if name == "adapt_size_request":
        return _objects(data.decode().splitlines())
    return np.frombuffer(data, dtype=">i4").astype(np.uint64)
