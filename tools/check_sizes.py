"""Checks that files and functions of the package stay small, and reports the medians."""

from __future__ import annotations

import ast
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

FILE_LINES = 400
FUNCTION_LINES = 70


def main(root: Path = Path("src")) -> int:
    """Print what is too long, and the medians; return the exit code."""
    files = sorted(root.rglob("*.py"))
    lines = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    functions = [found for file in files for found in read_functions(file)]
    faults = [
        f"{file}: {number} lines; at most {FILE_LINES}, one idea a file"
        for file, number in lines.items()
        if number > FILE_LINES
    ]
    faults += [
        f"{where}: {name}() has {number} lines of code; at most {FUNCTION_LINES}"
        for where, name, number in functions
        if number > FUNCTION_LINES
    ]
    for fault in faults:
        print(fault)
    sizes = [number for _, _, number in functions] or [0]
    print(
        f"sizes: {len(files)} files, median {statistics.median(lines.values() or [0]):.0f} lines, "
        f"longest {max(lines.values(), default=0)}; {len(functions)} functions, median "
        f"{statistics.median(sizes):.0f} lines, longest {max(sizes)}"
    )
    return 1 if faults else 0


def read_functions(file: Path) -> Iterator[tuple[str, str, int]]:
    """Yield (where, name, lines of code) of each function; its docstring does not count."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield f"{file}:{node.lineno}", node.name, _code_lines(node)


def _code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    total = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is not None:
        total -= (first.end_lineno or first.lineno) - first.lineno + 1
    return total


if __name__ == "__main__":
    sys.exit(main())
