"""What a byte tier pays for turning a value into a verified blob and back, against pickle.

pickle verifies nothing and runs what it reads; "pickle + XXH3" adds a checksum of the same kind.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import measure
import numpy as np
import torch

from infercache import _core
from infercache.codecs import make_codec
from infercache.codecs.base import Codec
from infercache.codecs.blob import open_blob, seal
from infercache.entry import Entry
from infercache.key import Key

KEY = Key("", "bench", "v1", bytes(16))
ENTRY = Entry(None, cost_s=0.5, created_at=1e9)
SMALL = {"label": "cat", "score": 0.93, "box": [1, 2, 3, 4]}
TENSORS = {"hidden": torch.randn(1024, 1024), "mask": np.ones(1024, bool)}


def stored(codec: Codec, value: Any) -> bytes:
    """Return the blob as one buffer, as a store would hold it."""
    return b"".join(seal(KEY, codec, ENTRY, codec.encode(value)))


def reader(codec: Codec, value: Any) -> Callable[[], object]:
    """Return a function that verifies and decodes a stored value."""
    blob = stored(codec, value)
    return lambda: codec.decode(open_blob(blob, KEY, codec.id).body)


def pickled_reader(value: Any) -> Callable[[], object]:
    """Return a function that checks and unpickles a stored value."""
    data = pickle.dumps(value, 5)
    digest = _core.xxh3_128(data)

    def read() -> object:
        assert _core.xxh3_128(data) == digest
        return pickle.loads(data)

    return read


def compare(value: Any, name: str, number: int) -> list[measure.Result]:
    """Time a write and a read of one value."""
    codec = make_codec("auto")
    data = pickle.dumps(value, 5)
    write = measure.paired(
        lambda: seal(KEY, codec, ENTRY, codec.encode(value)),
        {
            "pickle": lambda: pickle.dumps(value, 5),
            "pickle + XXH3": lambda: _core.xxh3_128(pickle.dumps(value, 5)),
        },
        number=number,
        question=f"encode and seal, {name}",
    )
    read = measure.paired(
        reader(codec, value),
        {"pickle": lambda: pickle.loads(data), "pickle + XXH3": pickled_reader(value)},
        number=number,
        question=f"open and decode, {name}",
    )
    return [write, read]


def main() -> None:
    """Measure and report."""
    results = compare(SMALL, "small dict", 20_000) + compare(TENSORS, "4 MiB tensor", 50)
    sizes = {
        spec: len(stored(make_codec(spec), TENSORS))
        for spec in ("auto", "auto+zstd", "auto+lz4", "int8", "int8:0")
    }
    results[-1].notes["bytes of the blob by codec"] = sizes
    measure.report(results, "codecs")


if __name__ == "__main__":
    main()
