"""Small randomly initialised models of many kinds, for tests that need no real answers."""

from __future__ import annotations

import warnings
from typing import Any

import torch

with warnings.catch_warnings():
    # Importing transformers imports what is installed beside it, warnings and all.
    warnings.simplefilter("ignore")
    import peft
    import transformers

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

SIZES: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def make(config: Any, seed: int = 0) -> Any:
    """Return a causal model with weights large enough for its answers to depend on them."""
    torch.manual_seed(seed)
    cls = (
        transformers.AutoModelForSeq2SeqLM
        if config.is_encoder_decoder
        else transformers.AutoModelForCausalLM
    )
    model = cls.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8)
    return model


def llama(seed: int = 0, **changes: Any) -> Any:
    """Return a tiny Llama."""
    return make(transformers.LlamaConfig(**{**SIZES, **changes}), seed)


def with_adapter(seed: int = 0) -> Any:
    """Return a tiny Llama with two LoRA adapters, "one" active."""
    torch.manual_seed(seed)
    settings = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    with warnings.catch_warnings():  # peft asks transformers in a way that is on its way out
        warnings.simplefilter("ignore", FutureWarning)
        model = peft.get_peft_model(llama(seed), settings, adapter_name="one")
        model.add_adapter("two", settings)
    return model.eval()


def prompts(*lengths: int, seed: int = 0, shared: int = 0) -> list[list[int]]:
    """Return prompts of these lengths whose first `shared` tokens are equal."""
    generator = torch.Generator().manual_seed(seed)
    common = torch.randint(3, 97, (shared,), generator=torch.Generator().manual_seed(99)).tolist()
    return [
        (common + torch.randint(3, 97, (n,), generator=generator).tolist())[:n] for n in lengths
    ]


def batch(rows: list[list[int]]) -> dict[str, torch.Tensor]:
    """Return prompts as one batch, padded on the left."""
    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    return {"input_ids": ids, "attention_mask": mask}


def generate(model: Any, inputs: dict[str, torch.Tensor], **kwargs: Any) -> Any:
    """Return ten new tokens for each prompt, greedily unless said otherwise."""
    settings = {"max_new_tokens": 10, "do_sample": False, "eos_token_id": None, **kwargs}
    return model.generate(**inputs, **settings)
