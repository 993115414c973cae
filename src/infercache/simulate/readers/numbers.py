"""Tables of numbers, from text and from records, with the place of what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from infercache import _core
from infercache.simulate.readers.base import Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LARGEST = 2**63 - 1


def read_integers(source: Source, expected: Sequence[str]) -> NDArray[np.int64]:
    """Return a table of whole numbers, a row a line, separated by blanks.

    Blank lines and lines that begin with `*` or `#` are skipped. 10 M numbers a second.

    Args:
        source: The file.
        expected: What the columns are, for messages.

    Raises:
        TraceError: a line that does not hold just these numbers.
    """
    import numpy as np

    text = source.data
    if b"*" in text or b"#" in text:
        text = b"\n".join(line for line in text.splitlines() if line.lstrip()[:1] not in _MARKS)
    try:
        flat = np.fromstring(text, dtype=np.int64, sep=" ") if text.strip() else np.empty(0, "i8")
    except ValueError:
        raise _find_fault(source, expected) from None
    # Numbers that are too large are cut off to the largest.
    if (flat == _LARGEST).any() or not _is_table(text, len(expected), len(flat)):
        raise _find_fault(source, expected)
    table: NDArray[np.int64] = flat.reshape(-1, len(expected))
    return table


_MARKS = (b"*", b"#")


def _is_table(text: bytes, columns: int, count: int) -> bool:
    """Return whether each line that holds something holds so many words, and all are read."""
    import numpy as np

    letters = np.frombuffer(text, dtype=np.uint8)
    blank = letters <= 32
    begins = ~blank
    begins[1:] &= blank[:-1]
    words = np.flatnonzero(begins)
    if len(words) != count or count % columns:
        return False
    # Lines are told apart by how many line ends lie before each word.
    line = np.cumsum(letters == 10, dtype=np.int32)[words].reshape(-1, columns)
    same = bool((line[:, 0] == line[:, -1]).all())
    return same and bool((np.diff(line[:, 0]) > 0).all())


def _find_fault(source: Source, expected: Sequence[str]) -> Exception:
    wanted = ", ".join(expected)
    for number, line in enumerate(source.data.splitlines(), 1):
        words = line.split()
        if not words or words[0][:1] in _MARKS:
            continue
        try:
            fine = len(words) == len(expected) and all(abs(int(word)) < _LARGEST for word in words)
        except ValueError:
            fine = False
        if not fine:
            shown = line[:60].decode("utf-8", "replace")
            return source.fail(
                f"line {number}", f"{shown!r}; expected {len(expected)} whole numbers ({wanted})"
            )
    return source.fail("the whole file", f"expected lines of whole numbers ({wanted})")


def read_records(source: Source, fields: Any) -> NDArray[Any]:
    """Return records of fixed length, not copied.

    Raises:
        TraceError: the last record is cut off.
    """
    import numpy as np

    kind = np.dtype(fields)
    whole, rest = divmod(len(source.data), kind.itemsize)
    if rest:
        raise source.fail(
            f"record {whole + 1}",
            f"cut off after {rest} bytes; expected {kind.itemsize} bytes a record",
        )
    return np.frombuffer(source.data, dtype=kind)


def mix(*columns: NDArray[Any]) -> NDArray[np.uint64]:
    """Return one key for each row of columns of whole numbers; equal rows give equal keys.

    The finaliser of SplitMix64 (G. Steele, D. Lea, C. Flood, OOPSLA 2014) over each in turn.
    """
    import numpy as np

    mixed = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        mixed = (mixed ^ column.astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed = mixed ^ (mixed >> np.uint64(31))
    return mixed


def keys_of(names: Sequence[bytes]) -> NDArray[np.uint64]:
    """Return a key for each name: its own number if all are whole numbers, else a digest."""
    import numpy as np

    known: dict[bytes, int] = {}
    places = np.array([known.setdefault(name, len(known)) for name in names], dtype=np.int64)
    if all(name.isdigit() and len(name) < 20 and int(name) < 2**64 for name in known):
        values = np.array([int(name) for name in known], dtype=np.uint64)
    else:
        digests = b"".join(_core.xxh3_128(name)[:8] for name in known)
        values = np.frombuffer(digests, dtype="<u8").astype(np.uint64)
    keys: NDArray[np.uint64] = values[places]
    return keys
