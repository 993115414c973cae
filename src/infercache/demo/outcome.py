"""What the demo measured."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class Answer:
    """One question answered.

    Attributes:
        question: What was asked.
        text: The answer.
        tokens: The answer's tokens.
        first_token_s: Seconds from the call to the first token of the answer.
        seconds: Seconds for the whole answer.
        prompt_tokens: Tokens of the prompt.
        restored_tokens: Those of them whose keys and values were restored.
    """

    question: str
    text: str
    tokens: list[int]
    first_token_s: float
    seconds: float
    prompt_tokens: int
    restored_tokens: int = 0


@dataclass(slots=True)
class LanguageOutcome:
    """The language part. Lists of answers are in the order of the questions.

    Attributes:
        model: The model's name.
        opening: The first question without a cache, then with an empty one, which it fills.
        cold: The other questions without a cache.
        memory: The same with the cache, from memory.
        restarted: The same in a new process over the same directory.
        load_s: Seconds that loading the model took, which is in none of the other times.
        disk_bytes: What the prefix needs on disk.
    """

    model: str
    opening: tuple[Answer, Answer]
    cold: list[Answer]
    memory: list[Answer]
    restarted: list[Answer]
    load_s: float = 0.0
    disk_bytes: int = 0

    def differences(self) -> list[str]:
        """Return a sentence for each answer that is not the one given without a cache."""
        pairs = [("with an empty cache", [self.opening[0]], [self.opening[1]])]
        pairs.append(("from memory", self.cold, self.memory))
        pairs.append(("after a restart", self.cold, self.restarted))
        return [
            f"{found.question!r} {when}: {found.text!r} instead of {expected.text!r}"
            for when, right, tried in pairs
            for expected, found in zip(right, tried, strict=True)
            if expected.tokens != found.tokens
        ]


@dataclass(slots=True)
class ImagesOutcome:
    """The image part.

    Attributes:
        images: Number of images in training and in test.
        epochs_s: Seconds for each epoch of training, preprocessing included.
        passes_s: Seconds for the test images without a cache, with an empty and a filled one.
        predictions: The labels that each of those three passes gave.
        accuracy: Share of test images whose label is right.
    """

    images: tuple[int, int]
    epochs_s: list[float]
    passes_s: list[float]
    predictions: list[list[int]]
    accuracy: float

    def differences(self) -> list[str]:
        """Return a sentence for each pass whose predictions are not those without a cache."""
        names = ("without a cache", "with an empty cache", "with a filled cache")
        right = self.predictions[0]
        return [
            f"{sum(a != b for a, b in zip(right, found, strict=True))} predictions differ {name}"
            for name, found in zip(names[1:], self.predictions[1:], strict=True)
            if found != right
        ]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: `speedup` is without divided by with."""

    what: str
    without_s: float
    with_s: float
    note: str = ""

    @property
    def speedup(self) -> float:
        """How many times as fast."""
        return self.without_s / self.with_s if self.with_s else float("inf")


@dataclass(slots=True)
class Outcome:
    """Everything that the demo measured."""

    language: LanguageOutcome
    images: ImagesOutcome
    machine: dict[str, Any] = field(default_factory=dict)

    def differences(self) -> list[str]:
        """Return a sentence for everything that came out differently with the cache."""
        return self.language.differences() + self.images.differences()

    def rows(self) -> list[Row]:
        """Return the table of times and speed-ups."""
        return [*_language_rows(self.language), *_image_rows(self.images)]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, for JSON."""
        return asdict(self)


def first_token_s(answers: Sequence[Answer]) -> float:
    """Return the median time to the first token."""
    return statistics.median(answer.first_token_s for answer in answers)


def _language_rows(part: LanguageOutcome) -> list[Row]:
    cold_s = first_token_s(part.cold)
    total_s = sum(answer.seconds for answer in part.cold)
    restored = part.restarted[0]
    rows = [
        Row(
            "first question, cache still empty",
            part.opening[0].first_token_s,
            part.opening[1].first_token_s,
            "to the first token; the prompt is computed and kept",
        ),
        Row(
            "further questions, from memory",
            cold_s,
            first_token_s(part.memory),
            f"to the first token, median of {len(part.memory)}",
        ),
        Row(
            "after a restart, from disk",
            part.cold[0].first_token_s,
            restored.first_token_s,
            f"to the first token; {restored.restored_tokens} of {restored.prompt_tokens} restored",
        ),
    ]
    if len(part.restarted) > 1:
        rows.append(
            Row(
                "after a restart, the questions after that",
                first_token_s(part.cold[1:]),
                first_token_s(part.restarted[1:]),
                f"to the first token, median of {len(part.restarted) - 1}",
            )
        )
    memory_s = sum(answer.seconds for answer in part.memory)
    rows.append(Row("all answers whole, from memory", total_s, memory_s, "prompt and answer"))
    return rows


def _image_rows(part: ImagesOutcome) -> list[Row]:
    train, test = part.images
    later_s = statistics.median(part.epochs_s[1:])
    return [
        Row(
            "training: second epoch against first",
            part.epochs_s[0],
            later_s,
            f"{train:,} images, preprocessing skipped",
        ),
        Row("inference: cache still empty", part.passes_s[0], part.passes_s[1], f"{test:,} images"),
        Row(
            "inference: the same images again",
            part.passes_s[0],
            part.passes_s[2],
            "preprocessing, model and postprocessing skipped",
        ),
    ]
