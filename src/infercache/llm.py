"""Language models that reuse the prefixes of their prompts: `ic.llm.attach(model, ...)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infercache.reuse.prefixes.attached import AttachedModel


def attach(
    model: Any,
    tokenizer: Any = None,
    cache: Any = None,
    *,
    block_tokens: int = 16,
    tenant: str | None = None,
    strict: bool = False,
    keep_answers: bool = True,
    workspace: int | str = "256MB",
) -> AttachedModel:
    """Return the model with the same `generate`, whose prompts start from the longest known prefix.

    Prefixes are reused across calls, and across processes and restarts if a tier of the cache
    is. A model that cannot be supported is reported in one warning and works as without a
    cache.

    Args:
        model: A Transformers causal model; it is not modified.
        tokenizer: Its tokenizer, for `chat`.
        cache: An `infercache.Cache`.
        block_tokens: Tokens in a block: shared prefixes are restored in steps of so many.
        tenant: Prefixes of another tenant are never restored; None for the cache's own scope.
        strict: Raise for a model that cannot be supported, instead of warning.
        keep_answers: Keep the generated tokens' blocks as well, for the next turn of a chat.
        workspace: Largest buffer to keep between calls (bytes or "256MB"; 0 for none).

    Raises:
        UnsupportedModelError: with `strict`, for a model whose prefixes cannot be kept.
        SettingError: a setting that cannot be used.
        MissingExtraError: transformers is not installed.
    """
    from importlib.util import find_spec

    from infercache.errors import MissingExtraError

    if find_spec("transformers") is None or find_spec("torch") is None:
        raise MissingExtraError("ic.llm.attach needs an extra: pip install 'infercache[llm]'")
    from infercache.reuse.prefixes.attached import AttachedModel

    return AttachedModel(
        model,
        tokenizer,
        cache,
        block_tokens=block_tokens,
        tenant=tenant,
        strict=strict,
        keep_answers=keep_answers,
        workspace=workspace,
    )
