"""Blocks of a prompt's attention keys and values, kept under the whole prefix that made them.

A block covers `block_tokens` tokens. Its key chains: digest_i = BLAKE3(digest_{i-1} || tokens),
and the first parent stands for tenant, model and layout, so that a block is found only behind
exactly the prefix that it was computed behind. The tokens are kept in the block and compared on
every hit. (The idea of chained block hashes is vLLM's automatic prefix caching; Kwon et al.,
"Efficient Memory Management for Large Language Model Serving with PagedAttention", SOSP 2023.)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

from infercache._core import chain_digest
from infercache.entry import Entry
from infercache.key import Key


class Space(Protocol):
    """What is needed of a `Namespace`: keys, and batches of entries in and out."""

    scope: str
    name: str
    version: str

    def key(self, content: Any) -> Key:
        """Return the key of a content."""

    def find_many(self, keys: Sequence[Key]) -> list[Entry | None]:
        """Return what is known; outages are misses."""

    def keep_many(self, items: Sequence[tuple[Key, Entry]]) -> list[bool]:
        """Keep entries."""


@dataclass(frozen=True, slots=True)
class BlockLayout:
    """The form of every block of one model.

    Attributes:
        layers: Layers with keys and values.
        heads: Heads of keys and values in each layer.
        head_size: Numbers in one head's key.
        dtype: The torch dtype of keys and values.
        device: The torch device that the model keeps them on.
    """

    layers: int
    heads: int
    head_size: int
    dtype: Any
    device: Any

    def shape(self, tokens: int) -> tuple[int, int, int, int]:
        """Return a block's shape: keys and values of layer 0, of layer 1 and so on."""
        return (2 * self.layers, self.heads, tokens, self.head_size)

    @property
    def token_numbers(self) -> int:
        """Return how many numbers one token's keys and values are."""
        return 2 * self.layers * self.heads * self.head_size


@dataclass(slots=True)
class BlockCounts:
    """What happened to blocks.

    Attributes:
        hit: Found and checked, on the longest run from a prompt's start.
        missed: Asked for and not found.
        malformed: Found, but with other tokens, another shape or dtype: not used.
        stored: Kept by a tier.
        refused: Offered, and kept by no tier.
        unusable: Never offered, because they hold infinite or undefined numbers.
    """

    hit: int = 0
    missed: int = 0
    malformed: int = 0
    stored: int = 0
    refused: int = 0
    unusable: int = 0

    def add(self, other: BlockCounts) -> None:
        """Add another count to this one."""
        for field in fields(self):
            name = field.name
            setattr(self, name, getattr(self, name) + getattr(other, name))


class BlockStore:
    """Finds and keeps the blocks of one model for one tenant. Thread-safe if `space` is.

    Args:
        space: A namespace whose version is the model's fingerprint.
        layout: The form of the blocks.
        block_tokens: Tokens in a block.
    """

    def __init__(self, space: Space, layout: BlockLayout, block_tokens: int) -> None:
        self.space = space
        self.layout = layout
        self.block_tokens = block_tokens
        form = [layout.layers, layout.heads, layout.head_size, str(layout.dtype), block_tokens]
        self._root = space.key(["prefix blocks 1", *form]).digest

    def digests(self, tokens: Any) -> list[bytes]:
        """Return the chained digest of every full block of `tokens` (int64 array). O(tokens)."""
        return list(chain_digest(self._root, tokens, self.block_tokens))

    def find(self, tokens: Any, counts: BlockCounts) -> list[Any]:
        """Return the tensors of the longest known run of full blocks from the start.

        One batched lookup. It asks for the deepest block first, so that under recency the
        start of a prompt, which most prompts share, leaves last.

        Args:
            tokens: The prompt, an int64 array.
            counts: Where the outcome is counted.
        """
        digests = self.digests(tokens)
        found = self.space.find_many([self._key(digest) for digest in reversed(digests)])
        run: list[Any] = []
        for index, entry in enumerate(reversed(found)):
            if entry is None:
                counts.missed += len(digests) - index
                break
            block = self._checked(entry.value, self._token_bytes(tokens, index))
            if block is None:
                counts.malformed += 1
                break
            run.append(block)
        counts.hit += len(run)
        return run

    def keep(
        self, blocks: Sequence[tuple[bytes, bytes, Any]], cost_s: float, counts: BlockCounts
    ) -> None:
        """Keep (digest, token bytes, tensor) blocks, the deepest first; see `find`.

        Args:
            blocks: In the order of the prompt.
            cost_s: Seconds that one block took to compute.
            counts: Where the outcome is counted.
        """
        now = time.time()
        items = [
            (self._key(digest), Entry({"tokens": tokens, "kv": kv}, cost_s=cost_s, created_at=now))
            for digest, tokens, kv in reversed(blocks)
        ]
        kept = sum(self.space.keep_many(items)) if items else 0
        counts.stored += kept
        counts.refused += len(items) - kept

    def cut(self, tokens: Any) -> list[tuple[bytes, bytes]]:
        """Return each full block's digest with its tokens as bytes."""
        digests = self.digests(tokens)
        return [(digest, self._token_bytes(tokens, i)) for i, digest in enumerate(digests)]

    def _token_bytes(self, tokens: Any, index: int) -> bytes:
        start = index * self.block_tokens
        return bytes(tokens[start : start + self.block_tokens].tobytes())

    def _key(self, digest: bytes) -> Key:
        return Key(self.space.scope, self.space.name, self.space.version, digest)

    def _checked(self, value: Any, tokens: bytes) -> Any | None:
        """Return the block's tensor if it is what this prompt and this model need."""
        import torch

        if not isinstance(value, dict) or value.get("tokens") != tokens:
            return None
        kv = value.get("kv")
        if not isinstance(kv, torch.Tensor) or kv.dtype != self.layout.dtype:
            return None
        fits = tuple(kv.shape) == self.layout.shape(self.block_tokens)
        return kv if fits and kv.device.type == "cpu" else None
