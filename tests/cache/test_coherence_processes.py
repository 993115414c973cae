"""Once an invalidation or a put has returned anywhere, nobody is answered with what was before."""

from __future__ import annotations

import importlib.util
import multiprocessing
import sys
from pathlib import Path
from typing import Any

import pytest

_path = Path(__file__).with_name("coherence_worker.py")
_spec = importlib.util.spec_from_file_location("coherence_worker", _path)
assert _spec is not None
assert _spec.loader is not None
worker: Any = importlib.util.module_from_spec(_spec)
sys.modules["coherence_worker"] = worker
_spec.loader.exec_module(worker)

SETUPS: dict[str, dict[str, Any]] = {
    "plain": {},
    "tiny journal": {"journal_length": 8},
    "expiring": {"ttl_s": 0.05},
    "stacked": {"stacked": True},
    "write-back": {"write": "back", "puts": False},
}
NAMES = list(SETUPS)


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int, **setup: Any) -> int:
    """Run the processes; return how many answers were judged."""
    monkeypatch.syspath_prepend(str(_path.parent))
    context = multiprocessing.get_context("spawn")
    truth = worker.Truth(context)
    results: Any = context.Queue()
    made = worker.Setup(str(tmp_path), **setup)
    started = []
    fork = setup.get("write") != "back"
    for seed in range(processes):
        arguments = (made, truth, seed, results, fork and seed == 0)
        started.append(context.Process(target=worker.work, args=arguments))
        started[-1].start()
    answers = [results.get(timeout=120) for _ in range(processes + fork)]
    for process in started:
        process.join()
    assert [fault for faults, _ in answers for fault in faults] == []
    return sum(checked for _, checked in answers)


@pytest.mark.parametrize("name", NAMES)
def test_no_process_is_answered_from_before(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path, monkeypatch, 2, seconds=0.4, **SETUPS[name]) > 100


@pytest.mark.drill
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_no_process_is_answered_from_before_for_long(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path, monkeypatch, 4, seconds=20.0, **SETUPS[name]) > 10_000
