"""What is to be said of an entry: how old it is, and what became of it in several tiers."""

from __future__ import annotations

import math
import random
from dataclasses import replace

from infercache.clock import Clock
from infercache.entry import Entry, Freshness
from infercache.tiers.base import Outcome


def judge_age(entry: Entry, clock: Clock, beta: float) -> Freshness:
    """Return how an entry may be used now.

    XFetch: the nearer the expiry and the dearer the value, the likelier a refresh is due.
    """
    if entry.expires_at == math.inf:
        return Freshness.FRESH
    now = clock.now()
    if now >= entry.expires_at:
        return Freshness.STALE
    early_s = -entry.cost_s * beta * math.log(1.0 - random.random()) if beta else 0.0  # noqa: S311
    return Freshness.REFRESH_DUE if now + early_s >= entry.expires_at else Freshness.FRESH


def better(one: Outcome, other: Outcome | None) -> Outcome:
    """Return what is to be said of an entry of which two tiers say different things."""
    if other is None or one is Outcome.KEPT or one is Outcome.FENCED:
        return one
    return other


def shorten(entry: Entry, latest: float) -> Entry:
    """Return an entry that is gone at `latest` at the latest: a tier's own time to live."""
    return replace(
        entry,
        expires_at=min(entry.expires_at, latest),
        stale_until=min(entry.stale_until, latest),
    )
