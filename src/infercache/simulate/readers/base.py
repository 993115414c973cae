"""What a reader is, and what it is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from infercache.errors import TraceError
from infercache.simulate.trace import Trace

_HEAD = 1 << 16


@dataclass(frozen=True, slots=True)
class Source:
    """A file's unpacked content.

    Attributes:
        path: Where it is.
        data: All bytes.
        columns: What the columns of a CSV are, where the caller said so.
    """

    path: Path
    data: bytes
    columns: str | None = None

    @property
    def name(self) -> str:
        """Return the file's name without its endings."""
        return self.path.name.split(".")[0] or self.path.name

    def is_text(self) -> bool:
        """Return whether it begins with printable text."""
        head = self.data[:_HEAD]
        return not any(byte < 32 and byte not in (9, 10, 13) for byte in head[:4096])

    def first_lines(self, most: int = 20) -> list[bytes]:
        """Return the first lines that hold something, without marks (`*`) and comments (`#`)."""
        head = self.data[:_HEAD]
        lines = head.splitlines()
        if len(lines) > 1 and len(self.data) > _HEAD:
            del lines[-1]
        wanted = (line.strip() for line in lines)
        return [line for line in wanted if line and line[:1] not in b"*#"][:most]

    def fail(self, place: str, problem: str) -> TraceError:
        """Return the error that names file and place."""
        return TraceError(f"{self.path}: {place}: {problem}")


class Reader(Protocol):
    """Reads one format.

    Attributes:
        unit: What its errors count: "line" or "record".
        promise: The format in a few words.
    """

    unit: str
    promise: str

    def detect(self, source: Source) -> bool:
        """Return whether the content begins like this format. Looks at the beginning only."""

    def read(self, source: Source) -> Trace:
        """Return the trace.

        Raises:
            TraceError: something in it is not as the format wants it.
        """
