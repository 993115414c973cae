"""Writes the generated pages of docs/reference, or says with --check which are out of date."""

from __future__ import annotations

import sys
from pathlib import Path

from infercache.settings.schema import reference_page

PAGES = {Path("docs/reference/settings.md"): reference_page}


def main(*, check: bool) -> int:
    """Write the pages, or compare; return the exit code."""
    stale = [path for path, write in PAGES.items() if _read(path) != write()]
    if check:
        for path in stale:
            print(f"{path} is out of date: make docs")
        return 1 if stale else 0
    for path, write in PAGES.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(write(), encoding="utf-8")
        print(f"wrote {path}")
    return 0


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
