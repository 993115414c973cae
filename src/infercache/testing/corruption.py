"""Damage at rest: what bad disks and careless people do to the files of a store."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path

KINDS = ("flip", "truncate", "swap")


def corrupt_at_random(directory: str | os.PathLike[str], rng: random.Random) -> str | None:
    """Flip a bit in, truncate or swap value files of a store directory; return what was done.

    The damage is done in place, so that mappings of the files see it too. Only whole files of
    large values are touched, never the index: see `flip_in_index`. Do not truncate a file
    whose view somebody reads at this very moment: the kernel ends such a process.

    Args:
        directory: A `DirectoryStore`'s directory.
        rng: Where chance comes from.

    Returns:
        A sentence for people, or None if there is no file to damage.
    """
    files = sorted(path for path in Path(directory, "values").glob("*/*") if path.stat().st_size)
    return damage_one_of(files, rng) if files else None


def damage_one_of(files: Sequence[Path], rng: random.Random) -> str:
    """Flip a bit in, truncate or swap one of these files, in place; return what was done."""
    kind = rng.choice(KINDS)
    if kind == "swap" and len(files) > 1:
        one, two = rng.sample(list(files), 2)
        aside = one.with_name(one.name + ".swap")
        one.rename(aside)
        two.rename(one)
        aside.rename(two)
        return f"swapped {one} and {two}"
    path = rng.choice(files)
    size = path.stat().st_size
    if kind == "truncate":
        kept = rng.randrange(size)
        os.truncate(path, kept)
        return f"truncated {path} from {size} to {kept} bytes"
    return flip(path, rng.randrange(8 * size))


def flip_in_index(directory: str | os.PathLike[str], rng: random.Random) -> str:
    """Flip one bit anywhere in the index of a store directory; return what was done."""
    path = Path(directory, "index", "data.mdb")
    return flip(path, rng.randrange(8 * path.stat().st_size))


def flip(path: Path, bit: int) -> str:
    """Flip one bit of a file in place; return what was done."""
    with open(path, "r+b") as file:
        file.seek(bit // 8)
        (byte,) = file.read(1)
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))
    return f"flipped bit {bit % 8} of byte {bit // 8} of {path}"
