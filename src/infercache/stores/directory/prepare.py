"""Records made ready outside of the transaction: rows packed, large values written aside."""

from __future__ import annotations

from collections.abc import Sequence

from infercache.key import Key
from infercache.stores.base import Record
from infercache.stores.directory import rows
from infercache.stores.directory.rows import FilePart
from infercache.stores.directory.values import Values, flatten

_KEPT_SPACES = 1024


class Prepared:
    """A record ready to be written: its row, and the file that nothing refers to yet."""

    __slots__ = ("charge", "cost_s", "expires_at", "file", "key", "row", "space", "tags", "used")

    def __init__(self, record: Record, space: bytes, file: FilePart | None, blob: bytes) -> None:
        info = record.info
        self.key = info.key
        self.tags = info.tags
        self.cost_s = info.cost_s
        self.expires_at = info.expires_at
        self.space = space
        self.file = file
        self.charge = rows.file_charge(file.file_bytes) if file else rows.inline_charge(len(blob))
        self.row = rows.encode_row(info, space, self.charge, file, blob)
        self.used = False


class Preparation:
    """Makes records ready for one store. Thread-safe."""

    def __init__(self, inline_bytes: int) -> None:
        self._inline_bytes = inline_bytes
        self._spaces: dict[tuple[str, str, str], bytes] = {}

    def prepare(self, values: Values, records: Sequence[Record]) -> list[Prepared]:
        """Write the large values; if one cannot be written, none is left behind."""
        prepared: list[Prepared] = []
        try:
            for record in records:
                prepared.append(self._prepare(values, record))  # noqa: PERF401 - undone below
        except OSError:
            discard(values, prepared)
            raise
        return prepared

    def _prepare(self, values: Values, record: Record) -> Prepared:
        views = flatten(record.buffers)
        size = 0
        for view in views:
            size += view.nbytes
        space = self._space(record.info.key)
        if size <= self._inline_bytes:
            return Prepared(record, space, None, b"".join(views))
        return Prepared(record, space, values.write(record.info, views), b"")

    def _space(self, key: Key) -> bytes:
        names = (key.scope, key.namespace, key.version)
        space = self._spaces.get(names)
        if space is None:
            if len(self._spaces) >= _KEPT_SPACES:
                self._spaces.clear()
            space = self._spaces[names] = rows.space_id(*names)
        return space


def discard(values: Values, prepared: Sequence[Prepared]) -> None:
    """Delete the files of records that were not written."""
    for one in prepared:
        if one.file is not None and not one.used:
            values.remove(one.key.digest, one.file.serial)
