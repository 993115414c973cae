"""What a call of `generate` asks for, and whether restored prefixes can take part in it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationMixin

from infercache.reuse.prefixes.prompts import Prompts, read_prompts

_PARAMETERS = tuple(inspect.signature(GenerationMixin.generate).parameters)[1:]
# Parameters of `generate` itself that do not change the prompt's keys and values.
_HARMLESS = frozenset(
    {
        "logits_processor", "stopping_criteria", "prefix_allowed_tokens_fn", "synced_gpus",
        "streamer", "negative_prompt_ids", "negative_prompt_attention_mask", "tokenizer",
        "use_model_defaults", "trust_remote_code", "kwargs",
    }
)  # fmt: skip
_OWN_MODES = ("greedy_search", "sample", "beam_search", "beam_sample")
# Settings under which `generate` prefills in another way, or returns something for each token
# of the prompt.
_PREVENTING = ("token_healing", "prefill_chunk_size", "output_attentions", "output_hidden_states")
_MOST_ROOM = 256


@dataclass(frozen=True, slots=True)
class Call:
    """One call of `generate` that can start from a restored prefix.

    Attributes:
        prompts: The prompts.
        copies: Rows that generate makes of each prompt (beams, returned sequences).
        room: New tokens to make room for.
        beams: Whether rows are reordered while generating.
        returns_cache: Whether the cache is handed to the caller.
        stop_tokens: Tokens that end an answer.
    """

    prompts: Prompts
    copies: int
    room: int
    beams: bool
    returns_cache: bool
    stop_tokens: tuple[int, ...]


def name_arguments(args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a `generate` call by name."""
    return {**dict(zip(_PARAMETERS, args, strict=False)), **kwargs}


def read_call(model: Any, given: Mapping[str, Any]) -> Call | str:
    """Return what a call asks for, or the reason why it goes straight to the model.

    Args:
        model: The Transformers model.
        given: Arguments by name, as from `name_arguments`.
    """
    explicit = {name: value for name, value in given.items() if name in _PARAMETERS}
    odd = [
        name
        for name, value in explicit.items()
        if value is not None and name not in _HARMLESS | {"inputs", "generation_config"}
    ]
    if odd:
        return f"argument {odd[0]}"
    settings, passed_on = model._prepare_generation_config(
        given.get("generation_config"),
        **{name: value for name, value in given.items() if name not in _PARAMETERS},
    )
    ids = given.get("inputs")
    ids = passed_on.get("input_ids") if ids is None else ids
    mask = passed_on.get("attention_mask")
    known = ("input_ids", "attention_mask", "tokenizer", "use_cache")
    odd = [name for name, value in passed_on.items() if value is not None and name not in known]
    reason = _preventing(settings) or (f"argument {odd[0]}" if odd else "")
    if reason:
        return reason
    stop_tokens = _as_tokens(settings.eos_token_id)
    pads = _as_tokens(settings.pad_token_id)
    prompts = read_prompts(ids, mask, pads[0] if pads else None, stop_tokens)
    return prompts if isinstance(prompts, str) else _call(settings, prompts, stop_tokens)


def _call(settings: Any, prompts: Prompts, stop_tokens: tuple[int, ...]) -> Call:
    beams = int(settings.num_beams or 1)
    new_tokens = settings.max_new_tokens
    if new_tokens is None:
        new_tokens = (settings.max_length or 0) - prompts.columns
    return Call(
        prompts,
        copies=max(beams, int(settings.num_return_sequences or 1)),
        room=min(max(int(new_tokens), 1), _MOST_ROOM),
        beams=beams > 1,
        returns_cache=bool(settings.return_dict_in_generate),
        stop_tokens=stop_tokens,
    )


def _preventing(settings: Any) -> str:
    if settings.use_cache is False:
        return "use_cache=False"
    kind = getattr(settings, "cache_implementation", None)
    if kind not in (None, "dynamic", "dynamic_full"):
        return f"cache_implementation={kind}"
    mode = str(getattr(settings.get_generation_mode(), "value", ""))
    if mode not in _OWN_MODES:
        return mode.replace("_", " ")
    return next((name for name in _PREVENTING if getattr(settings, name, None)), "")


def _as_tokens(value: Any) -> tuple[int, ...]:
    if value is None:
        return ()
    if isinstance(value, torch.Tensor):
        return tuple(int(token) for token in value.flatten().tolist())
    return tuple(value) if isinstance(value, (list, tuple)) else (int(value),)


def unfit_state(model: Any) -> str:
    """Return why a model cannot use kept prefixes as it is now, or "". O(modules)."""
    if model.device.type == "meta":
        return "weights that are not in memory"
    if torch.is_autocast_enabled(model.device.type):
        return "autocast"
    for module in model.modules():
        if module.training:
            return "training mode"
        if getattr(module, "gradient_checkpointing", False):
            return "gradient checkpointing"
        hooks = (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
        # The library leaves hooks of its own behind, which only collect outputs.
        if any(not _origin(hook).startswith("transformers.") for hook in hooks):
            return "forward hooks"
        if "forward" in vars(module) and not hasattr(module, "_hf_hook"):
            return "replaced forward method"
    return ""


def _origin(hook: Any) -> str:
    return str(getattr(getattr(hook, "func", hook), "__module__", None))
