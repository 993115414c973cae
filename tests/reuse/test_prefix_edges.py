"""What attached models refuse, pass through, notice and survive."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tiny_models import SIZES, batch, generate, llama, make, prompts, with_adapter

import infercache as ic
from infercache.entry import Entry
from infercache.errors import InfercacheWarning, SettingError, UnsupportedModelError
from infercache.reuse.fingerprint import ModelIdentity, _library_versions, fingerprint
from infercache.reuse.prefixes.restored import SlotLayer, Workspace, finite
from infercache.reuse.prefixes.store import BlockCounts, BlockLayout, BlockStore

BLOCK = 4


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def attach(model: Any, cache: ic.Cache, **options: Any) -> Any:
    return ic.llm.attach(model, None, cache, block_tokens=BLOCK, **options)


def restored(llm: Any, rows: list[list[int]]) -> int:
    generate(llm, batch(rows), max_new_tokens=1)
    return int(llm.last.restored_tokens)


# -- models that cannot be supported ---------------------------------------------------------

UNSUPPORTED = {
    "sliding window": (transformers.MistralConfig(**SIZES, sliding_window=8), "SlidingWindow"),
    "hybrid": (
        transformers.Gemma2Config(**SIZES, head_dim=16, sliding_window=8), "SlidingWindow",
    ),
    "state space": (
        transformers.MambaConfig(vocab_size=97, hidden_size=32, num_hidden_layers=2), "Mamba",
    ),
    "encoder-decoder": (
        transformers.T5Config(
            vocab_size=97, d_model=32, d_ff=48, num_layers=2, num_heads=4, d_kv=8,
            decoder_start_token_id=0,
        ),
        "encoder-decoder",
    ),
    "dynamic rope": (
        transformers.LlamaConfig(
            **SIZES, rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
        ),
        "'dynamic'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNSUPPORTED)
def test_unsupported_model_works_uncached_after_one_warning(kind: str, cache: ic.Cache) -> None:
    config, reason = UNSUPPORTED[kind]
    model = make(config)
    with pytest.warns(InfercacheWarning, match=reason) as caught:
        llm = attach(model, cache)
    assert len(caught) == 1
    inputs = batch(prompts(12))
    expected = generate(model, inputs)
    for _ in range(2):
        assert torch.equal(generate(llm, inputs), expected)
    assert llm.stats().bypasses == {"unsupported model": 2}
    assert "unsupported" in repr(llm)
    with pytest.raises(UnsupportedModelError, match=reason):
        attach(model, cache, strict=True)


def test_model_that_looks_back_from_the_end_is_found_out_by_trying(cache: ic.Cache) -> None:
    """Attention that is not causal passes every look at the configuration."""

    class Mean(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, hidden: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            return self.inner(hidden + hidden.mean(dim=1, keepdim=True), *args, **kwargs)

    model = llama()
    model.model.layers[0].mlp = Mean(model.model.layers[0].mlp).eval()
    with pytest.raises(UnsupportedModelError, match="in two parts changes its logits"):
        attach(model, cache, strict=True)


def test_what_is_no_model_or_no_cache_is_refused(cache: ic.Cache) -> None:
    with pytest.raises(UnsupportedModelError, match="no generate"):
        ic.llm.attach(torch.nn.Linear(2, 2), None, cache)
    with pytest.raises(SettingError, match="is not a cache"):
        ic.llm.attach(llama(), None, None)
    with pytest.raises(SettingError, match="block_tokens=0"):
        ic.llm.attach(llama(), None, cache, block_tokens=0)
    with pytest.raises(SettingError, match="parsecs"):
        ic.llm.attach(llama(), None, cache, workspace="12 parsecs")
    with pytest.raises(SettingError, match="needs a tokenizer"):
        attach(llama(), cache).chat([{"role": "user", "content": "hello"}])


# -- calls that go straight to the model -----------------------------------------------------


def test_calls_that_cannot_start_from_a_prefix_are_passed_through(cache: ic.Cache) -> None:
    model = llama()
    llm = attach(model, cache)
    (row,) = prompts(16)
    ids = torch.tensor([row])
    generate(llm, batch([row]))
    embeds = model.get_input_embeddings()(ids).detach()
    right = {"input_ids": ids, "attention_mask": torch.tensor([[1] * 12 + [0] * 4])}
    holes = {"input_ids": ids, "attention_mask": torch.tensor([[1] * 5 + [0] + [1] * 10])}
    calls: dict[str, Any] = {
        "argument past_key_values": lambda m: generate(
            m, batch([row]), past_key_values=transformers.DynamicCache(config=model.config)
        ),
        "argument inputs_embeds": lambda m: m.generate(
            inputs_embeds=embeds, max_new_tokens=4, do_sample=False
        ),
        "argument assistant_model": lambda m: generate(m, batch([row]), assistant_model=llama()),
        "assisted generation": lambda m: generate(m, batch([row]), prompt_lookup_num_tokens=2),
        "use_cache=False": lambda m: generate(m, batch([row]), use_cache=False),
        "cache_implementation=static": lambda m: generate(
            m, batch([row]), cache_implementation="static", disable_compile=True
        ),
        "output_hidden_states": lambda m: (
            generate(
                m, batch([row]), output_hidden_states=True, return_dict_in_generate=True
            ).sequences
        ),
        "prefill_chunk_size": lambda m: generate(m, batch([row]), prefill_chunk_size=5),
        "padding on the right": lambda m: generate(m, right),
        "attention mask with holes": lambda m: generate(m, holes),
    }
    for reason, call in calls.items():
        before = llm.stats().bypasses.get(reason, 0)
        assert torch.equal(call(llm), call(model)), reason
        assert llm.stats().bypasses.get(reason, 0) == before + 1, llm.stats().bypasses
        assert llm.last.bypass == reason
    assert llm.stats().prompts == 1


def test_errors_of_generate_are_its_own(cache: ic.Cache) -> None:
    model = llama()
    llm = attach(model, cache)
    for wrong in ({"no_such_argument": 1}, {"max_new_tokens": -1}):
        messages = []
        for one in (model, llm):
            with pytest.raises(ValueError) as caught:
                one.generate(torch.tensor([[3, 4]]), **wrong)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("training mode", lambda model: model.train()),
        ("forward hooks", lambda model: model.lm_head.register_forward_hook(lambda *_: None)),
        (
            "replaced forward method",
            lambda model: setattr(model.lm_head, "forward", model.lm_head.forward),
        ),
    ],
)
def test_state_that_may_change_the_answer_bypasses_and_says_so_once(
    cache: ic.Cache, reason: str, change: Any
) -> None:
    model = llama()
    llm = attach(model, cache)
    change(model)
    with pytest.warns(InfercacheWarning, match=reason):
        generate(llm, batch(prompts(12)))
    for _ in range(2):  # a second warning would be an error
        generate(llm, batch(prompts(12)))
    assert llm.stats().bypasses == {reason: 3}


def test_model_attached_in_training_mode_is_served_once_it_is_in_eval_mode(
    cache: ic.Cache,
) -> None:
    model = llama().train()
    with pytest.warns(InfercacheWarning, match="training mode"):
        llm = attach(model, cache)
    model.eval()
    assert [restored(llm, prompts(12)) for _ in range(2)] == [0, 11]


def test_autocast_bypasses(cache: ic.Cache) -> None:
    llm = attach(llama(), cache)
    inputs = batch(prompts(12))
    with torch.autocast("cpu", torch.bfloat16), pytest.warns(InfercacheWarning, match="autocast"):
        generate(llm, inputs)
    assert generate(llm, inputs) is not None
    assert llm.last.restored_tokens == 0


# -- identity --------------------------------------------------------------------------------


def test_changed_weights_are_never_served_old_prefixes(cache: ic.Cache) -> None:
    model = llama()
    llm = attach(model, cache)
    rows = prompts(14)
    assert [restored(llm, rows) for _ in range(2)] == [0, 12]
    weight = model.model.layers[0].self_attn.k_proj.weight
    old = weight.detach().clone()
    changes: list[Any] = [
        lambda: weight.add_(1.0),
        lambda: weight.data.mul_(1.5),  # past torch's version counter
        lambda: setattr(weight, "data", weight.data.flip(0).clone()),
        lambda: model.load_state_dict(llama(seed=1).state_dict()),
        lambda: setattr(model.config, "rms_norm_eps", 0.5),
    ]
    for change in changes:
        with torch.no_grad():
            change()
        assert torch.equal(generate(llm, batch(rows)), generate(model, batch(rows)))
        assert llm.last.restored_tokens == 0
    with torch.no_grad():
        model.load_state_dict(llama().state_dict())
        model.config.rms_norm_eps = llama().config.rms_norm_eps
    assert torch.equal(old, weight)
    assert restored(llm, rows) == 12  # the first weights again: their blocks are still good


def test_adapters_have_prefixes_of_their_own(cache: ic.Cache) -> None:
    model = with_adapter()
    llm = attach(model, cache, strict=True)
    rows = prompts(14)

    def check(expected: int) -> None:
        bare = generate(model, batch(rows))
        assert torch.equal(generate(llm, batch(rows)), bare)
        assert llm.last.restored_tokens == expected

    check(0)
    check(12)
    model.set_adapter("two")
    check(0)
    with model.disable_adapter():
        check(0)
        check(12)
    model.set_adapter("one")
    check(12)
    model.merge_adapter()
    check(0)
    model.unmerge_adapter()


def test_equal_models_have_one_fingerprint_and_others_have_not(tmp_path: Path) -> None:
    model = llama()
    model.save_pretrained(tmp_path)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert fingerprint(loaded) == fingerprint(model) == fingerprint(llama())
    eager = llama()
    eager.set_attn_implementation("eager")
    activation = llama()
    activation.model.layers[0].mlp.act_fn = torch.nn.ReLU()
    others = [
        llama(seed=1), llama().double(), llama(rms_norm_eps=1e-3), eager, activation,
        llama(num_hidden_layers=3), with_adapter(),
    ]  # fmt: skip
    assert len({fingerprint(other) for other in [model, *others]}) == len(others) + 1


def test_weights_that_cannot_be_read_are_not_supported(cache: ic.Cache) -> None:
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES)).eval()
    with pytest.raises(UnsupportedModelError, match="meta device"):
        fingerprint(model)
    with pytest.warns(InfercacheWarning, match="not in memory"):
        attach(model, cache)


def test_refresh_reads_the_weights_again() -> None:
    model = llama()
    identity = ModelIdentity(model)
    before = identity.current()
    weight = model.lm_head.weight.data.numpy()
    weight[1, 1] += 1.0  # one value, past torch: the one thing that a stamp may miss
    identity.refresh()
    assert identity.current() != before


def test_tenants_never_share(cache: ic.Cache) -> None:
    model, rows = llama(), prompts(14)
    one, two = attach(model, cache, tenant="one"), attach(model, cache, tenant="two")
    assert [restored(one, rows), restored(two, rows), restored(one, rows)] == [0, 0, 12]


# -- blocks ----------------------------------------------------------------------------------

LAYOUT = BlockLayout(2, 2, 8, torch.float32, torch.device("cpu"))


def block(fill: float = 0.0, **changes: Any) -> torch.Tensor:
    return torch.full(LAYOUT.shape(changes.get("tokens", BLOCK)), fill, dtype=torch.float32)


@pytest.mark.parametrize(
    "wrong",
    [
        None, 5, {}, {"tokens": b"", "kv": block()},
        {"kv": block(tokens=3)}, {"kv": block().double()}, {"kv": block()[1:]},
        {"kv": np.zeros(LAYOUT.shape(BLOCK), np.float32)}, {"tokens": None, "kv": block()},
    ],
)  # fmt: skip
def test_malformed_block_is_a_miss_and_counted(cache: ic.Cache, wrong: Any) -> None:
    space = cache.namespace("prefix", version="model")
    store = BlockStore(space, LAYOUT, BLOCK)
    tokens = np.arange(3 * BLOCK, dtype=np.int64)
    named, counts = store.cut(tokens), BlockCounts()
    store.keep([(*name, block(1.0)) for name in named], 0.0, counts)
    assert counts.stored == 3
    assert len(store.find(tokens, counts)) == counts.hit == 3
    digest, token_bytes = named[1]
    if isinstance(wrong, dict) and len(wrong) == 1:
        wrong = {"tokens": token_bytes, **wrong}
    key = ic.Key(space.scope, space.name, space.version, digest)
    space.keep_many([(key, Entry(wrong))])
    counts = BlockCounts()
    assert len(store.find(tokens, counts)) == 1
    assert (counts.hit, counts.malformed) == (1, 1)


def test_blocks_of_other_tokens_model_or_tenant_are_not_found(cache: ic.Cache) -> None:
    tokens = np.arange(2 * BLOCK, dtype=np.int64)
    counts = BlockCounts()
    store = BlockStore(cache.namespace("prefix", version="a"), LAYOUT, BLOCK)
    store.keep([(*name, block()) for name in store.cut(tokens)], 0.0, counts)
    later = np.concatenate([tokens[BLOCK:], tokens[BLOCK:]])
    assert len(store.find(tokens, counts)) == 2
    assert store.find(later, counts) == []  # the same tokens behind another prefix
    for version, scope in (("b", None), ("a", "tenant")):
        other = BlockStore(cache.namespace("prefix", version, scope=scope), LAYOUT, BLOCK)
        assert other.find(tokens, counts) == []
    assert BlockStore(cache.namespace("prefix", "a"), LAYOUT, 2).find(tokens, counts) == []


def test_undefined_numbers_are_never_stored(cache: ic.Cache) -> None:
    model = llama()
    with torch.no_grad():
        model.model.embed_tokens.weight[50] = float("nan")
    llm = attach(model, cache)
    rows = [[3] * 9 + [50] + [4] * 10]
    for _ in range(2):
        assert restored(llm, rows) == 0
    counts = llm.stats().blocks
    assert counts.unusable == 2
    assert counts.stored == counts.hit == 0
    assert finite([block(), block(float("inf")), block(float("nan"))]) == [True, False, False]


def test_kept_blocks_do_not_keep_the_whole_prompt_alive(cache: ic.Cache) -> None:
    llm = attach(llama(), cache)
    generate(llm, batch(prompts(40)))
    tokens = np.array(prompts(40)[0], np.int64)
    blocks = llm._blocks().find(tokens, BlockCounts())
    assert len(blocks) == 10
    assert all(one.untyped_storage().nbytes() == one.nbytes for one in blocks)
    size = sum(one.nbytes for one in blocks)
    (memory,) = cache.stats().tiers
    assert memory.size_bytes >= size


def test_cache_that_takes_nothing_changes_nothing() -> None:
    model = llama()
    with ic.Cache(ic.Memory("1KB")) as cache:
        llm = attach(model, cache)
        for _ in range(2):
            assert torch.equal(
                generate(llm, batch(prompts(20))), generate(model, batch(prompts(20)))
            )
        assert llm.last.restored_tokens == 0


def test_corrupted_files_are_misses(tmp_path: Path) -> None:
    model, rows = llama(num_attention_heads=2, head_dim=512), prompts(40)
    expected = generate(model, batch(rows))
    with ic.Cache(ic.Disk(tmp_path, "64MB")) as cache:
        generate(attach(model, cache), batch(rows))
    files = [file for file in tmp_path.rglob("*") if file.is_file() and file.stat().st_size > 9000]
    for file in files:
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 0xFF
        file.chmod(0o600)
        file.write_bytes(data)
    with ic.Cache(ic.Disk(tmp_path, "64MB")) as cache, warnings.catch_warnings():
        warnings.simplefilter("ignore", InfercacheWarning)
        llm = attach(model, cache)
        assert torch.equal(generate(llm, batch(rows)), expected)
        assert llm.last.restored_tokens == 0


# -- the wrapper -----------------------------------------------------------------------------


def test_everything_else_is_the_models_own(cache: ic.Cache) -> None:
    model = llama()
    before = dict(vars(model)), fingerprint(model)
    llm = attach(model, cache)
    generate(llm, batch(prompts(12)))
    assert llm.config is model.config
    assert llm.num_parameters() == model.num_parameters()
    assert llm.model is model
    assert (dict(vars(model)), fingerprint(model)) == before
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = llm.no_such_thing
    assert repr(llm) == "AttachedModel(LlamaForCausalLM, blocks of 4 tokens)"


def test_stats_estimate_what_was_saved(cache: ic.Cache) -> None:
    llm = attach(llama(), cache)
    assert llm.stats().saved_s == 0.0
    for _ in range(3):
        restored(llm, prompts(200))
    stats = llm.stats()
    assert stats.tokens_per_s > 0
    assert stats.tokens_restored == 2 * 199
    assert stats.saved_s == pytest.approx(
        max(398 / stats.tokens_per_s - stats.restore_s, 0.0), rel=1e-6
    )


def test_layer_goes_on_beyond_its_room_and_after_its_tensors_were_replaced() -> None:
    torch.manual_seed(0)
    memory = torch.randn(2, 2, 3, 8, 4)
    plain = transformers.cache_utils.DynamicLayer()
    plain.update(memory[0, :, :, :5].clone(), memory[1, :, :, :5].clone())
    layer = SlotLayer(memory[0], memory[1], 5)
    assert layer.get_seq_length() == 5
    for number in range(6):
        new = torch.randn(2, 3, 1, 4), torch.randn(2, 3, 1, 4)
        for ours, theirs in zip(layer.update(*new), plain.update(*new), strict=True):
            assert torch.equal(ours, theirs)
        if number == 1:
            order = torch.tensor([1, 1])
            for one in (layer, plain):
                one.reorder_cache(order)
    assert layer.get_seq_length() == plain.get_seq_length() == 11


def test_cropped_layer_does_not_write_over_what_others_still_see() -> None:
    memory = torch.randn(2, 1, 3, 8, 4)
    layer = SlotLayer(memory[0], memory[1], 6)
    seen = layer.keys
    kept = seen.clone()
    layer.crop(-2)
    layer.update(torch.zeros(1, 3, 1, 4), torch.zeros(1, 3, 1, 4))
    assert layer.get_seq_length() == 5
    assert torch.equal(seen, kept)


def test_workspace_keeps_one_buffer_within_its_limit() -> None:
    workspace = Workspace(8000)
    cpu = torch.device("cpu")
    buffer = workspace.take(1000, torch.float32, cpu)
    assert buffer.numel() >= 1000
    workspace.give(buffer)
    assert workspace.take(900, torch.float32, cpu) is buffer
    assert workspace.take(900, torch.float32, cpu) is not buffer
    workspace.give(buffer)
    assert workspace.take(900, torch.float16, cpu) is not buffer
    workspace.give(torch.empty(4000))
    assert workspace.take(3000, torch.float32, cpu).numel() < 4000


def test_what_else_is_imported_does_not_change_a_fingerprint() -> None:
    """A process that uses an adapter library elsewhere must find the others' blocks."""
    versions = dict(_library_versions(llama()))
    assert "peft" in sys.modules
    assert set(versions) == {"torch", "transformers"}
