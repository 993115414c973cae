"""One store object's hold on its directory, renewed when the directory vanished and came back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from infercache.errors import ReadOnlyError, StoreError, StoreUnavailableError
from infercache.forks import fork_safe_lock
from infercache.stores.directory import opening
from infercache.stores.directory.generation import SharedCounter
from infercache.stores.directory.index import Index
from infercache.stores.directory.layout import claim, translate, translated
from infercache.stores.directory.values import Values


@dataclass(frozen=True, slots=True)
class Options:
    """How a directory is opened."""

    map_bytes: int
    read_only: bool
    durable: bool


class Connection:
    """Index, values and counter of one directory, for one store object. Thread-safe.

    Attributes:
        values: The value files.
        counter: The counter of loud changes.
    """

    values: Values
    counter: SharedCounter

    def __init__(self, path: Path, options: Options) -> None:
        self.path = path
        self._options = options
        self._lock = fork_safe_lock()
        self._closed = False
        self._index: Index | None = None
        self._open(create=not options.read_only)

    def _open(self, *, create: bool) -> Index:
        options = self._options
        with translated(self.path):
            layout = claim(self.path, create=create)
            index = opening.acquire(
                layout,
                map_bytes=options.map_bytes,
                read_only=options.read_only,
                durable=options.durable,
            )
            try:
                self.counter = SharedCounter(layout)
            except BaseException:
                opening.release(index)
                raise
        self.values = Values(layout, durable=options.durable)
        self._index = index
        return index

    def live(self) -> Index:
        """Return the environment, opened anew after a fork or a return of the directory.

        Raises:
            StoreUnavailableError: closed, or the directory is gone.
        """
        index = self._index
        if index is not None and index.is_alive():
            return index
        return self._renew()

    def _renew(self) -> Index:
        with self._lock:
            if self._closed:
                raise StoreUnavailableError(f"store directory {self.path} was closed here")
            index = self._index
            if index is not None:
                if index.is_alive(now=True):
                    return index
                self._index = None
                opening.discard(index)
            return self._open(create=False)

    def writable(self) -> Index:
        """Return the environment.

        Raises:
            ReadOnlyError: it is open read-only.
        """
        index = self.live()
        if index.read_only:
            raise ReadOnlyError(
                f"store directory {self.path} is open read-only; reads work, puts do not: "
                "open it without read_only=True, or remount it writable"
            )
        if index.before_first_write is not None:
            with translated(self.path):
                index.announce_write()
        return index

    def translated(self, error: Exception) -> StoreError:
        """Return the store error for a foreign one, and drop an environment that it broke."""
        if isinstance(error, StoreError):
            return error
        index = self._index
        if index is not None and index.is_broken_by(error):
            opening.discard(index)
        return translate(error, self.path)

    def close(self) -> None:
        """Let go of the directory; closing twice is allowed."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            index, self._index = self._index, None
        self.values.clear()
        self.counter.close()
        if index is not None:
            opening.release(index)
