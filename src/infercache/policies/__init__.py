"""What leaves: admission and victim choice from keys, sizes, costs and times."""

from infercache.policies.registry import POLICIES

__all__ = ["POLICIES"]
