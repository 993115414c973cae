from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infercache.demo.bars import NoBars
from infercache.demo.images import run_images
from infercache.demo.outcome import Answer, ImagesOutcome, LanguageOutcome, Outcome
from infercache.report.demo_page import write_demo_page

Runner = Callable[..., Any]


def answer(question: str, tokens: list[int], first_token_s: float) -> Answer:
    return Answer(question, "text & <b>more</b>", tokens, first_token_s, 2.0, 100, 96)


def made_up(memory_tokens: list[int], predictions: list[int]) -> Outcome:
    cold = answer("Is it on?", [1, 2], 4.0)
    memory = answer("Is it on?", memory_tokens, 0.5)
    language = LanguageOutcome("a model", (cold, cold), [cold], [memory], [cold])
    images = ImagesOutcome((10, 2), [3.0, 1.0], [2.0, 2.0, 0.5], [[7, 8], predictions, [7, 8]], 1.0)
    machine = {"cores": 2, "threads": 2, "system": "a", "python": "3", "torch": "2"}
    return Outcome(language, images, machine)


def test_a_different_answer_and_a_different_prediction_are_told() -> None:
    assert made_up([1, 2], [7, 8]).differences() == []
    assert len(made_up([1, 3], [7, 8]).differences()) == 1
    assert len(made_up([1, 3], [7, 9]).differences()) == 2


def test_a_speedup_is_without_divided_by_with() -> None:
    rows = {row.what: row.speedup for row in made_up([1, 2], [7, 8]).rows()}
    assert rows["further questions, from memory"] == 8.0
    assert rows["training: second epoch against first"] == 3.0
    assert rows["inference: the same images again"] == 4.0


def test_the_report_is_one_file_without_external_resources(tmp_path: Path, require: Any) -> None:
    require.module("matplotlib", "jinja2")
    path = tmp_path / "new" / "report.html"
    write_demo_page(made_up([1, 2], [7, 8]), path)
    page = path.read_text()
    assert page.count("<svg") == 3
    assert "text &amp; &lt;b&gt;more" in page
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!#)", page)
    assert "@import" not in page
    assert "url(http" not in page
    identifiers = re.findall(r'\bid="([^"]+)"', page)
    assert {one for one in identifiers if identifiers.count(one) > 1 and "clip" in one} == set()
    assert "Identical." in page


def test_the_report_says_when_something_differs(tmp_path: Path, require: Any) -> None:
    require.module("matplotlib", "jinja2")
    write_demo_page(made_up([1, 3], [7, 8]), tmp_path / "report.html")
    assert "Not identical." in (tmp_path / "report.html").read_text()


@pytest.mark.model
def test_images_are_predicted_alike_with_and_without_the_cache(
    tmp_path: Path, require: Any
) -> None:
    require.module("torch", "sklearn", "scipy")
    outcome = run_images(tmp_path / "images", NoBars(), quick=True)
    assert outcome.differences() == []
    assert len(outcome.predictions[0]) == outcome.images[1]
    assert outcome.passes_s[2] < outcome.passes_s[0]


@pytest.mark.model
@pytest.mark.timeout(600)
def test_the_quick_demo_runs_as_a_user_starts_it(
    start: Runner, tmp_path: Path, require: Any
) -> None:
    """It really runs the model, restarts itself, compares, and writes the report."""
    require.smollm2()
    require.module("sklearn", "matplotlib", "jinja2")
    done = start("demo", "--quick", "--json", "figures.json", "--models", str(tmp_path / "models"))
    assert done.returncode == 0, done.stderr
    assert "identical with and without the cache" in done.stdout
    figures = json.loads((tmp_path / "figures.json").read_text())
    cold, restarted = figures["language"]["cold"], figures["language"]["restarted"]
    assert [one["tokens"] for one in cold] == [one["tokens"] for one in restarted]
    assert all(one["restored_tokens"] > 0.8 * one["prompt_tokens"] for one in restarted)
    assert (tmp_path / "infercache-demo.html").stat().st_size > 10_000


def test_a_directory_that_is_not_empty_is_refused(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    done = run("demo", "--path", str(tmp_path / "used"))
    assert done.code == 2
    assert "not empty" in done.errors
