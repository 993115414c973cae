"""A Transformers model whose prompts start from the longest prefix that is known."""

from __future__ import annotations

import copy
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch

from infercache.errors import InfercacheWarning, SettingError, UnsupportedModelError
from infercache.reuse.fingerprint import ModelIdentity
from infercache.reuse.prefixes.calls import Call, name_arguments, read_call, unfit_state
from infercache.reuse.prefixes.probe import read_layout
from infercache.reuse.prefixes.prompts import Prompts, read_prompts
from infercache.reuse.prefixes.report import CallReport, PrefixStats
from infercache.reuse.prefixes.restored import Workspace
from infercache.reuse.prefixes.start import Start, begin
from infercache.reuse.prefixes.store import BlockCounts, BlockStore, Space
from infercache.units import parse_size


class Spaces(Protocol):
    """What is needed of a `Cache`."""

    def namespace(self, name: str, version: str = "", *, scope: str | None = None) -> Space:
        """Return a namespace."""


class AttachedModel:
    """Wraps a causal model: `generate` as before, with known prefixes restored.

    Everything else of the model is reached through this object unchanged, and the model
    itself is not modified. Thread-safe as far as the model's own `generate` is.

    The answer is the bare model's. Restored keys and values were computed by the same model
    for the same tokens; computing a prompt in two parts rounds differently than in one, so
    that two next tokens of nearly equal score can change places, as with any prefix cache.

    Args:
        model: A Transformers causal model, on one device.
        tokenizer: Its tokenizer; needed for `chat` only.
        cache: An `infercache.Cache`.
        block_tokens: Tokens in a block: shared prefixes are restored in steps of so many.
        tenant: Prefixes of another tenant are never restored; None for the cache's own scope.
        strict: Raise for a model that cannot be supported, instead of warning.
        keep_answers: Keep the generated tokens' blocks as well: the next turn of a chat
            begins with them.
        workspace: Largest buffer to keep between calls (bytes or "256MB"); 0 keeps none and
            costs some tens of milliseconds for each 100 MB of restored prefix.

    Raises:
        UnsupportedModelError: with `strict`, for a model whose prefixes cannot be kept.
        SettingError: a setting that cannot be used.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        cache: Any = None,
        *,
        block_tokens: int = 16,
        tenant: str | None = None,
        strict: bool = False,
        keep_answers: bool = True,
        workspace: int | str = "256MB",
    ) -> None:
        if not isinstance(block_tokens, int) or block_tokens < 1:
            raise SettingError(f"block_tokens={block_tokens!r}: give a positive number of tokens")
        if not hasattr(cache, "namespace"):
            raise SettingError(
                f"cache={cache!r} is not a cache: ic.llm.attach(model, tokenizer, ic.Cache(...))"
            )
        if not hasattr(model, "generate") or not hasattr(model, "config"):
            raise UnsupportedModelError(
                f"{type(model).__name__} is not a Transformers model: it has no generate()"
            )
        self.model = model
        self.tokenizer = tokenizer
        self.cache = cache
        self.block_tokens = block_tokens
        self.tenant = tenant
        self.keep_answers = keep_answers
        self.last = CallReport()
        self._workspace = Workspace(parse_size(workspace, "workspace"))
        self._identity = ModelIdentity(model)
        self._lock = threading.Lock()
        self._stats = PrefixStats()
        self._warned: set[str] = set()
        self._store: BlockStore | None = None
        self.unsupported = ""
        self._examine(strict)

    def _examine(self, strict: bool) -> None:
        try:
            if not self._unfit():
                self._blocks()
        except UnsupportedModelError as error:
            if strict:
                raise
            self.unsupported = "unsupported model"
            self._warn(str(error))

    def _unfit(self) -> str:
        reason = self.unsupported or unfit_state(self.model)
        if reason and reason not in self._warned and not self.unsupported:
            self._warned.add(reason)
            self._warn(
                f"{type(self.model).__name__} is used without its kept prefixes: {reason} "
                "may change what it computes"
            )
        return reason

    def _warn(self, sentence: str) -> None:
        warnings.warn(sentence, InfercacheWarning, stacklevel=5)

    # -- use -----------------------------------------------------------------------------

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the model's own `generate` returns for the same arguments.

        Restores the longest known prefix of each prompt and keeps new full blocks afterwards.
        Calls that cannot start from a prefix (own `past_key_values`, `inputs_embeds`, assisted
        decoding and so on) go straight to the model and are counted in `stats()`.
        """
        began_at = time.perf_counter()
        given = name_arguments(args, kwargs)
        call = self._unfit() or read_call(self.model, given)
        start = call if isinstance(call, str) else self._start(call.prompts, call, began_at)
        if isinstance(call, str) or isinstance(start, str):
            self._finish(CallReport(bypass=str(start)))
            return self.model.generate(*args, **kwargs)
        if call.prompts.mask is not None:
            given["attention_mask"] = call.prompts.mask
        answer = self.model.generate(**given, past_key_values=start.cache)
        sequences = answer if isinstance(answer, torch.Tensor) else answer.sequences
        answered_at = time.perf_counter()
        self._keep(start, self._kept_rows(call, sequences), call.copies)
        if start.buffer is not None and not call.returns_cache:
            start.cache.layers = []
            self._workspace.give(start.buffer)
        self._report(start, answered_at)
        return answer

    def prefill(self, input_ids: Any, attention_mask: Any = None) -> Any:
        """Return a Transformers cache that holds the keys and values of the whole prompt.

        What is known is restored, the rest is computed and kept. Give it to the model together
        with the tokens that follow: `model(next_ids, past_key_values=llm.prefill(ids))`.

        Args:
            input_ids: [batch, tokens], int64; padded on the left if at all.
            attention_mask: [batch, tokens]; needed if padded.

        Raises:
            SettingError: the prompts cannot be used; says why.
        """
        began_at = time.perf_counter()
        prompts = read_prompts(input_ids, attention_mask, None, ())
        if isinstance(prompts, str):
            raise SettingError(f"prefill: {prompts}")
        start = self._unfit() or self._start(prompts, None, began_at)
        if isinstance(start, str):
            self._finish(CallReport(bypass=start))
            return self._compute(input_ids, attention_mask, None)
        if start.restored < prompts.columns:
            self._compute(input_ids, attention_mask, start)
        answered_at = time.perf_counter()
        self._keep(start, list(prompts.rows), 1)
        self._report(start, answered_at)
        return start.cache

    def chat(self, messages: Sequence[Mapping[str, str]], **kwargs: Any) -> str:
        """Return the answer to a conversation as text.

        Args:
            messages: Such as [{"role": "user", "content": "Hello"}].
            **kwargs: Arguments of `generate`.

        Raises:
            SettingError: there is no tokenizer, or it has no chat template.
        """
        if getattr(self.tokenizer, "chat_template", None) is None:
            raise SettingError(
                "chat() needs a tokenizer with a chat template: "
                "ic.llm.attach(model, tokenizer, cache)"
            )
        inputs = self.tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=True, return_tensors="pt", return_dict=True
        ).to(self.model.device)
        answer = self.generate(**inputs, **kwargs)
        sequences = answer if isinstance(answer, torch.Tensor) else answer.sequences
        new_tokens = sequences[0, inputs["input_ids"].shape[1] :]
        return str(self.tokenizer.decode(new_tokens, skip_special_tokens=True))

    def stats(self) -> PrefixStats:
        """Return a copy of the counts since the model was attached."""
        with self._lock:
            return copy.deepcopy(self._stats)

    def refresh(self) -> None:
        """Read the weights again at the next call; see `ModelIdentity` for when it is needed."""
        self._identity.refresh()

    def __getattr__(self, name: str) -> Any:
        if name == "model":  # not set yet: copying and unpickling ask for it
            raise AttributeError(name)
        return getattr(self.model, name)

    def __repr__(self) -> str:
        state = self.unsupported or f"blocks of {self.block_tokens} tokens"
        return f"AttachedModel({type(self.model).__name__}, {state})"

    # -- before ---------------------------------------------------------------------------

    def _start(self, prompts: Prompts, call: Call | None, began_at: float) -> Start | str:
        try:
            store = self._blocks()
        except UnsupportedModelError as error:
            self.unsupported = "unsupported model"
            self._warn(str(error))
            return self.unsupported
        return begin(store, prompts, call, self._workspace, self._config(), began_at)

    def _config(self) -> Any:
        return self.model.config.get_text_config(decoder=True)

    def _blocks(self) -> BlockStore:
        """Return the store for the model as it is now.

        Raises:
            UnsupportedModelError: it became a model that cannot be supported.
        """
        version = self._identity.current()
        with self._lock:
            store = self._store
            if store is None or store.space.version != version:
                # Another dtype or adapter may have brought another layout.
                layout = read_layout(self.model)
                space = self.cache.namespace("prefix", version=version, scope=self.tenant)
                store = self._store = BlockStore(space, layout, self.block_tokens)
            return store

    def _compute(self, input_ids: Any, attention_mask: Any, start: Start | None) -> Any:
        """Run the part of the prompt that is not restored, as `generate` would."""
        past = None if start is None else start.cache
        first = 0 if start is None else start.restored
        inputs: dict[str, Any] = {"input_ids": input_ids[:, first:], "past_key_values": past}
        if attention_mask is not None:
            positions = (attention_mask.long().cumsum(-1) - 1).masked_fill(attention_mask == 0, 0)
            inputs["attention_mask"] = attention_mask
            inputs["position_ids"] = positions[:, first:]
        with torch.no_grad():
            return self.model(**inputs, use_cache=True).past_key_values

    # -- after ----------------------------------------------------------------------------

    def _kept_rows(self, call: Call, sequences: torch.Tensor) -> list[Any]:
        """Return the tokens of each prompt, with its answer where that is to be kept."""
        prompts = call.prompts
        if call.copies > 1 or not self.keep_answers:
            return list(prompts.rows)
        rows = []
        for tokens, pad in zip(sequences.cpu().to(torch.int64), prompts.pads, strict=True):
            row = tokens[pad:].numpy()
            rows.append(_until_stop(row, prompts.columns - pad, call.stop_tokens))
        return rows

    def _keep(self, start: Start, rows: list[Any], copies: int) -> None:
        """Keep new full blocks, unless the model changed while it was computing."""
        if self._identity.current() == start.store.space.version:
            start.keep(rows, copies)

    def _report(self, start: Start, answered_at: float) -> None:
        now = time.perf_counter()
        restored = start.restored_tokens
        prefilled_at = start.cache.prefilled_at or answered_at
        report = CallReport(
            restored,
            sum(len(row) for row in start.prompts.rows) - restored,
            start.lookup_s,
            prefilled_at - start.began_at,
            now - answered_at,
            now - start.began_at,
        )
        self._finish(report, len(start.prompts.rows), start.counts)

    def _finish(
        self, report: CallReport, prompts: int = 0, counts: BlockCounts | None = None
    ) -> None:
        with self._lock:
            self.last = report
            self._stats.add(report, prompts)
            if counts is not None:
                self._stats.blocks.add(counts)


def _until_stop(row: Any, prompt_tokens: int, stop_tokens: Sequence[int]) -> Any:
    """Return a row up to the first stop token of its answer: the rest is padding."""
    for index in range(prompt_tokens, len(row)):
        if int(row[index]) in stop_tokens:
            return row[: index + 1]
    return row
