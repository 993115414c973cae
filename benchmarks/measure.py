"""How the benchmarks measure: ours and the peers interleaved, medians, one table, one JSON file."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Result:
    """One question answered: seconds (or what `unit` says) for ours and for each peer.

    Attributes:
        question: What was measured, in a few words.
        ours: Median of our rounds.
        peers: Median of each peer's rounds.
        ratios: Median over the rounds of peer divided by ours; above 1 means that we win.
        target: The ratio to reach with the best peer, if there is one.
        unit: "s" for seconds each call, or a rate such as "requests/s" (then ratios are inverted).
        spread: Middle half of our rounds relative to their median: how noisy the run was.
        notes: Anything a reader must know.
    """

    question: str
    ours: float
    peers: dict[str, float]
    ratios: dict[str, float]
    target: float | None = None
    unit: str = "s"
    spread: float = 0.0
    notes: dict[str, object] = field(default_factory=dict)


def paired(
    ours: Callable[[], object],
    peers: Mapping[str, Callable[[], object]],
    rounds: int = 15,
    number: int = 1,
    *,
    question: str = "",
    per_call: int = 1,
    target: float | None = None,
) -> Result:
    """Time ours and every peer in turn, round by round, so that drift hits all alike.

    Args:
        ours: What is measured; called `number` times a round.
        peers: Name to what it is compared with.
        rounds: How often everybody has a turn; the first round is thrown away.
        number: Calls in one turn.
        question: What the result is called.
        per_call: Operations inside one call, so that times are for one operation.
        target: The ratio to reach with the best peer.
    """
    turns = {"": ours, **peers}
    times: dict[str, list[float]] = {name: [] for name in turns}
    for round_number in range(rounds + 1):
        order = list(turns) if round_number % 2 else list(turns)[::-1]
        for name in order:
            elapsed = _turn(turns[name], number)
            if round_number:
                times[name].append(elapsed / (number * per_call))
    return _result(question, times, target)


def _turn(call: Callable[[], object], number: int) -> float:
    start = time.perf_counter()
    for _ in range(number):
        call()
    return time.perf_counter() - start


def _result(question: str, times: dict[str, list[float]], target: float | None) -> Result:
    ours = times.pop("")
    middle = statistics.median(ours)
    quarters = statistics.quantiles(ours, n=4) if len(ours) > 1 else [middle] * 3
    return Result(
        question,
        middle,
        {name: statistics.median(values) for name, values in times.items()},
        {
            name: statistics.median(
                theirs / mine for theirs, mine in zip(values, ours, strict=True)
            )
            for name, values in times.items()
        },
        target,
        spread=(quarters[2] - quarters[0]) / middle if middle else 0.0,
    )


def report(results: Sequence[Result], name: str, json_path: str | Path | None = None) -> Path:
    """Print the results as a table and write them as JSON; return where.

    Args:
        results: What was measured.
        name: Name of the benchmark; the file is `results/<name>.json`.
        json_path: Another place for the file; without it `--json PATH` is looked for.
    """
    width = max((len(result.question) for result in results), default=8)
    print(f"{'':{width}}  {'ours':>12}  peers (ratio above 1: we are faster)")
    for result in results:
        peers = "  ".join(
            f"{peer} {_shown(value, result.unit)} ({result.ratios[peer]:.2f})"
            for peer, value in result.peers.items()
        )
        print(f"{result.question:{width}}  {_shown(result.ours, result.unit):>12}  {peers}")
    path = Path(json_path or _arguments().json or Path("results") / f"{name}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    machine = {"machine": platform.machine(), "python": platform.python_version()}
    rows = [asdict(result) for result in results]
    path.write_text(json.dumps({"name": name, **machine, "results": rows}, indent=1) + "\n")
    return path


def _shown(value: float, unit: str) -> str:
    if unit != "s":
        return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
    for factor, name in ((1e9, "ns"), (1e6, "us"), (1e3, "ms")):
        if value * factor < 1000:
            return f"{value * factor:.3g} {name}"
    return f"{value:.3g} s"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", default=None, help="where the JSON file goes")
    return parser.parse_known_args()[0]
