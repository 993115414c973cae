"""`generate` with restored prefixes gives what the bare model gives."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import SIZES, batch, generate, llama, make, prompts

import infercache as ic

BLOCK = 4


def attach(model: Any, cache: ic.Cache, **options: Any) -> Any:
    return ic.llm.attach(model, None, cache, block_tokens=BLOCK, **options)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny models are fastest without a thread pool."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model() -> Any:
    return llama()


def test_warm_prompt_gives_the_same_tokens_and_restores_full_blocks(
    model: Any, cache: ic.Cache
) -> None:
    llm = attach(model, cache, keep_answers=False)
    first, second = prompts(23, 30, shared=18)
    expected = [generate(model, batch([row])) for row in (first, second)]
    assert torch.equal(generate(llm, batch([first])), expected[0])
    assert (llm.last.restored_tokens, llm.last.computed_tokens) == (0, 23)
    assert torch.equal(generate(llm, batch([second])), expected[1])
    assert (llm.last.restored_tokens, llm.last.computed_tokens) == (16, 14)
    assert torch.equal(generate(llm, batch([first])), expected[0])
    assert (llm.last.restored_tokens, llm.last.computed_tokens) == (20, 3)


def test_at_least_one_token_is_computed_when_the_whole_prompt_is_known(
    model: Any, cache: ic.Cache
) -> None:
    llm = attach(model, cache)
    inputs = batch(prompts(6 * BLOCK))
    expected = generate(model, inputs)
    for restored in (0, 6 * BLOCK - 1):
        assert torch.equal(generate(llm, inputs), expected)
        assert llm.last.restored_tokens == restored


def test_answer_is_known_in_the_next_turn(model: Any, cache: ic.Cache) -> None:
    llm = attach(model, cache)
    answer = generate(llm, batch(prompts(21)))
    inputs = {"input_ids": torch.cat([answer, torch.tensor([[5, 6, 7]])], dim=1)}
    expected = generate(model, inputs)
    assert torch.equal(generate(llm, inputs), expected)
    # 21 + 10 tokens, of which the last was never fed back.
    assert llm.last.restored_tokens == 30 // BLOCK * BLOCK


def test_what_follows_a_stop_token_is_not_kept(model: Any, cache: ic.Cache) -> None:
    rows = prompts(12, 12, seed=3)
    free = generate(model, batch(rows), max_new_tokens=20)
    stop = int(free[0, 14])
    llm = attach(model, cache)
    arguments: dict[str, Any] = {"max_new_tokens": 20, "eos_token_id": stop, "pad_token_id": 0}
    expected = generate(model, batch(rows), **arguments)
    assert torch.equal(generate(llm, batch(rows), **arguments), expected)
    stopped = generate(llm, {"input_ids": free[:1, :30]}, max_new_tokens=1)
    assert llm.last.restored_tokens == 15 // BLOCK * BLOCK
    assert stopped.shape == (1, 31)


@pytest.mark.parametrize("lengths", [(9, 9, 9), (30, 12, 25), (5, 40, 17), (1, 20), (8, 8, 33, 2)])
def test_ragged_batches(model: Any, cache: ic.Cache, lengths: tuple[int, ...]) -> None:
    """Rows of different lengths and different known prefixes, each as the bare model has it."""
    llm = attach(model, cache)
    rows = prompts(*lengths, shared=14)
    expected = generate(model, batch(rows))
    for row in rows[1:]:
        generate(llm, batch([row]))
    for _ in range(2):
        assert torch.equal(generate(llm, batch(rows)), expected)
    assert llm.stats().bypasses == {}
    assert llm.last.restored_tokens > 0 or min(lengths) < BLOCK


def test_restored_columns_are_those_that_every_row_knows(model: Any, cache: ic.Cache) -> None:
    llm = attach(model, cache, keep_answers=False)
    short, long = prompts(10, 24)
    generate(llm, batch([long]))
    rows = [long, short]
    expected = generate(model, batch(rows))
    assert torch.equal(generate(llm, batch(rows)), expected)
    # `short` is not known: nothing beyond its 14 columns of padding can be restored.
    assert llm.last.restored_tokens == 14
    assert torch.equal(generate(llm, batch(rows)), expected)
    # Now 8 of its tokens are known: 22 columns, 22 tokens of one row and 8 of the other.
    assert llm.last.restored_tokens == 22 + 8


def test_mask_is_derived_from_the_padding_as_the_model_does(model: Any, cache: ic.Cache) -> None:
    llm = attach(model, cache)
    inputs = {"input_ids": batch(prompts(20, 13, shared=9))["input_ids"]}
    expected = generate(model, inputs, eos_token_id=2)
    for _ in range(2):
        assert torch.equal(generate(llm, inputs, eos_token_id=2), expected)
    assert llm.last.restored_tokens > 0


@pytest.mark.parametrize("arguments", [{"num_beams": 3}, {"num_beams": 2, "do_sample": True}])
def test_beams_start_from_the_prefix(
    model: Any, cache: ic.Cache, arguments: dict[str, Any]
) -> None:
    llm = attach(model, cache)
    inputs = batch(prompts(22, 17, shared=12))
    torch.manual_seed(5)
    expected = generate(model, inputs, **arguments)
    for _ in range(2):
        torch.manual_seed(5)
        assert torch.equal(generate(llm, inputs, **arguments), expected)
    assert llm.last.restored_tokens > 0
    assert llm.stats().bypasses == {}


def test_sampling_with_a_seed_and_several_sequences(model: Any, cache: ic.Cache) -> None:
    llm = attach(model, cache)
    inputs = batch(prompts(19))
    arguments: dict[str, Any] = {"do_sample": True, "num_return_sequences": 3, "top_k": 20}
    torch.manual_seed(11)
    expected = generate(model, inputs, **arguments)
    for _ in range(2):
        torch.manual_seed(11)
        assert torch.equal(generate(llm, inputs, **arguments), expected)
    assert llm.last.restored_tokens == 16


def test_settings_object_streamer_and_dict_output(model: Any, cache: ic.Cache) -> None:
    class Collect:
        def __init__(self) -> None:
            self.tokens: list[int] = []

        def put(self, value: torch.Tensor) -> None:
            self.tokens += value.flatten().tolist()

        def end(self) -> None:
            self.tokens.append(-1)

    llm = attach(model, cache)
    ids = torch.tensor(prompts(20))
    config = transformers.GenerationConfig(
        max_new_tokens=6, do_sample=False, return_dict_in_generate=True, output_scores=True
    )
    bare, expected = Collect(), model.generate(ids, config)
    model.generate(ids, config, streamer=bare)
    for _ in range(2):
        streamer = Collect()
        answer = llm.generate(ids, config, streamer=streamer)
        assert torch.equal(answer.sequences, expected.sequences)
        assert streamer.tokens == bare.tokens
        for ours, theirs in zip(answer.scores, expected.scores, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert llm.last.restored_tokens == 19
    kept = answer.past_key_values.layers[0].keys.clone()
    generate(llm, batch(prompts(30, seed=8)))  # must not reuse memory that the caller holds
    generate(llm, batch(prompts(30, seed=8)))
    assert torch.equal(answer.past_key_values.layers[0].keys, kept)


def test_inference_mode_and_gradients_around_a_call(model: Any, cache: ic.Cache) -> None:
    llm = attach(model, cache)
    inputs = batch(prompts(20))
    expected = generate(model, inputs)
    with torch.inference_mode():
        assert torch.equal(generate(llm, inputs), expected)
    with torch.enable_grad():
        assert torch.equal(generate(llm, inputs), expected)
    with torch.inference_mode():
        assert torch.equal(generate(llm, inputs), expected)
    assert llm.last.restored_tokens == 16 + BLOCK - 1


def test_prefill_gives_the_whole_prompt_for_ones_own_loop(model: Any, cache: ic.Cache) -> None:
    llm = attach(model, cache)
    (row,) = prompts(26)
    following = torch.tensor([[7, 8, 9]])
    with torch.no_grad():
        expected = model(torch.tensor([[*row, 7, 8, 9]])).logits[:, -3:]
    for restored in (0, 24):
        past = llm.prefill(torch.tensor([row]))
        assert past.get_seq_length() == 26
        assert llm.last.restored_tokens == restored
        with torch.no_grad():
            logits = model(following, past_key_values=past).logits
        torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    aligned = torch.tensor([row[:24]])
    assert llm.prefill(aligned).get_seq_length() == 24
    assert llm.last.computed_tokens == 0


def test_prefill_of_a_ragged_batch(model: Any, cache: ic.Cache) -> None:
    llm = attach(model, cache)
    inputs = batch(prompts(21, 13))
    following = {
        "input_ids": torch.cat([inputs["input_ids"], torch.tensor([[7], [8]])], dim=1),
        "attention_mask": torch.cat([inputs["attention_mask"], torch.ones(2, 1).long()], dim=1),
    }
    expected = generate(model, following)
    for _ in range(2):
        past = llm.prefill(**inputs)
        assert torch.equal(generate(model, following, past_key_values=past), expected)
    assert llm.last.restored_tokens > 0


def test_prefilled_cache_can_be_trained_through(model: Any, cache: ic.Cache) -> None:
    """Gradients flow through what follows a restored prefix, as with the model's own cache."""
    llm = attach(model, cache)
    ids = torch.tensor(prompts(20))
    llm.prefill(ids)
    past = llm.prefill(ids)
    for _ in range(2):
        loss = model(torch.tensor([[4, 5]]), past_key_values=past).logits.sum()
    loss.backward()
    assert model.lm_head.weight.grad is not None
    model.zero_grad()


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_any_sequence_of_prompts_is_answered_like_the_bare_model(data: st.DataObject) -> None:
    """Prompts that share prefixes in any pattern, batched in any way, in a small cache."""
    model = llama()
    with ic.Cache(ic.Memory("150KB")) as cache:
        llm = attach(model, cache)
        for _ in range(4):
            lengths = data.draw(st.lists(st.integers(1, 40), min_size=1, max_size=3))
            shared = data.draw(st.integers(0, 30))
            rows = prompts(*lengths, shared=shared, seed=data.draw(st.integers(0, 3)))
            expected = generate(model, batch(rows), max_new_tokens=4)
            assert torch.equal(generate(llm, batch(rows), max_new_tokens=4), expected)
        assert cache.check() == []


def test_threads_share_prefixes(model: Any, cache: ic.Cache) -> None:
    llm = attach(model, cache)
    rows = prompts(*[24] * 6, shared=15)
    expected = [generate(model, batch([row])) for row in rows]
    wrong: list[int] = []

    def ask(number: int) -> None:
        for turn in range(4):
            index = (number + turn) % len(rows)
            if not torch.equal(generate(llm, batch([rows[index]])), expected[index]):
                wrong.append(index)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    stats = llm.stats()
    assert stats.prompts == 16
    assert stats.tokens_restored + stats.tokens_computed == 16 * 24


def test_prefix_survives_a_restart_on_disk(model: Any, tmp_path: Path) -> None:
    (row,) = prompts(40)
    expected = generate(model, batch([row]))
    for restored in (0, 39):
        with ic.Cache(ic.Memory("8MB"), ic.Disk(tmp_path, "64MB")) as cache:
            llm = attach(llama(), cache)  # another object with equal weights
            assert torch.equal(generate(llm, batch([row])), expected)
            assert llm.last.restored_tokens == restored


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_dtypes(cache: ic.Cache, dtype: torch.dtype) -> None:
    model = llama().to(dtype)
    llm = attach(model, cache, strict=True)
    inputs = batch(prompts(21))
    for _ in range(2):
        answer = generate(llm, inputs, return_dict_in_generate=True, output_logits=True)
    bare = generate(model, inputs, return_dict_in_generate=True, output_logits=True)
    assert llm.last.restored_tokens == 20
    assert answer.past_key_values.layers[0].keys.dtype == dtype
    scale = bare.logits[0].abs().max()
    error = (answer.logits[0] - bare.logits[0]).abs().max() / scale
    assert error <= 4 * torch.finfo(dtype).eps ** 0.75


SUPPORTED = {
    "qwen2": transformers.Qwen2Config(**SIZES),
    "qwen3": transformers.Qwen3Config(**SIZES, head_dim=16),
    "mistral": transformers.MistralConfig(**{**SIZES, "sliding_window": None}),
    "gemma": transformers.GemmaConfig(**SIZES, head_dim=16),
    "phi": transformers.PhiConfig(**SIZES),
    "gpt2": transformers.GPT2Config(
        vocab_size=97, n_embd=32, n_layer=2, n_head=4, n_positions=512,
        bos_token_id=1, eos_token_id=2,
    ),
    "gpt_neox": transformers.GPTNeoXConfig(
        **{**SIZES, "num_key_value_heads": None}
    ),
    "bloom": transformers.BloomConfig(vocab_size=97, hidden_size=32, n_layer=2, n_head=4),
    "opt": transformers.OPTConfig(
        vocab_size=97, hidden_size=32, ffn_dim=48, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=512, word_embed_proj_dim=32,
    ),
    "mixtral": transformers.MixtralConfig(**{**SIZES, "sliding_window": None}),
}  # fmt: skip


@pytest.mark.parametrize("kind", SUPPORTED)
def test_kinds_of_models_that_are_supported(kind: str, cache: ic.Cache) -> None:
    model = make(SUPPORTED[kind])
    llm = attach(model, cache, strict=True)
    inputs = batch(prompts(22, 15, shared=9))
    arguments: dict[str, Any] = {"pad_token_id": 0}
    expected = generate(model, inputs, **arguments)
    for _ in range(2):
        assert torch.equal(generate(llm, inputs, **arguments), expected)
    assert llm.last.restored_tokens > 0
    assert llm.stats().bypasses == {}
