"""Whether a model's prefixes can be kept: found out by asking the model, not by its name.

A tiny prompt is computed whole, and again in two parts with the first part's keys and values
taken out, cut into blocks and put back as the cache would. Where both agree, and the keys and
values have one form in all layers, the model is supported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from infercache.errors import UnsupportedModelError
from infercache.reuse.prefixes.restored import PrefixCache, capture, restore, sides_of
from infercache.reuse.prefixes.store import BlockLayout

_PROMPT, _BLOCK, _KEPT = 7, 2, 4
# The largest difference of a logit between the two ways, in parts of the largest logit.
_TOLERANCES = {torch.float64: 1e-4, torch.float32: 1e-3, torch.float16: 3e-2, torch.bfloat16: 1e-1}
# Rotary embeddings whose frequencies depend on how long the whole prompt is.
_LENGTH_DEPENDENT_ROPE = ("dynamic", "longrope")


def read_layout(model: Any) -> BlockLayout:
    """Return the form of a causal model's keys and values, after trying them out.

    Runs the model on 7 tokens, three times; no weights, buffers or modes are changed.

    Raises:
        UnsupportedModelError: they cannot be kept; the message names the reason.
    """
    _refuse_by_config(model)
    ids = torch.arange(1, _PROMPT + 1, device=model.device)[None] % _vocabulary(model)
    try:
        with torch.no_grad():
            return _try_out(model, ids)
    except UnsupportedModelError:
        raise
    except Exception as error:
        raise _unsupported(model, f"a trial run failed with {error!r}") from error


def _unsupported(model: Any, reason: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"{type(model).__name__}: {reason}, so its prompt prefixes cannot be kept; "
        "it works as without a cache"
    )


def _vocabulary(model: Any) -> int:
    return int(model.get_input_embeddings().weight.shape[0])


def _refuse_by_config(model: Any) -> None:
    config = model.config
    if getattr(config, "is_encoder_decoder", False):
        raise _unsupported(model, "it is an encoder-decoder model")
    adapter = getattr(model, "active_peft_config", None)
    if getattr(adapter, "is_prompt_learning", False):
        raise _unsupported(model, "its adapter puts learned tokens before the prompt")
    plain = config.to_dict() if hasattr(config, "to_dict") else {}
    kinds = sorted(set(_rope_types(plain)) & set(_LENGTH_DEPENDENT_ROPE))
    if kinds:
        raise _unsupported(
            model, f"with rope type {kinds[0]!r} its keys depend on the length of the prompt"
        )
    try:
        layers = PrefixCache(config.get_text_config(decoder=True)).layers
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise _unsupported(model, f"its cache cannot be built ({error})") from error
    odd = sorted({type(layer).__name__ for layer in layers} - {"DynamicLayer"})
    if odd:
        raise _unsupported(model, f"it uses {', '.join(odd)} beside or instead of full attention")


def _rope_types(settings: Any) -> Iterator[str]:
    if not isinstance(settings, Mapping):
        return
    for name, value in settings.items():
        if name in ("rope_type", "type") and isinstance(value, str):
            yield value
        yield from _rope_types(value)


def _try_out(model: Any, ids: torch.Tensor) -> BlockLayout:
    config = model.config.get_text_config(decoder=True)
    whole = model(input_ids=ids, past_key_values=PrefixCache(config), use_cache=True)
    first = model(input_ids=ids[:, :_KEPT], past_key_values=PrefixCache(config), use_cache=True)
    cache = getattr(first, "past_key_values", None)
    if not isinstance(cache, PrefixCache) or not cache.layers:
        raise _unsupported(model, "it keeps no attention keys and values")
    sides = sides_of(cache)
    layout = _layout(model, sides)
    blocks = capture(sides, 0, range(0, _KEPT, _BLOCK), _BLOCK)
    buffer = torch.empty(layout.token_numbers * _PROMPT, dtype=layout.dtype, device=layout.device)
    layers = restore(buffer, layout, [(0, blocks)], _KEPT, _PROMPT)
    rest = model(
        input_ids=ids[:, _KEPT:],
        past_key_values=PrefixCache(config, layers, _KEPT),
        use_cache=True,
    )
    _compare(model, whole.logits[:, _KEPT:], rest.logits)
    return layout


def _layout(model: Any, sides: list[Any]) -> BlockLayout:
    if any(not isinstance(side, torch.Tensor) or side.ndim != 4 for side in sides):
        raise _unsupported(model, "some layers keep no keys and values")
    forms = {(tuple(side.shape), side.dtype, side.device) for side in sides}
    if len(forms) != 1:
        raise _unsupported(model, "its keys and values differ in form between layers")
    shape, dtype, device = forms.pop()
    if shape[0] != 1 or shape[2] != _KEPT:
        raise _unsupported(model, f"its keys for {_KEPT} tokens have the shape {shape}")
    return BlockLayout(len(sides) // 2, shape[1], shape[3], dtype, device)


def _compare(model: Any, whole: torch.Tensor, split: torch.Tensor) -> None:
    scale = whole.abs().max().float().clamp(min=1e-6)
    difference = float((whole.float() - split.float()).abs().max() / scale)
    if not difference <= _TOLERANCES.get(whole.dtype, 1e-1):
        raise _unsupported(
            model, f"computing a prompt in two parts changes its logits by {difference:.1%}"
        )
