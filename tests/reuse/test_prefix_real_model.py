"""SmolLM2-135M: the same greedy answers cold, warm and after a restart of the process."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch

import infercache as ic

pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]

MODELS = Path(tempfile.gettempdir()) / "infercache-models"
RULES = "You are a careful assistant. Answer in one short sentence. " * 12
QUESTIONS = ("What is the capital of France?", "Name a colour of the rainbow.")

RESTARTED = """
import json, sys, warnings
warnings.simplefilter("ignore")
import infercache as ic
from infercache.reuse.packaged_models import load_smollm2
model, tokenizer = load_smollm2(copy_dir=sys.argv[1])
with ic.Cache(ic.Memory("256MB"), ic.Disk(sys.argv[2], "512MB")) as cache:
    llm = ic.llm.attach(model, tokenizer, cache, strict=True)
    answer = llm.chat(json.loads(sys.argv[3]), max_new_tokens=12, do_sample=False)
print(json.dumps([answer, llm.last.restored_tokens, llm.last.computed_tokens]))
"""


def conversation(question: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": RULES}, {"role": "user", "content": question}]


@pytest.fixture(scope="module")
def loaded(require: Any) -> Any:
    require.smollm2()
    from infercache.reuse.packaged_models import load_smollm2

    return load_smollm2(copy_dir=MODELS)


def bare_answer(model: Any, tokenizer: Any, question: str) -> str:
    inputs = tokenizer.apply_chat_template(
        conversation(question), add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    tokens = model.generate(**inputs, max_new_tokens=12, do_sample=False)
    return str(
        tokenizer.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    )


def test_answers_are_the_same_cold_warm_and_after_a_restart(loaded: Any, tmp_path: Path) -> None:
    model, tokenizer = loaded
    expected = {question: bare_answer(model, tokenizer, question) for question in QUESTIONS}
    assert "Paris" in expected[QUESTIONS[0]]
    with ic.Cache(ic.Memory("256MB"), ic.Disk(tmp_path, "512MB")) as cache:
        llm = ic.llm.attach(model, tokenizer, cache, strict=True)
        for turn in range(2):
            for question in QUESTIONS:
                answer = llm.chat(conversation(question), max_new_tokens=12, do_sample=False)
                assert answer == expected[question]
                assert (llm.last.restored_tokens > 100) == (turn > 0 or question != QUESTIONS[0])
        assert cache.check() == []
    command = [sys.executable, "-c", RESTARTED, str(MODELS), str(tmp_path)]
    done = subprocess.run(
        [*command, json.dumps(conversation(QUESTIONS[0]))],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    answer, restored, computed = json.loads(done.stdout.splitlines()[-1])
    assert answer == expected[QUESTIONS[0]]
    assert restored > 100
    assert computed <= 16


def test_ragged_batch_is_answered_as_by_the_bare_model(loaded: Any) -> None:
    model, tokenizer = loaded
    tokenizer.padding_side = "left"
    texts = [RULES[:600] + question for question in QUESTIONS] + [RULES[:200] + "Hello"]
    inputs = tokenizer(texts, return_tensors="pt", padding=True)
    expected = model.generate(**inputs, max_new_tokens=8, do_sample=False)
    with ic.Cache(ic.Memory("256MB")) as cache:
        llm = ic.llm.attach(model, tokenizer, cache, strict=True)
        for _ in range(2):
            assert torch.equal(llm.generate(**inputs, max_new_tokens=8, do_sample=False), expected)
        assert llm.last.restored_tokens > 100
