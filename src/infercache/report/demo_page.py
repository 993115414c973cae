"""The report of `infercache demo` as one HTML file."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from infercache.errors import MissingExtraError
from infercache.report.plots import Series, bar_plot
from infercache.units import format_duration, format_size


def write_demo_page(outcome: Any, path: Path) -> None:
    """Write the page; `outcome` is an `infercache.demo.outcome.Outcome`.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
        OSError: the file cannot be written.
    """
    if importlib.util.find_spec("jinja2") is None:
        raise MissingExtraError("reports need an extra: pip install 'infercache[report]'")
    import jinja2

    source = (resources.files("infercache.report") / "demo.html").read_text(encoding="utf-8")
    surroundings = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    surroundings.filters["duration"] = format_duration
    surroundings.filters["size"] = format_size
    template = surroundings.from_string(source)
    page = template.render(
        outcome=outcome,
        rows=outcome.rows(),
        differences=outcome.differences(),
        plots=_plots(outcome),
        answers=_answers(outcome.language),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _plots(outcome: Any) -> dict[str, str]:
    language, images = outcome.language, outcome.images
    epochs = [f"epoch {number}" for number in range(1, len(images.epochs_s) + 1)]
    return {
        "language": bar_plot(
            [_short(answer.question) for answer in language.cold],
            [
                Series("without a cache", _first_tokens(language.cold)),
                Series("from memory", _first_tokens(language.memory)),
                Series("after a restart", _first_tokens(language.restarted)),
            ],
            unit="seconds to the first token",
            title="Time to the first token of each answer",
        ),
        "training": bar_plot(
            epochs,
            [Series("training", images.epochs_s)],
            unit="seconds for an epoch",
            title="Time for each epoch of training",
            width=4.4,
        ),
        "inference": bar_plot(
            ["without a cache", "empty cache", "filled cache"],
            [Series("inference", images.passes_s)],
            unit="seconds for all test images",
            title="Time for the test images",
            width=4.4,
        ),
    }


def _answers(language: Any) -> list[dict[str, Any]]:
    return [
        {
            "question": cold.question,
            "text": cold.text,
            "same": cold.tokens == memory.tokens == restarted.tokens,
            "restored": memory.restored_tokens,
            "prompt": memory.prompt_tokens,
        }
        for cold, memory, restarted in zip(
            language.cold, language.memory, language.restarted, strict=True
        )
    ]


def _first_tokens(answers: Sequence[Any]) -> list[float]:
    return [answer.first_token_s for answer in answers]


def _short(question: str, width: int = 34) -> str:
    """Return the beginning of a question, cut at a word, in at most two lines."""
    if len(question) <= width:
        return question
    head = question[:width].rsplit(" ", 1)[0]
    return f"{head} ..."
