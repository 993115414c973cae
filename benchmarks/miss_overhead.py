"""What a miss costs: a cold prompt with the cache attached, and a computation of 5 ms.

Both against the same work without a cache, in turn, round by round.

    python benchmarks/miss_overhead.py [--rounds 7] [--json PATH]
"""

from __future__ import annotations

import argparse
import itertools
from typing import Any

import numpy as np
from measure import Result, paired, report
from prefix import load

import infercache as ic


def cold_prompt(rounds: int) -> Result:
    """Compare a prompt of 512 tokens that nobody has seen, to the end of `generate`."""
    import torch

    model, tokenizer = load()
    numbers = itertools.count()

    def prompt() -> Any:
        start = next(numbers)
        return torch.tensor([[100 + (start * 769 + i * 17) % 40_000 for i in range(512)]])

    with ic.Cache(ic.Memory("256MB")) as cache:
        llm = ic.llm.attach(model, tokenizer, cache)

        def ours() -> None:
            llm.generate(prompt(), max_new_tokens=1, do_sample=False)
            assert llm.last.restored_tokens == 0

        def bare() -> None:
            model.generate(prompt(), max_new_tokens=1, do_sample=False)

        return paired(
            ours,
            {"no cache": bare},
            rounds,
            question="cold prompt, 512 tokens, blocks kept",
            target=1 / 1.02,
        )


def short_computation(rounds: int) -> Result:
    """Compare a miss of `get_or_compute` around a computation of about 5 ms."""
    matrix = np.random.default_rng(0).random((420, 420))

    def compute() -> float:
        return float(np.linalg.svd(matrix[:160, :160], compute_uv=False).sum())

    numbers = itertools.count()
    with ic.Cache(ic.Memory("16MB")) as cache:
        return paired(
            lambda: cache.get_or_compute(next(numbers), compute),
            {"no cache": compute},
            rounds * 3,
            20,
            question="get_or_compute, a miss of some ms",
            target=1 / 1.02,
        )


def main() -> None:
    """Print ours, no cache and the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json")
    options = parser.parse_args()
    results = [short_computation(options.rounds), cold_prompt(options.rounds)]
    report(results, "miss_overhead", options.json)


if __name__ == "__main__":
    main()
