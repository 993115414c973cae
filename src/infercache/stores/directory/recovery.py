"""What to do with an index after a power loss: look before LMDB does, rebuild if it is damaged."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from infercache.stores.base import Record, RecordInfo
from infercache.stores.directory import rows
from infercache.stores.directory.changes import Changes
from infercache.stores.directory.index import Index
from infercache.stores.directory.layout import Layout
from infercache.stores.directory.prepare import Prepared
from infercache.stores.directory.rows import PAGE_BYTES, FilePart
from infercache.stores.directory.values import Values, read_trailer

_MAGIC = 0xBEEFC0DE
SEALED_BYTES = 32 << 20


def read_state(layout: Layout) -> dict[str, Any]:
    """Return what the last writer left in the state file; empty if there is none."""
    try:
        state = json.loads(layout.state.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def set_damaged_aside(layout: Layout, boot_id: str) -> bool:
    """Rename an index that must not be opened, and return whether it is to be rebuilt.

    The size is checked at every open. The pages are walked only if the machine went down while
    the index was open, or if an index that was closed does not match its seal: O(pages), some
    seconds for each GB.
    """
    if not layout.data.exists() or not layout.data.stat().st_size:
        return any(layout.values.iterdir())
    state = read_state(layout)
    problems = size_problems(layout)
    if not problems and _is_suspect(layout, state, boot_id):
        problems = page_problems(layout)
    if not problems:
        return False
    os.replace(layout.data, layout.data.with_suffix(".damaged"))
    return True


def _is_suspect(layout: Layout, state: dict[str, Any], boot_id: str) -> bool:
    if state.get("clean") is True:
        return state.get("seal") != seal(layout)
    return state.get("boot_id") != boot_id


def seal(layout: Layout) -> list[int] | None:
    """Return length and checksum of the pages in use; None for a large index, to open fast."""
    with open(layout.data, "rb") as file:
        metas = [_last_page(file.read(PAGE_BYTES)) for _ in range(2)]
        used = max((meta[1] + 1 for meta in metas if meta), default=0) * PAGE_BYTES
        if used > SEALED_BYTES:
            return None
        file.seek(0)
        return [used, zlib.crc32(file.read(used))]


def size_problems(layout: Layout) -> list[str]:
    """Return why the index file cannot be mapped safely: pages beyond the end of a file kill."""
    with open(layout.data, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        metas = [_last_page(file.read(PAGE_BYTES)) for _ in range(2)]
    known = [last for last in metas if last is not None]
    if not known:
        return [f"{layout.data} is not an LMDB file"]
    needed = (max(known)[1] + 1) * PAGE_BYTES
    return [f"{layout.data} has {size} bytes of {needed}"] if size < needed else []


def _last_page(page: bytes) -> tuple[int, int] | None:
    """Return transaction and last page number from a meta page, None if it is not one."""
    if len(page) < PAGE_BYTES or struct.unpack_from("<I", page, 16)[0] != _MAGIC:
        return None
    last_page, transaction = struct.unpack_from("<QQ", page, 16 + 24 + 2 * 48)
    return transaction, last_page


def page_problems(layout: Layout) -> list[str]:
    """Return what is structurally wrong with the index, found without opening it."""
    try:
        from lmdb.verify import VerifyError, verify
    except ImportError:
        return [f"{layout.data} cannot be inspected: this needs lmdb 3 or newer"]
    try:
        return [str(problem) for problem in verify(str(layout.data), subdir=False)]
    except (VerifyError, struct.error, ValueError, IndexError) as error:
        return [f"{layout.data}: {error}"]


def rebuild(index: Index) -> int:
    """List in a new index the values whose files say what they are; return how many."""
    known = sorted(_trailers(index.layout), key=lambda trailer: trailer[0].created_at)
    for info, file in known:
        key = info.key
        space = rows.space_id(key.scope, key.namespace, key.version)
        record = Prepared(Record(info, ()), space, file, b"")
        index.write(functools.partial(_add, index, record))
    return len(known)


def _add(index: Index, record: Prepared, txn: Any) -> None:
    changes = Changes(index, txn, bytes(8), 1)
    changes.put(record)
    changes.finish()


def _trailers(layout: Layout) -> Iterator[tuple[RecordInfo, FilePart]]:
    for _, _, path in Values(layout).files():
        with contextlib.suppress(FileNotFoundError):
            trailer = read_trailer(path)
            if trailer is not None:
                yield trailer
