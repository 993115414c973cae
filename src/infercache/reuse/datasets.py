"""A dataset whose transform runs once for each item, whatever the epoch, worker or process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Protocol

from infercache.errors import SettingError
from infercache.key import Key
from infercache.keys.functions import code_version
from infercache.reuse.fingerprint import fingerprint

if TYPE_CHECKING:
    from infercache.cache import Cache


class MapStyle(Protocol):
    """What can be indexed: a torch map-style dataset, a list, an array."""

    def __len__(self) -> int:
        """Return how many items there are."""

    def __getitem__(self, index: int, /) -> Any:
        """Return one raw item."""


class CachedDataset:
    """`transform(dataset[index])` for each index, computed once and kept.

    A map-style dataset: give it to a `DataLoader`, whose workers (forked or spawned) then share
    what any of them computed, if a tier of the cache is shared (`Disk`, `SharedMemory`). Works
    without torch for any sequence. Picklable if dataset and transform are. Thread-safe if
    they are.

    Costs: a hit is one lookup, and one read and digest of the raw item unless `identity` is
    given, and one copy of the value; a batch is one lookup for all its items.

    Args:
        dataset: What has `len()` and `[index]`.
        transform: A deterministic function of one raw item. Random augmentation belongs behind
            this dataset, not into it.
        cache: An `infercache.Cache`.
        version: Stands for the transform: values of another version are not served. "auto"
            covers the function's code and closure, and a torch module's weights.
        namespace: Name of the stage.
        identity: Anything that stands for the content and the order of the raw dataset, such
            as "imagenet-2012-train". Items are then known by (identity, index) and the raw
            item is not even read on a hit. Without it they are known by their content.
        copy: Hand out copies, which the caller may write into. Without it values are the
            cache's own objects, or read-only views of its files.
        **terms: Fields of `Terms`, such as `ttl_s` and `tags`.

    Raises:
        SettingError: something that is not a map-style dataset, or no function.
        UnkeyableError: version="auto" and the transform has no content key.

    Example:
        >>> import infercache as ic
        >>> cache = ic.Cache(ic.Memory("64MB"))
        >>> squares = ic.CachedDataset([1, 2, 3], lambda n: n * n, cache)
        >>> [squares[index] for index in range(len(squares))]
        [1, 4, 9]
    """

    def __init__(
        self,
        dataset: MapStyle,
        transform: Callable[[Any], Any],
        cache: Cache,
        *,
        version: str = "auto",
        namespace: str = "dataset",
        identity: Any = None,
        copy: bool = True,
        **terms: Any,
    ) -> None:
        if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
            raise SettingError(
                f"{type(dataset).__name__} is not a map-style dataset: it needs len() and [index]; "
                "an iterable dataset has no items that could be found again"
            )
        if not callable(transform):
            raise SettingError(f"transform={transform!r} is not a function")
        self.dataset = dataset
        self.transform = transform
        self.identity = identity
        self.copy = copy
        made = _transform_version(transform) if version == "auto" else version
        self.space = cache.namespace(namespace, version=made, **terms)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        """Return the transformed item.

        Raises:
            Exception: what dataset or transform raised, with the index named.
        """
        if self.identity is not None:
            key = self._key(index, None)
            return self._out(self.space.get_or_compute(key, lambda: self._transformed(index)))
        item = self._raw(index)
        key = self._key(index, item)
        return self._out(self.space.get_or_compute(key, lambda: self._transformed(index, item)))

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Return the transformed items of a batch; one lookup, and only the missing computed."""
        if self.identity is not None:
            items: Mapping[int, Any] = {}
        else:
            items = {index: self._raw(index) for index in indices}
        keys = [self._key(index, items.get(index)) for index in indices]
        index_of = dict(zip(keys, indices, strict=True))

        def compute(missing: list[Key]) -> list[Any]:
            numbers = [index_of[key] for key in missing]
            return [
                self._transformed(index, items[index])
                if index in items
                else self._transformed(index)
                for index in numbers
            ]

        return [self._out(value) for value in self.space.get_or_compute_many(keys, compute)]

    def _out(self, value: Any) -> Any:
        return deepcopy(value) if self.copy else value

    def _key(self, index: int, item: Any) -> Key:
        if self.identity is not None:
            # Negative indices name the same items as positive ones.
            return self.space.key((self.identity, index % len(self.dataset)))
        return self.space.key(item)

    def _raw(self, index: int) -> Any:
        try:
            return self.dataset[index]
        except IndexError:  # how a plain loop over the dataset ends
            raise
        except Exception as error:
            _name_index(error, index, self.dataset)
            raise

    def _transformed(self, index: int, *raw: Any) -> Any:
        item = raw[0] if raw else self._raw(index)
        try:
            return self.transform(item)
        except Exception as error:
            _name_index(error, index, self.dataset)
            raise

    def __repr__(self) -> str:
        return f"CachedDataset({self.dataset!r:.60}, {len(self)} items, {self.space!r})"


def _transform_version(transform: Callable[[Any], Any]) -> str:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(transform, torch.nn.Module):
        return fingerprint(transform)
    return code_version(transform)


def _name_index(error: Exception, index: int, dataset: Any) -> None:
    """Say in an exception which item it was about."""
    note = f"while computing item {index} of {type(dataset).__name__}"
    if sys.version_info >= (3, 11):
        error.add_note(note)
    elif error.args and isinstance(error.args[0], str):
        error.args = (f"{error.args[0]} ({note})", *error.args[1:])
