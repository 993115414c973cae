"""Reads the pages of the documentation: blocks, commands and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(
    r"^(?:<!-- needs: (?P<needs>\w+) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    code: str
    needs: str


def pages() -> list[Path]:
    """Return every page, the README first."""
    names = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")
    tops = [ROOT / name for name in names]
    return [*tops, *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path, language: str) -> Iterator[Block]:
    """Yield the blocks of one language, in order."""
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        if match["language"] == language:
            line = text.count("\n", 0, match.start("code"))
            yield Block(page, line, language, match["code"], match["needs"] or "")


def commands(program: str) -> list[tuple[Path, list[str]]]:
    """Return (page, words) of each line in a shell block that starts with `program`."""
    found = []
    for page in pages():
        for block in blocks(page, "bash"):
            for line in block.code.splitlines():
                words = re.sub(r"^(\w+=(\"[^\"]*\"|\S*)\s+)*", "", line).split()
                if words and words[0] == program:
                    found.append((page, words))
    return found


def links(page: Path) -> list[str]:
    """Return the targets of a page's links, without those inside code."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return _LINK.findall(re.sub(r"`[^`\n]*`", "", text))
