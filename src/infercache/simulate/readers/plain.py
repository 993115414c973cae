"""Plain text: a key a line, whatever it is."""

from __future__ import annotations

from infercache.simulate.readers.base import Source
from infercache.simulate.readers.numbers import keys_of
from infercache.simulate.trace import Trace


class PlainReader:
    """Reads one word a line, such as an address or an object's name."""

    unit = "line"
    promise = "plain text: one key a line, no blanks or commas in it"

    def detect(self, source: Source) -> bool:
        """Return whether every line is one word."""
        lines = source.first_lines() if source.is_text() else []
        return bool(lines) and all(len(line.split()) == 1 for line in lines)

    def read(self, source: Source) -> Trace:
        """Return one access a line; blank lines are skipped."""
        names = []
        for number, line in enumerate(source.data.splitlines(), 1):
            words = line.split()
            if len(words) > 1:
                raise source.fail(f"line {number}", f"{len(words)} words; expected one key")
            names += words
        return Trace(source.name, "plain", keys_of(names))
