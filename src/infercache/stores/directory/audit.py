"""Looking after a directory: recompute its accounts, and put right what does not add up."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from infercache.stores.base import Buffer, RecordInfo
from infercache.stores.directory import rows
from infercache.stores.directory.changes import Changes
from infercache.stores.directory.index import ACCOUNT_KEY, Index
from infercache.stores.directory.values import Values

ORPHAN_AGE_S = 60.0

Verify = Callable[[RecordInfo, Buffer], bool]


@dataclass(slots=True)
class RepairReport:
    """What a repair found and did.

    Attributes:
        orphans: Files that no record referred to, deleted.
        missing: Records whose file was gone or had the wrong size, deleted.
        corrupt: Records whose blob the caller's check refused, deleted.
        accounts: Sentences about accounts and lists that were wrong, and are right now.
    """

    orphans: int = 0
    missing: int = 0
    corrupt: int = 0
    accounts: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing had to be done."""
        return not (self.orphans or self.missing or self.corrupt or self.accounts)


def check(index: Index, values: Values) -> list[str]:
    """Return a sentence for each account, list or file that does not add up. O(records)."""
    problems: list[str] = []
    with index.read() as txn:
        files = _audit(index, txn, problems)
    for digest, row in files:
        # Another process may have deleted it since: only a record that still says so is wrong.
        if not _is_whole(values, digest, row) and index.get_row(digest) == row:
            problems.append(f"record {digest.hex()}: its file is missing or has the wrong size")
    return problems


def _audit(index: Index, txn: Any, problems: list[str]) -> list[tuple[bytes, bytes]]:
    """Recompute account and lists inside one transaction; return the records kept in files."""
    size_bytes = entries = listed = 0
    files = []
    for digest, row in txn.cursor(index.records):
        entries += 1
        size_bytes += rows.row_charge(row)
        groups = _groups(row)
        listed += len(groups)
        cursor = txn.cursor(index.members)
        problems += [
            f"record {bytes(digest).hex()}: not listed in group {group.hex()}"
            for group in groups
            if not cursor.set_key_dup(group, digest)
        ]
        if txn.get(rows.row_space(row), None, index.spaces) is None:
            problems.append(f"record {bytes(digest).hex()}: its key space has no name")
        if row[1] & rows.IN_FILE:
            files.append((bytes(digest), bytes(row)))
    account = rows.decode_account(bytes(txn.get(ACCOUNT_KEY, b"")))
    if (account.size_bytes, account.entries) != (size_bytes, entries):
        problems.append(
            f"the account says {account.size_bytes} bytes in {account.entries} records, "
            f"the records say {size_bytes} bytes in {entries}"
        )
    stale = txn.stat(index.members)["entries"] - listed
    if stale:
        problems.append(f"{stale} entries of the member lists have no record")
    return files


def _groups(row: rows.Row) -> set[bytes]:
    return {rows.row_space(row), *(rows.tag_id(tag) for tag in rows.row_tags(row))}


def _is_whole(values: Values, digest: bytes, row: bytes) -> bool:
    file = rows.row_file(row)
    if file is None:
        return True
    try:
        return os.stat(values.path(digest, file.serial)).st_size == file.file_bytes
    except FileNotFoundError:
        return False


def repair(
    index: Index, values: Values, writer: bytes, journal_length: int, verify: Verify | None
) -> RepairReport:
    """Delete what cannot be served or is not referred to, then recompute account and lists."""
    report = RepairReport()
    for digest, row in _records(index):
        if not rows.is_known(row):
            continue
        if not _is_whole(values, digest, row):
            report.missing += _drop(index, values, writer, journal_length, digest, row)
        elif verify is not None and not _verifies(index, values, verify, digest, row):
            report.corrupt += _drop(index, values, writer, journal_length, digest, row)
    with index.read() as txn:
        _audit(index, txn, report.accounts)
    if report.accounts:
        index.write(lambda txn: _recount(index, txn))
    report.orphans = sweep(index, values)
    return report


def _records(index: Index) -> Iterator[tuple[bytes, bytes]]:
    with index.read() as txn:
        digests = [bytes(digest) for digest in txn.cursor(index.records).iternext(True, False)]
    for digest in digests:
        row = index.get_row(digest)
        if row is not None:
            yield digest, row


def _verifies(index: Index, values: Values, verify: Verify, digest: bytes, row: bytes) -> bool:
    with index.read(buffers=False) as txn:
        names = txn.get(rows.row_space(row), None, index.spaces)
    if names is None:
        return False
    file = rows.row_file(row)
    if file is None:
        blob: Buffer = row[rows.HEAD.unpack_from(row)[3] :]
    else:
        stored = values.read(digest, file)
        if stored is None:
            return True
        blob = stored.buffer
    return verify(rows.row_info(digest, row, rows.decode_space(names)), blob)


def _drop(
    index: Index, values: Values, writer: bytes, journal_length: int, digest: bytes, row: bytes
) -> bool:
    """Delete a record if it still is this one."""

    def drop(txn: Any) -> Changes:
        changes = Changes(index, txn, writer, journal_length)
        if changes.get(digest) == row:
            changes.evict(digest)
        changes.finish()
        return changes

    doomed = index.write(drop).doomed
    for _, file in doomed:
        values.remove(digest, file.serial)
    return index.get_row(digest) is None


def _recount(index: Index, txn: Any) -> None:
    """Write account and member lists anew from the records."""
    account = rows.decode_account(txn.get(ACCOUNT_KEY))
    account.size_bytes = account.entries = 0
    txn.drop(index.members, delete=False)
    for digest, row in list(txn.cursor(index.records)):
        if txn.get(rows.row_space(row), None, index.spaces) is None:
            txn.delete(digest, b"", index.records)
            continue
        account.size_bytes += rows.row_charge(row)
        account.entries += 1
        for group in _groups(row):
            txn.put(group, digest, True, True, False, index.members)
    txn.put(ACCOUNT_KEY, account.encode())


def sweep(index: Index, values: Values, *, age_s: float = ORPHAN_AGE_S) -> int:
    """Delete files that no record refers to, if they are too old to belong to a running put."""
    swept = 0
    for digest, serial, path in values.files():
        row = index.get_row(digest)
        file = rows.row_file(row) if row is not None else None
        if file is None or file.serial != serial:
            swept += _unlink_old(path, age_s)
    for entry in os.scandir(index.layout.tmp):
        swept += _unlink_old(entry.path, age_s)
    return swept


def _unlink_old(path: str, age_s: float) -> bool:
    with contextlib.suppress(FileNotFoundError):
        if time.time() - os.stat(path).st_mtime > age_s:
            os.unlink(path)
            return True
    return False
