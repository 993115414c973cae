"""Mooncake's traces of prefix blocks (R. Qin and others, FAST 2025)."""

from __future__ import annotations

from infercache.simulate.readers.base import Source
from infercache.simulate.readers.prefixes import has_blocks, read_prefixes
from infercache.simulate.trace import Trace

_MILLISECONDS = 1000.0


class MooncakeReader:
    """Reads one access for each block of 512 tokens; timestamps are milliseconds."""

    unit = "line"
    promise = "Mooncake: JSON lines with timestamp (ms) and hash_ids, a block of 512 tokens each"

    def detect(self, source: Source) -> bool:
        """Return whether the first object lists blocks."""
        return has_blocks(source)

    def read(self, source: Source) -> Trace:
        """Return one access a block."""
        return read_prefixes(source, "mooncake", _MILLISECONDS)
