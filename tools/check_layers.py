"""Checks that imports point down only, and that siblings do not know each other.

Each row of `LAYERS` is one layer, the highest first. A part is a file or folder directly under
`src/infercache`. A part may import parts of lower rows, and itself; parts of one row are blind
to each other unless the row is listed in `OPEN_ROWS`, whose parts are one facade.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PACKAGE = "infercache"
LAYERS: tuple[tuple[str, ...], ...] = (
    ("cli", "gateway"),
    ("demo", "report"),
    ("assemble",),
    ("llm",),
    ("reuse", "simulate", "importers", "observe", "testing"),
    ("cache", "namespace", "memoize", "explain", "stack", "lookup", "stats", "terms"),
    ("guards", "consistency", "prediction"),
    ("tiers",),
    ("stores", "codecs", "policies", "keys"),
    ("settings",),
    ("key", "entry", "events", "clock", "units", "registry", "forks", "notices", "errors", "_core"),
)
OPEN_ROWS = frozenset({"cache", "key"})  # the facade, and the base: named by their first part
# The package's own names are loaded lazily, so that whoever writes `import infercache as ic`
# like a user depends on nothing until then; only the top of the house may do that.
MAY_IMPORT_PACKAGE = frozenset({"cli", "gateway", "demo", "report"})
# A conformance kit drives a live part through its own contract, wherever that part lies.
WATCHERS = frozenset({"testing"})


class Import(NamedTuple):
    """One import of one part by another."""

    file: Path
    line: int
    importer: str
    imported: str


def main(root: Path = Path("src") / PACKAGE) -> int:
    """Print every import that breaks the rule; return the exit code."""
    imports = [found for file in sorted(root.rglob("*.py")) for found in read_imports(file, root)]
    faults = [fault for found in imports if (fault := judge(found))]
    for fault in faults:
        print(fault)
    print(f"layers: {len(imports)} imports between parts, {len(faults)} against the rule")
    return 1 if faults else 0


def read_imports(file: Path, root: Path) -> Iterator[Import]:
    """Yield the imports of other parts in one file, lazy ones included."""
    importer = part_of(file.relative_to(root).parts)
    if importer == "__init__":
        return
    tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    for node in ast.walk(tree):
        for name in _names(node):
            pieces = name.split(".")
            if pieces[0] != PACKAGE:
                continue
            imported = pieces[1] if len(pieces) > 1 else PACKAGE
            if imported != importer:
                yield Import(file, getattr(node, "lineno", 0), importer, imported)


def part_of(path: tuple[str, ...]) -> str:
    """Return the part that a file belongs to, from its path under the package."""
    return path[0].removesuffix(".py")


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        if node.module == PACKAGE:
            return [f"{PACKAGE}.{alias.name}" for alias in node.names]
        return [node.module or ""]
    return []


def judge(found: Import) -> str:
    """Return a sentence if an import breaks the rule, otherwise ""."""
    where = f"{found.file}:{found.line}: {found.importer} imports {found.imported}"
    if found.imported == PACKAGE:
        allowed = found.importer in MAY_IMPORT_PACKAGE
        return "" if allowed else f"{where}: name the module that is meant"
    here, there = _row(found.importer), _row(found.imported)
    unknown = [part for part, row in ((found.importer, here), (found.imported, there)) if row < 0]
    if unknown:
        return f"{where}: {unknown[0]} has no place in tools/check_layers.py; give it one"
    if there < here:
        return f"{where}: that is further up; imports point down only"
    if there == here and LAYERS[here][0] not in OPEN_ROWS and found.importer not in WATCHERS:
        return f"{where}: they are siblings, and blind to each other"
    return ""


def _row(part: str) -> int:
    return next((number for number, row in enumerate(LAYERS) if part in row), -1)


if __name__ == "__main__":
    sys.exit(main())
