"""The language part: one long system prompt, several questions, three ways."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from infercache.cache import Cache
from infercache.demo.bars import Bars
from infercache.demo.handbook import HANDBOOK, OPENING, QUESTIONS
from infercache.demo.outcome import Answer, LanguageOutcome
from infercache.errors import InfercacheError
from infercache.reuse.packaged_models import load_smollm2
from infercache.tiers.specs import Disk, Memory

MODEL = "SmolLM2-135M-Instruct"
_RESTART_TIMEOUT_S = 600.0


class RestartError(InfercacheError):
    """The second process of the demo did not come back with answers."""


class Asker:
    """Asks one model, and times its answers. Not thread-safe.

    Args:
        generate: The model's `generate`, or the attached model's.
        tokenizer: Its tokenizer.
        handbook: The system prompt.
        new_tokens: Tokens in an answer, at most.
        restored: Tells how many prompt tokens the last call restored.
    """

    def __init__(
        self,
        generate: Callable[..., Any],
        tokenizer: Any,
        handbook: str,
        new_tokens: int,
        restored: Callable[[], int] = lambda: 0,
    ) -> None:
        self._generate = generate
        self._tokenizer = tokenizer
        self._handbook = handbook
        self._new_tokens = new_tokens
        self._restored = restored

    def ask(self, question: str) -> Answer:
        """Return the greedy answer to one question."""
        messages = [
            {"role": "system", "content": self._handbook},
            {"role": "user", "content": question},
        ]
        inputs = self._tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        clock = _FirstToken()
        sequences = self._generate(
            **inputs, max_new_tokens=self._new_tokens, do_sample=False, streamer=clock
        )
        seconds = time.perf_counter() - clock.began_at
        prompt_tokens = int(inputs["input_ids"].shape[1])
        tokens = sequences[0, prompt_tokens:].tolist()
        text = str(self._tokenizer.decode(tokens, skip_special_tokens=True)).strip()
        return Answer(
            question, text, tokens, clock.first_token_s, seconds, prompt_tokens, self._restored()
        )

    def ask_all(self, questions: Sequence[str], advance: Callable[[], None]) -> list[Answer]:
        """Return the answer to each question."""
        answers = []
        for question in questions:
            answers.append(self.ask(question))
            advance()
        return answers


class _FirstToken:
    """A streamer of Transformers: gets the prompt, then every token, and looks at the clock."""

    def __init__(self) -> None:
        self.began_at = time.perf_counter()
        self.first_token_s = 0.0
        self._calls = 0

    def put(self, tokens: Any) -> None:
        self._calls += 1
        if self._calls == 2:
            self.first_token_s = time.perf_counter() - self.began_at

    def end(self) -> None:
        return


def run_language(home: Path, models: Path, bars: Bars, *, quick: bool) -> LanguageOutcome:
    """Ask without a cache, with one, and in a new process over the same directory.

    Args:
        home: An empty directory for the cache.
        models: Where the dequantised model is kept for later runs.
        bars: Where to show how far it is.
        quick: Two questions and a third of the handbook instead of all.

    Raises:
        MissingExtraError: the model, torch or transformers is not installed.
        RestartError: the second process failed.
    """
    loaded = bars.start(f"load {MODEL}", 1)
    began_at = time.perf_counter()
    model, tokenizer = load_model(models)
    load_s = time.perf_counter() - began_at
    loaded()
    questions, handbook, new_tokens = workload(quick=quick)
    plain = Asker(model.generate, tokenizer, handbook, new_tokens)
    # The first long prompt of a process also pays for memory and kernels being set up.
    Asker(model.generate, tokenizer, handbook, 1).ask_all([OPENING], bars.start("warm up", 1))
    moved = bars.start("without a cache", len(questions) + 1)
    opening_cold, *cold = plain.ask_all((OPENING, *questions), moved)
    with open_demo_cache(home) as cache:
        asker = attach(model, tokenizer, cache, handbook, new_tokens)
        opening_warm = asker.ask_all([OPENING], bars.start("first question fills the cache", 1))[0]
        memory = asker.ask_all(questions, bars.start("from memory", len(questions)))
        disk_bytes = cache.stats().tiers[-1].size_bytes
    moved = bars.start("after a restart", len(questions))
    restarted = ask_in_new_process(home, models, moved, quick=quick)
    return LanguageOutcome(
        MODEL, (opening_cold, opening_warm), cold, memory, restarted, load_s, disk_bytes
    )


def workload(*, quick: bool) -> tuple[tuple[str, ...], str, int]:
    """Return questions, system prompt and length of the answers."""
    if quick:
        return QUESTIONS[:2], HANDBOOK[: len(HANDBOOK) // 3], 8
    return QUESTIONS, HANDBOOK, 40


def load_model(models: Path) -> tuple[Any, Any]:
    """Return (model, tokenizer), set up for greedy answers.

    Raises:
        MissingExtraError: something is not installed.
    """
    with _quietly():
        model, tokenizer = load_smollm2(copy_dir=models)
    model.generation_config.pad_token_id = tokenizer.pad_token_id or tokenizer.eos_token_id
    return model, tokenizer


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep the loader's own bars from running through ours."""
    if importlib.util.find_spec("transformers") is None:
        yield
        return
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()


def open_demo_cache(home: Path) -> Cache:
    """Return a cache of the built-in defaults, in the demo's own directory."""
    return Cache(Memory(), Disk(home))


def attach(model: Any, tokenizer: Any, cache: Cache, handbook: str, new_tokens: int) -> Asker:
    """Return an asker whose prompts start from the longest known prefix."""
    from infercache import llm

    attached = llm.attach(model, tokenizer, cache)
    return Asker(
        attached.generate,
        tokenizer,
        handbook,
        new_tokens,
        restored=lambda: int(attached.last.restored_tokens),
    )


def ask_in_new_process(
    home: Path, models: Path, advance: Callable[[], None], *, quick: bool
) -> list[Answer]:
    """Run this demo again as a child process that shares nothing but the directory.

    Raises:
        RestartError: it failed; says what it printed last.
    """
    command = [sys.executable, "-m", "infercache.demo.restarted", str(home), str(models)]
    command += ["--quick"] if quick else []
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        output, errors = process.communicate(timeout=_RESTART_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.communicate()
        raise RestartError(
            f"the second process gave no answer within {_RESTART_TIMEOUT_S:.0f} s"
        ) from error
    if process.returncode:
        last = errors.strip().splitlines()[-1:] or ["nothing was printed"]
        raise RestartError(f"the second process ended with {process.returncode}: {last[0]}")
    answers = [Answer(**fields) for fields in json.loads(output.splitlines()[-1])]
    for _ in answers:
        advance()
    return answers


def as_json(answers: Sequence[Answer]) -> str:
    """Return answers as one line of JSON, for the process that waits for them."""
    return json.dumps([asdict(answer) for answer in answers])
