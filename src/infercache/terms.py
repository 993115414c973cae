"""Terms as users write them: names checked, durations read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any

from infercache.entry import NEVER
from infercache.errors import SettingError
from infercache.guards.base import Terms
from infercache.units import parse_duration

_DURATIONS = ("ttl_s", "stale_s", "negative_ttl_s")
_TERM_NAMES = [field.name for field in fields(Terms)]


def make_terms(base: Terms, changes: Mapping[str, Any]) -> Terms:
    """Return terms with some of them changed; durations may be written as "10m".

    Raises:
        SettingError: a name or a value that cannot be used.
    """
    if not changes:
        return base
    parsed: dict[str, Any] = {}
    for name, value in changes.items():
        if name not in _TERM_NAMES:
            near = get_close_matches(name, _TERM_NAMES, n=1)
            guess = f" (did you mean {near[0]!r}?)" if near else ""
            raise SettingError(f"unknown term {name!r}{guess}; known: {', '.join(_TERM_NAMES)}")
        if name == "ttl_s" and value is None:
            value = NEVER
        is_duration = name in _DURATIONS and value is not None
        parsed[name] = parse_duration(value, name) if is_duration else value
    if "tags" in parsed:
        parsed["tags"] = check_tags(parsed["tags"])
    return replace(base, **parsed)


def check_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Return tags as a tuple.

    Raises:
        SettingError: a single string, or something that is not a string.
    """
    if isinstance(tags, str) or not all(isinstance(tag, str) for tag in tags):
        raise SettingError(f"tags={tags!r}: give a sequence of strings, such as tags=('faq',)")
    return tuple(tags)
