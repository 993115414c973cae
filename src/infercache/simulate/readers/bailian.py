"""Alibaba Bailian's traces of Qwen's prefix blocks (J. Wang and others, ATC 2025)."""

from __future__ import annotations

from infercache.simulate.readers.base import Source
from infercache.simulate.readers.prefixes import has_blocks, read_prefixes
from infercache.simulate.trace import Trace

_SECONDS = 1.0


class BailianReader:
    """Reads one access for each block of 16 tokens; timestamps are seconds."""

    unit = "line"
    promise = "Qwen-Bailian: JSON lines with chat_id, timestamp (s) and hash_ids of 16 tokens each"

    def detect(self, source: Source) -> bool:
        """Return whether the first object lists blocks and names a chat."""
        return has_blocks(source) and b'"chat_id"' in source.first_lines(1)[0]

    def read(self, source: Source) -> Trace:
        """Return one access a block."""
        return read_prefixes(source, "bailian", _SECONDS)
