"""The rows of a batch of prompts: where each begins, and how far it can be restored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Prompts:
    """A batch of prompts, padded on the left.

    Attributes:
        rows: Each prompt's own tokens, as an int64 array.
        pads: Columns of padding before each.
        columns: Columns of the batch.
        mask: The attention mask that was given or derived; None if nothing is padded.
    """

    rows: tuple[Any, ...]
    pads: tuple[int, ...]
    columns: int
    mask: torch.Tensor | None

    def restorable(self, known: Sequence[int], leave: int = 1) -> int:
        """Return how many columns can be restored when so many tokens of each row are known.

        All rows start their forward pass at one column, so the row that is known least far
        decides.

        Args:
            known: Known tokens of each row.
            leave: Columns to compute in any case: the last one gives the first new token.
        """
        reach = min(pad + tokens for pad, tokens in zip(self.pads, known, strict=True))
        reach = min(reach, self.columns - leave)
        return reach if reach > min(self.pads) else 0


def read_prompts(
    input_ids: Any, attention_mask: Any, pad_token: int | None, stop_tokens: Sequence[int]
) -> Prompts | str:
    """Return the prompts of a call, or the reason why they cannot be used.

    Without a mask the padding is what `generate` would take for it: the padding token, unless
    that is a stop token as well.
    """
    if not isinstance(input_ids, torch.Tensor) or input_ids.ndim != 2:
        return "input_ids is not a matrix"
    if input_ids.shape[0] == 0 or input_ids.shape[1] == 0:
        return "empty prompt"
    tokens = input_ids.detach().cpu().to(torch.int64)
    mask = attention_mask
    if mask is None and pad_token is not None and pad_token not in stop_tokens:
        padding = tokens == pad_token
        if bool(padding.any()):
            mask = (~padding).to(device=input_ids.device, dtype=torch.int64)
    if mask is None:
        rows = tuple(row.numpy() for row in tokens)
        return Prompts(rows, (0,) * len(rows), tokens.shape[1], None)
    return _masked(tokens, mask)


def _masked(tokens: torch.Tensor, mask: Any) -> Prompts | str:
    if not isinstance(mask, torch.Tensor) or mask.shape != tokens.shape:
        return "attention mask of another shape"
    real = mask.detach().cpu() != 0
    counts = real.sum(dim=1)
    columns = tokens.shape[1]
    if not bool(real[:, -1].all()):
        return "padding on the right"
    expected = torch.arange(columns)[None] >= (columns - counts)[:, None]
    if not torch.equal(expected, real):
        return "attention mask with holes"
    pads = tuple(int(columns - count) for count in counts)
    rows = tuple(row[pad:].numpy() for row, pad in zip(tokens, pads, strict=True))
    return Prompts(rows, pads, columns, mask)
