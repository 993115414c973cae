"""Which tier would answer for a key, and why each of the others would not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from infercache.clock import Clock
from infercache.entry import NEVER, Entry
from infercache.errors import StoreError
from infercache.key import Key
from infercache.tiers.base import Tier
from infercache.tiers.chain import Chain
from infercache.units import format_duration, format_size


@dataclass(frozen=True, slots=True)
class TierAnswer:
    """What one tier says of a key: `state` is "hit", "stale", "miss" or "out"."""

    tier: str
    state: str
    detail: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What every tier says of a key; prints as a few lines for people."""

    key: Key
    answers: tuple[TierAnswer, ...]

    @property
    def served_by(self) -> str | None:
        """The tier that would answer now, or None."""
        return next((answer.tier for answer in self.answers if answer.state == "hit"), None)

    def __str__(self) -> str:
        verdict = f"served by {self.served_by}" if self.served_by else "would be computed"
        lines = [f"{self.key}: {verdict}"]
        lines += [f"  {one.tier}: {one.state}, {one.detail}" for one in self.answers]
        return "\n".join(lines)


def explain(chain: Chain, key: Key, clock: Clock) -> Explanation:
    """Ask every tier for a key. Counts as a read in the tiers that hold it."""
    return Explanation(key, tuple(_answers(chain, key, clock)))


def _answers(chain: Chain, key: Key, clock: Clock) -> Iterator[TierAnswer]:
    for tier in chain.tiers:
        try:
            entry = tier.get_many([key])[0]
        except StoreError as error:
            yield TierAnswer(tier.name, "out", str(error))
            continue
        now = clock.now()
        if entry is None:
            yield TierAnswer(tier.name, "miss", _why_missing(chain, tier, key, now))
        else:
            yield _describe(tier, entry, now)


def _why_missing(chain: Chain, tier: Tier, key: Key, now: float) -> str:
    known = chain.departures.reason(tier.name, key.digest)
    if known is None:
        return "never put here by this process, or evicted, expired or invalidated since"
    when, reason = known
    return f"{reason} ({format_duration(max(now - when, 0.0))} ago)"


def _describe(tier: Tier, entry: Entry, now: float) -> TierAnswer:
    size = format_size(entry.size_bytes)
    if now >= entry.expires_at:
        ago = format_duration(now - entry.expires_at)
        return TierAnswer(tier.name, "stale", f"{size}, expired {ago} ago")
    if entry.expires_at == NEVER:
        return TierAnswer(tier.name, "hit", f"{size}, no expiry")
    left = format_duration(entry.expires_at - now)
    return TierAnswer(tier.name, "hit", f"{size}, expires in {left}")
