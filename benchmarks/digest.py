"""How fast is a content key, next to what people hash with otherwise?

Digests of contiguous float32 arrays; whole keys of the same arrays (with dtype and shape, as
`joblib.hash` does); and keys of the arguments of a small call.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable

import joblib
import numpy as np
from measure import Result, paired, report

from infercache import KeySpace, _core

SIZES = {"256 KiB": 256 << 10, "16 MiB": 16 << 20}
CALLS: dict[str, tuple[object, ...]] = {
    "one int": (5,),
    "text and options": ("What is the capital of France?", 0.7, True, None),
    "a nested dict": ({"model": "m", "messages": [{"role": "user", "content": "hi"}], "n": 1},),
}
# Allowed at 256 KiB, in us: 10 for XXH3-128 and 35 for BLAKE3.
LIMITS_US = {("xxh3", "256 KiB"): 10, ("blake3", "256 KiB"): 35}


def _array_results() -> list[Result]:
    results = []
    for size, count in SIZES.items():
        array = np.random.default_rng(0).random(count // 4, dtype=np.float32)
        peers: dict[str, Callable[[], object]] = {
            "sha256": lambda array=array: hashlib.sha256(array).digest(),  # type: ignore[misc]
            "blake2b": lambda array=array: hashlib.blake2b(array).digest(),  # type: ignore[misc]
            "joblib.hash": lambda array=array: joblib.hash(array),  # type: ignore[misc]
        }
        number = max(1, (8 << 20) // count)
        for algorithm, digest in (("xxh3", _core.xxh3_128), ("blake3", _core.blake3)):
            space = KeySpace("", "bench", "1", algorithm=algorithm)
            for what, ours in (("digest", digest), ("whole key", space.key)):
                question = f"{algorithm} {what}, {size}"
                call = lambda ours=ours, array=array: ours(array)  # noqa: E731
                result = paired(call, peers, rounds=9, number=number, question=question)
                if what == "digest" and (algorithm, size) in LIMITS_US:
                    result.notes["limit_us"] = LIMITS_US[algorithm, size]
                result.notes["GB/s"] = round(count / result.ours / 1e9, 1)
                results.append(result)
    return results


def _call_results() -> list[Result]:
    results = []
    for name, call in CALLS.items():
        peers = {
            "pickle+sha256": lambda call=call: hashlib.sha256(pickle.dumps(call)).digest(),
            "joblib.hash": lambda call=call: joblib.hash(call),
        }
        for algorithm in ("blake3", "xxh3"):
            space = KeySpace("", "bench", "1", algorithm=algorithm)
            ours = lambda space=space, call=call: space.digest(call)  # noqa: E731
            question = f"{algorithm} key of a call, {name}"
            results.append(paired(ours, peers, rounds=9, number=2000, question=question))
    return results


if __name__ == "__main__":
    report([*_array_results(), *_call_results()], "digest")
