"""How a drill's result is shown and kept: one line for each contestant, one JSON file."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass
class Outcome:
    """What one contestant reached.

    Attributes:
        name: The contestant.
        figure: What was measured; None if it did not end.
        note: Anything a reader must know.
    """

    name: str
    figure: float | None
    note: str = ""


def arguments(drill: str, names: Sequence[str]) -> argparse.Namespace:
    """Read `--only`, `--json` and `--quick` from the command line."""
    parser = argparse.ArgumentParser(description=drill)
    parser.add_argument("--only", nargs="*", default=list(names), choices=list(names))
    parser.add_argument("--json", type=Path, default=None, help="where the JSON file goes")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for a first look")
    return parser.parse_args()


def drill(
    question: str,
    file: str,
    unit: str,
    target: float,
    run: Callable[[str, Path, bool], Outcome],
    names: Sequence[str],
) -> None:
    """Send each contestant through a drill and exit with 1 if ours misses the target.

    Args:
        question: What is asked, in a few words.
        file: Name of the file under `results/`.
        unit: What the figure counts.
        target: The most that the figure may be.
        run: Given a contestant, a fresh directory and whether to be quick.
        names: Whom to ask, ours first.
    """
    options = arguments(question, names)
    print(f"{question} (target: at most {target:g} {unit})")
    outcomes = []
    for name in options.only:
        with tempfile.TemporaryDirectory(prefix="drill-", ignore_cleanup_errors=True) as directory:
            outcome = run(name, Path(directory), options.quick)
        outcomes.append(outcome)
        shown = "never" if outcome.figure is None else f"{outcome.figure:g} {unit}"
        met = "ok" if _met(outcome, target) else "missed"
        print(
            f"  {name:22} {shown:>24}  target {target:g} {unit}: {met}  {outcome.note}", flush=True
        )
    path = options.json or Path("results") / f"drill_{file}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_record(question, unit, target, outcomes), indent=1) + "\n")
    ours = [outcome for outcome in outcomes if outcome.name.startswith("infercache")]
    sys.exit(not all(_met(outcome, target) for outcome in ours))


def _met(outcome: Outcome, target: float) -> bool:
    return outcome.figure is not None and outcome.figure <= target


def _record(question: str, unit: str, target: float, outcomes: Sequence[Outcome]) -> object:
    versions = {}
    for peer in ("cashews", "diskcache", "cachebox", "joblib"):
        try:
            versions[peer] = importlib.metadata.version(peer)
        except importlib.metadata.PackageNotFoundError:
            versions[peer] = "not installed"
    return {
        "question": question,
        "unit": unit,
        "target": target,
        "machine": platform.machine(),
        "python": platform.python_version(),
        "peers": versions,
        "outcomes": [asdict(outcome) | {"met": _met(outcome, target)} for outcome in outcomes],
    }
