"""Audits a directory: accounts, lists, files and every blob; mends it where asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from infercache.codecs.blob import open_blob, peek_header
from infercache.errors import BlobError
from infercache.stores.base import Buffer, RecordInfo
from infercache.stores.directory import DirectoryStore

Tick = Callable[[int, int], None]


@dataclass(slots=True)
class Checkup:
    """What was found in one directory, and what became of it.

    Attributes:
        tier: The tier's name.
        directory: Where it is.
        entries: Entries that were looked at.
        unverified: Blobs sealed with a secret that is not set here, or the other way round:
            they cannot be judged, and are left alone.
        faults: One sentence each, as found.
        repairs: One sentence for each kind of thing that was mended.
        remaining: Faults that are still there.
    """

    tier: str
    directory: Path
    entries: int = 0
    unverified: int = 0
    faults: list[str] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    remaining: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, for JSON."""
        return asdict(self) | {"directory": str(self.directory)}


class Examiner:
    """Looks at one directory. Not thread-safe.

    Args:
        tier: The tier's name.
        directory: Where it is.
        secret: The secret of the blobs' checksums, or None.
        capacity_bytes: The bound, or None if it is not known.
        tick: Called with (done, of how many) as it goes on.
    """

    def __init__(
        self,
        tier: str,
        directory: Path,
        *,
        secret: bytes | None = None,
        capacity_bytes: int | None = None,
        tick: Tick = lambda done, total: None,
    ) -> None:
        self.checkup = Checkup(tier, directory)
        self._secret = secret
        self._capacity_bytes = capacity_bytes
        self._tick = tick

    def audit(self) -> Checkup:
        """Find faults and change nothing. Reads every value: O(bytes).

        Raises:
            StoreError: it cannot be read, or infercache did not write it.
        """
        store = DirectoryStore(self.checkup.directory, read_only=True)
        try:
            self.checkup.faults = self._find(store)
        finally:
            store.close()
        self.checkup.remaining = list(self.checkup.faults)
        return self.checkup

    def repair(self) -> Checkup:
        """Find faults, mend them, and look again.

        Raises:
            StoreError: it cannot be read or written, or infercache did not write it.
        """
        store = DirectoryStore(self.checkup.directory)
        try:
            self.checkup.faults = store.check() + self._over_capacity(store)
            report = store.repair(self._verify)
            self.checkup.repairs = _sentences(report)
            self.checkup.faults += _deleted(report)
            self.checkup.entries = store.usage()[1]
            self.checkup.remaining = store.check() + self._over_capacity(store)
        finally:
            store.close()
        return self.checkup

    def _find(self, store: DirectoryStore) -> list[str]:
        faults = store.check() + self._over_capacity(store)
        total = store.usage()[1]
        for info in store.scan():
            self.checkup.entries += 1
            self._tick(self.checkup.entries, total)
            stored = store.get_many([info.key])[0]
            if stored is not None and not self._verify(info, stored.buffer):
                faults.append(f"record {info.key}: its bytes do not verify")
        return faults

    def _verify(self, info: RecordInfo, blob: Buffer) -> bool:
        try:
            header = peek_header(blob)
            if header.keyed != (self._secret is not None):
                self.checkup.unverified += 1
                return True
            open_blob(blob, info.key, header.codec_id, self._secret)
        except BlobError:
            return False
        return True

    def _over_capacity(self, store: DirectoryStore) -> list[str]:
        used, _ = store.usage()
        if self._capacity_bytes is None or used <= self._capacity_bytes:
            return []
        return [
            f"{used} bytes are charged, more than the capacity of {self._capacity_bytes}; "
            "the next write makes room"
        ]


def _deleted(report: Any) -> list[str]:
    return [
        f"{number} {what}"
        for number, what in (
            (report.missing, "records whose file was missing or had the wrong size"),
            (report.corrupt, "records whose bytes did not verify"),
            (report.orphans, "files that no record referred to"),
        )
        if number
    ]


def _sentences(report: Any) -> list[str]:
    mended = [f"deleted {sentence}" for sentence in _deleted(report)]
    if report.accounts:
        mended.append(f"wrote accounts and lists anew: {'; '.join(report.accounts)}")
    return mended
