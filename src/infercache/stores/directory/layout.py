"""What a store directory looks like, and what errors from the file system mean for it.

infercache.json     marker: what this directory is, its format, who created it
index/              LMDB: records, small values, account, journal, fences
values/xx/          large values, one immutable file a write, named by digest and serial
tmp/                large values while they are written
generation          shared 8-byte counter of loud changes
state.json          boot id and whether the last writer closed cleanly
open.lock users.lock  taken while opening, and held shared while open
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import struct
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import lmdb
import msgspec

from infercache.errors import (
    ForeignDirectoryError,
    ReadOnlyError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
)

FORMAT = 1
MARKER_NAME = "infercache.json"
DIRECTORY_MODE = 0o700
FILE_MODE = 0o600

# What the file system, LMDB and a damaged row raise; nothing else is taken for an outage.
FOREIGN = (OSError, lmdb.Error, struct.error, msgspec.DecodeError)

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


class Layout:
    """The paths of one store directory. Immutable."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.marker = root / MARKER_NAME
        self.index = root / "index"
        self.data = self.index / "data.mdb"
        self.lock = self.index / "lock.mdb"
        self.ballast = self.index / "ballast"
        self.values = root / "values"
        self.tmp = root / "tmp"
        self.generation = root / "generation"
        self.state = root / "state.json"
        self.open_lock = root / "open.lock"
        self.users_lock = root / "users.lock"


def library_version() -> str:
    """Return the installed version of infercache, or "unknown" when run from a source tree."""
    try:
        return metadata.version("infercache")
    except metadata.PackageNotFoundError:
        return "unknown"


def resolve(path: str | os.PathLike[str]) -> Path:
    """Return the absolute path that a setting means; `~` is the home directory."""
    return Path(os.path.realpath(os.path.expanduser(os.fspath(path))))


def claim(root: Path, *, create: bool) -> Layout:
    """Return the layout of a directory that is ours, making it if it is missing or empty.

    Args:
        root: The directory.
        create: Whether a missing directory may be made; an empty one becomes ours either way.

    Raises:
        ForeignDirectoryError: it holds something else, or a newer format; it stays untouched.
        StoreUnavailableError: it does not exist and may not be made.
    """
    layout = Layout(root)
    with translated(root):
        if create:
            root.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        if not root.exists():
            raise StoreUnavailableError(
                f"store directory {root} is gone (deleted or unmounted); "
                "the store goes on as soon as it exists again"
            )
        if not root.is_dir():
            raise ForeignDirectoryError(f"{root} is a file; a store needs a directory of its own")
        if not layout.marker.exists():
            _mark(layout)
        _read_marker(layout)
    return layout


def prepare(layout: Layout) -> None:
    """Make the folders of a claimed directory."""
    for folder in (layout.index, layout.values, layout.tmp):
        folder.mkdir(mode=DIRECTORY_MODE, exist_ok=True)


def _mark(layout: Layout) -> None:
    others = [name for name in os.listdir(layout.root) if not name.startswith(MARKER_NAME)]
    if others:
        raise ForeignDirectoryError(
            f"{layout.root} holds files that infercache did not write (such as "
            f"{sorted(others)[0]!r}); choose an empty directory for the store"
        )
    text = {"what": "infercache directory", "format": FORMAT, "created_by": library_version()}
    replace_file(layout.marker, json.dumps(text).encode())


def _read_marker(layout: Layout) -> None:
    try:
        marker = json.loads(layout.marker.read_bytes())
        format_number = int(marker["format"])
        ours = marker["what"] == "infercache directory"
    except (ValueError, KeyError, TypeError) as error:
        raise ForeignDirectoryError(
            f"{layout.marker} is damaged or was not written by infercache ({error}); move the "
            "directory away, or delete it if its contents are only cached"
        ) from error
    if not ours or format_number != FORMAT:
        raise ForeignDirectoryError(
            f"{layout.root} has format {format_number}, written by infercache "
            f"{marker.get('created_by', 'unknown')}; this is infercache {library_version()}, which "
            f"reads format {FORMAT}: upgrade infercache, or choose another directory"
        )


def replace_file(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write a small file so that every reader sees the old or the new content, never a part."""
    aside = path.with_name(f"{path.name}.{secrets.token_hex(6)}")
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        os.write(fd, content)
        if durable:
            os.fsync(fd)
    finally:
        os.close(fd)
    os.replace(aside, path)


def is_writable(root: Path) -> bool:
    """Return whether files can be made here: false on a read-only mount, for root too."""
    return os.access(root, os.W_OK | os.X_OK)


def file_system(root: Path) -> str:
    """Return the type of the file system that a path lies on, such as "ext4"; "" if unknown."""
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    for line in lines:
        left, _, right = line.partition(" - ")
        mount = left.split(" ")[4]
        if len(mount) >= len(best) and root.is_relative_to(mount):
            best, kind = mount, right.split(" ")[0]
    return kind


def is_volatile(root: Path) -> bool:
    """Return whether the directory lies in memory, which a reboot empties."""
    return file_system(root) in ("tmpfs", "ramfs")


def keeps_reserved_blocks(root: Path) -> bool:
    """Return whether blocks that were allocated once can always be written again.

    Not so where a file system writes each change to a new place.
    """
    return file_system(root) in ("ext2", "ext3", "ext4", "xfs", "tmpfs")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an advisory lock on a file, against other processes and other threads."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def translated(root: Path) -> Iterator[None]:
    """Turn foreign errors raised inside into store errors that name the directory."""
    try:
        yield
    except StoreError:
        raise
    except FOREIGN as error:
        raise translate(error, root) from error


def translate(error: Exception, root: Path) -> StoreError:
    """Return the store error for a foreign one."""
    if isinstance(error, (lmdb.CorruptedError, struct.error, msgspec.DecodeError)):
        return StoreUnavailableError(
            f"the index of store directory {root} is damaged ({error}); "
            f"delete {root / 'index'}: it is rebuilt from the large values"
        )
    code = error.errno if isinstance(error, OSError) else getattr(error, "code", 0)
    if code in _FULL or isinstance(error, lmdb.MapFullError):
        return StoreFullError(
            f"no room left for store directory {root} ({error}); nothing was written: "
            "free space or lower the capacity"
        )
    if code in _READ_ONLY or isinstance(error, lmdb.ReadonlyError):
        return ReadOnlyError(
            f"store directory {root} cannot be written ({error}); reads go on: "
            "check its permissions, or open it with read_only=True"
        )
    return StoreUnavailableError(
        f"store directory {root} cannot be used ({error}); check that it exists and its disk works"
    )
