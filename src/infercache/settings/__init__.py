"""Settings: one table, and what is made of it.

`table` lists every setting; `kinds` parses their values; `resolve` gathers them from
arguments, environment and file; `schema` writes the JSON schema and the reference page.
"""

from __future__ import annotations

from infercache.settings.resolve import Origin, Resolved, resolve
from infercache.settings.table import SETTINGS, Setting, find_setting

__all__ = ["SETTINGS", "Origin", "Resolved", "Setting", "find_setting", "resolve"]
