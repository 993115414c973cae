"""A Transformers cache that starts with the restored keys and values of a prefix.

All layers share one buffer with room for the tokens to come: a block is copied into it once,
for all layers together, and the forward pass then writes the new tokens next to it instead of
concatenating. The buffer of the last call is used again, because touching fresh memory costs
several times more than the copy itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from infercache.reuse.prefixes.store import BlockLayout


class SlotLayer(DynamicLayer):  # type: ignore[misc]
    """A layer whose keys and values grow inside a buffer while there is room.

    `keys` and `values` are what `DynamicLayer` says they are. When something else replaced
    them (beam search, cropping) or the room is used up, it goes on as a plain `DynamicLayer`.
    """

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, length: int) -> None:
        super().__init__()
        self.dtype, self.device = keys.dtype, keys.device
        self.is_initialized = True
        self._slots: tuple[torch.Tensor, torch.Tensor] | None = (keys, values)
        self._show(length)

    def _show(self, length: int) -> None:
        assert self._slots is not None
        self.keys, self.values = (slot[:, :, :length] for slot in self._slots)
        self._shown: tuple[torch.Tensor, torch.Tensor] | None = (self.keys, self.values)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append keys and values, and return all of them."""
        length = self.keys.shape[-2]
        end = length + key_states.shape[-2]
        if not self._can_append(key_states, end):
            self._slots = self._shown = None
            plain: tuple[torch.Tensor, torch.Tensor] = super().update(
                key_states, value_states, *args, **kwargs
            )
            return plain
        assert self._slots is not None
        for slot, states in zip(self._slots, (key_states, value_states), strict=True):
            slot[:, :, length:end] = states
        self._show(end)
        return self.keys, self.values

    def _can_append(self, states: torch.Tensor, end: int) -> bool:
        if self._slots is None or self._shown is None:
            return False
        slot = self._slots[0]
        return (
            self.keys is self._shown[0]
            and self.values is self._shown[1]
            and end <= slot.shape[-2]
            and states.shape[0] == slot.shape[0]
            and states.dtype == slot.dtype
            and states.device == slot.device
            and not (states.requires_grad and torch.is_grad_enabled())
        )


class PrefixCache(DynamicCache):  # type: ignore[misc]
    """A `DynamicCache` that may start with restored tokens, and notes when the prompt is done.

    Attributes:
        restored: Columns that were restored; 0 for an empty cache.
        prefilled_at: When the last layer first saw new tokens (`time.perf_counter`), or None.
    """

    def __init__(
        self, config: Any, layers: list[SlotLayer] | None = None, restored: int = 0
    ) -> None:
        super().__init__(config=config)
        if layers is not None:
            self.layers = layers
        self.restored = restored
        self.prefilled_at: float | None = None

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        layer_idx: int,
        *args: Any,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append keys and values to one layer, and return all of them."""
        updated: tuple[torch.Tensor, torch.Tensor] = super().update(
            key_states, value_states, layer_idx, *args, **kwargs
        )
        if self.prefilled_at is None and layer_idx == len(self.layers) - 1:
            self.prefilled_at = time.perf_counter()
        return updated


class Workspace:
    """Keeps the largest buffer that was given back, for the next call. Thread-safe.

    Args:
        limit_bytes: Buffers above this are not kept; 0 keeps none.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._kept: torch.Tensor | None = None

    def take(self, numbers: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        """Return a flat buffer of at least so many numbers, with anything in it."""
        with self._lock:
            kept, self._kept = self._kept, None
        fits = kept is not None and kept.dtype == dtype and kept.device == device
        if kept is not None and fits and kept.numel() >= numbers:
            return kept
        with torch.inference_mode(False):
            # An eighth more, so that the next prompt, a little longer, fits as well.
            return torch.empty(numbers + numbers // 8, dtype=dtype, device=device)

    def give(self, buffer: torch.Tensor) -> None:
        """Take a buffer back that nothing else refers to any more."""
        if buffer.nbytes > self.limit_bytes:
            return
        with self._lock:
            if self._kept is None or self._kept.numel() < buffer.numel():
                self._kept = buffer

    def clear(self) -> None:
        """Let go of the buffer."""
        with self._lock:
            self._kept = None


def restore(
    buffer: torch.Tensor,
    layout: BlockLayout,
    rows: Sequence[tuple[int, Sequence[torch.Tensor]]],
    columns: int,
    capacity: int,
) -> list[SlotLayer]:
    """Return layers that hold `columns` restored columns, with room for `capacity`.

    Args:
        buffer: Flat memory, as `Workspace.take` gives it.
        layout: The model's layout.
        rows: For each row of the batch its padding on the left and its known blocks.
        columns: Columns to restore; blocks that reach further are cut, padding is zero.
        capacity: Columns that the layers can grow to.
    """
    shape = (2 * layout.layers, len(rows), layout.heads, capacity, layout.head_size)
    numbers = shape[0] * shape[1] * shape[2] * shape[3] * shape[4]
    slots = buffer[:numbers].view(shape)
    for row, (pad, blocks) in enumerate(rows):
        slots[:, row, :, : min(pad, columns)] = 0
        _fill(slots[:, row], blocks, pad, columns)
    sides = slots.unbind(0)
    return [
        SlotLayer(keys, values, columns)
        for keys, values in zip(sides[::2], sides[1::2], strict=True)
    ]


def _fill(slot: torch.Tensor, blocks: Sequence[torch.Tensor], pad: int, columns: int) -> None:
    if slot.device.type != "cpu" and blocks:
        # One transfer instead of one for each block.
        blocks = [torch.cat(list(blocks), dim=2).to(slot.device)]
    start = pad
    for block in blocks:
        end = min(start + block.shape[2], columns)
        if end <= start:
            return
        slot[:, :, start:end].copy_(block[:, :, : end - start])
        start = end


def sides_of(cache: DynamicCache) -> list[torch.Tensor]:
    """Return keys and values of layer 0, of layer 1 and so on."""
    return [side for layer in cache.layers for side in (layer.keys, layer.values)]


def capture(
    sides: Sequence[torch.Tensor], row: int, starts: Sequence[int], tokens: int
) -> list[torch.Tensor]:
    """Return one contiguous block on the CPU for each start column, none sharing memory.

    Args:
        sides: Keys and values of every layer in turn, each [batch, heads, columns, head size].
        row: Row of the batch.
        starts: First columns, ascending.
        tokens: Columns in each block.
    """
    with torch.inference_mode(False), torch.no_grad():
        flat = [side[row] for side in sides]
        if flat[0].device.type != "cpu" and starts:
            first, end = starts[0], starts[-1] + tokens
            whole = torch.stack([side[:, first:end] for side in flat]).cpu()
            return [whole[:, :, s - first : s - first + tokens].clone() for s in starts]
        return [torch.stack([side[:, s : s + tokens] for side in flat]) for s in starts]


def finite(blocks: Sequence[torch.Tensor]) -> list[bool]:
    """Return for each block whether all its numbers are finite. One read of each."""
    if not blocks:
        return []
    with torch.inference_mode(False), torch.no_grad():
        sums = torch.stack([block.sum(dtype=torch.float32) for block in blocks])
    return [bool(flag) for flag in sums.isfinite()]
