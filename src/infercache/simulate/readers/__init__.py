"""Readers of trace formats: one file a format, found by content."""

from __future__ import annotations

from infercache.simulate.readers.registry import FORMATS, read_trace

__all__ = ["FORMATS", "read_trace"]
