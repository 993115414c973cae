"""One call's way from known blocks to a cache, and from its computed tokens to new blocks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from infercache.reuse.prefixes.calls import Call
from infercache.reuse.prefixes.prompts import Prompts
from infercache.reuse.prefixes.restored import (
    PrefixCache,
    Workspace,
    capture,
    finite,
    restore,
    sides_of,
)
from infercache.reuse.prefixes.store import BlockCounts, BlockStore

# Tokens that a prefilled cache can grow by before it concatenates like any other.
_PREFILL_ROOM = 64


@dataclass(slots=True)
class Start:
    """How one call starts. Used by one thread.

    Attributes:
        store: Where the model's blocks are.
        prompts: The prompts of the call.
        known_blocks: Known blocks of each prompt.
        cache: What the model goes on from.
        buffer: The memory behind it; None if nothing was restored.
        restored: Columns that were restored.
        began_at: When the call began (`time.perf_counter`).
        lookup_s: Seconds until the cache was ready.
        counts: What happened to blocks.
    """

    store: BlockStore
    prompts: Prompts
    known_blocks: list[int]
    cache: PrefixCache
    buffer: torch.Tensor | None
    restored: int
    began_at: float
    lookup_s: float
    counts: BlockCounts = field(default_factory=BlockCounts)

    @property
    def restored_tokens(self) -> int:
        """Return the tokens that were restored, padding not counted."""
        return sum(max(self.restored - pad, 0) for pad in self.prompts.pads)

    @property
    def prompt_tokens(self) -> int:
        """Return the tokens of all prompts, padding not counted."""
        return sum(len(row) for row in self.prompts.rows)

    def keep(self, rows: Sequence[Any], copies: int) -> None:
        """Keep the full blocks that were not known, each prefix once.

        Args:
            rows: The tokens of each prompt, with what was generated if that is to be kept.
            copies: Rows of the cache for each prompt.
        """
        fresh: dict[bytes, tuple[bytes, bytes, Any]] = {}
        for index, row in enumerate(rows):
            for block in self._new_blocks(index, row, index * copies, set(fresh)):
                fresh[block[0]] = block
        self.store.keep(list(fresh.values()), self._block_cost_s(), self.counts)

    def _new_blocks(
        self, index: int, row: Any, cache_row: int, done: set[bytes]
    ) -> Iterator[tuple[bytes, bytes, Any]]:
        sides = sides_of(self.cache)
        pad, size = self.prompts.pads[index], self.store.block_tokens
        tokens = row[: max(sides[0].shape[2] - pad, 0)]
        cut = self.store.cut(tokens)
        first = self.known_blocks[index]
        while first < len(cut) and cut[first][0] in done:
            first += 1
        starts = [pad + number * size for number in range(first, len(cut))]
        blocks = capture(sides, cache_row, starts, size)
        for named, block, good in zip(cut[first:], blocks, finite(blocks), strict=True):
            if not good:  # what follows an unusable block could never be reached
                self.counts.unusable += 1
                return
            yield (*named, block)

    def _block_cost_s(self) -> float:
        """Return the seconds that one block took to compute."""
        if self.cache.prefilled_at is None:
            return 0.0
        seconds = self.cache.prefilled_at - self.began_at - self.lookup_s
        computed = self.prompt_tokens - self.restored_tokens
        return seconds / max(computed, 1) * self.store.block_tokens


def begin(
    store: BlockStore,
    prompts: Prompts,
    call: Call | None,
    workspace: Workspace,
    config: Any,
    began_at: float,
) -> Start:
    """Find what is known of the prompts and restore as much of it as all rows allow.

    Args:
        store: Where the model's blocks are.
        prompts: The prompts.
        call: The call of `generate`; None to restore without generating.
        workspace: Where the memory comes from.
        config: The decoder's configuration.
        began_at: When the call began (`time.perf_counter`).
    """
    counts = BlockCounts()
    runs = [store.find(row, counts) for row in prompts.rows]
    known = [len(run) * store.block_tokens for run in runs]
    columns = prompts.restorable(known, leave=0 if call is None else 1)
    cache, buffer = PrefixCache(config), None
    if columns:
        copies, room = (1, _PREFILL_ROOM) if call is None else (call.copies, call.room)
        rows = [row for row in zip(prompts.pads, runs, strict=True) for _ in range(copies)]
        capacity = prompts.columns + room
        buffer = workspace.take(
            store.layout.token_numbers * len(rows) * capacity,
            store.layout.dtype,
            store.layout.device,
        )
        with torch.no_grad():
            layers = restore(buffer, store.layout, rows, columns, capacity)
        cache = PrefixCache(config, layers, columns)
    lookup_s = time.perf_counter() - began_at
    known_blocks = [len(run) for run in runs]
    return Start(store, prompts, known_blocks, cache, buffer, columns, began_at, lookup_s, counts)
