"""What a batch function returned, one result for each row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

from infercache.errors import BatchSizeError


def split_batch(batch: Any, rows: int) -> list[Any]:
    """Return the results one by one: from a list, tuple, iterator, array or tensor.

    Arrays and tensors are cut along their first axis, as views.

    Raises:
        BatchSizeError: there are more or fewer results than rows, or they have no order.
    """
    if isinstance(batch, (str, bytes, Mapping, Set)) or not isinstance(batch, Iterable):
        raise BatchSizeError(
            f"the batch function got {rows} rows and returned one {type(batch).__name__}; "
            "it must return a list, tuple, array or tensor with one result for each row"
        )
    results = batch if isinstance(batch, (list, tuple)) else list(batch)
    if len(results) != rows:
        raise BatchSizeError(
            f"the batch function got {rows} rows and returned {len(results)} results; it must "
            "return one result for each row, in the order of the rows; nothing was kept"
        )
    return list(results)
