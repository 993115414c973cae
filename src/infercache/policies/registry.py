"""Names of policies: native ones, and those that were registered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from infercache.errors import SettingError
from infercache.policies.base import Policy
from infercache.registry import Registry


@dataclass(frozen=True, slots=True)
class NativePolicy:
    """A policy of the native core; its file there cites the paper that it follows."""

    name: str
    promise: str


_NATIVE = {
    "arc": "balances recency and frequency by what it evicted too early",
    "fifo": "evicts what came in first",
    "gdsf": "weighs use and cost against size, ageing all alike",
    "lfu": "evicts what was used least often",
    "lru": "evicts what was not used for longest",
    "s3fifo": "lets one-hit wonders leave quickly; the default",
    "sieve": "evicts what was not used since its hand last passed",
    "wtinylfu": "admits by estimated frequency, behind a window that adapts",
}

POLICIES = Registry("policy", {})
for _name, _promise in _NATIVE.items():
    POLICIES.register(_name, NativePolicy(_name, _promise))


def resolve(policy: Any) -> str | Policy:
    """Return the name of a native policy, or a policy object, for whatever a caller gave.

    Args:
        policy: A registered name, a subclass of `Policy` (a fresh one is made), or a `Policy`.

    Raises:
        SettingError: an unknown name (the message names the nearest), or not a policy at all.
    """
    target = POLICIES.load(policy) if isinstance(policy, str) else policy
    if isinstance(target, NativePolicy):
        return target.name
    if isinstance(target, type) and issubclass(target, Policy):
        target = target()
    if not isinstance(target, Policy):
        raise SettingError(
            f"policy is {policy!r}; give a name ({', '.join(POLICIES.names())}), "
            "a subclass of infercache.policies.base.Policy, or one of its instances"
        )
    return target
