"""The documentation is true: blocks run, commands exist, links lead somewhere."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest

from infercache.cli.group import COMMANDS, infercache
from infercache.reuse import packaged_models
from infercache.settings.schema import reference_page

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


# Contributors' pages show how a test is written; it runs in a test only.
_NOT_RUN = {"CONTRIBUTING.md"}
_WITH_PYTHON = [page for page in pages() if any(blocks(page, "python"))]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def run_blocks(chosen: list[Block], names: dict[str, Any]) -> None:
    for block in chosen:
        # Padded, so that an error shows the line of the page.
        source = "\n" * block.line + block.code
        exec(compile(source, str(block.page), "exec"), names)


@functools.cache
def load_once() -> Any:
    """Load the model once for all pages: it takes half a minute."""
    return _LOAD()


_LOAD = packaged_models.load_smollm2


@pytest.mark.model
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", _WITH_PYTHON, ids=name)
def test_every_python_block_of_a_page_runs_one_after_the_other(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, require: Any
) -> None:
    if page.name in _NOT_RUN:
        for block in blocks(page, "python"):
            compile(block.code, str(page), "exec")
        return
    found = list(blocks(page, "python"))
    if any(block.needs == "smollm2" for block in found):
        require.smollm2()
        monkeypatch.setattr(packaged_models, "load_smollm2", load_once)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    run_blocks(found, {"__name__": "__page__"})


def test_every_documented_command_exists_with_its_options() -> None:
    found = commands("infercache")
    assert found
    for page, words in found:
        check_command(name(page), words[1:])


def check_command(page: str, words: list[str]) -> None:
    """Parse as the command line does, without running anything."""
    context = click.Context(infercache)
    rest = list(words)
    options = {option: one for one in infercache.params for option in one.opts}
    while rest and rest[0].startswith("--"):
        option = options[rest.pop(0)]
        if isinstance(option, click.Option) and not option.is_flag:
            rest.pop(0)
    command = infercache.get_command(context, rest[0])
    assert command is not None, f"{page}: infercache {' '.join(words)}"
    known = {option for one in command.params for option in one.opts}
    for word in rest[1:]:
        if word.startswith("--"):
            assert word in known, f"{page}: {rest[0]} has no option {word}"


def test_every_command_is_documented() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages())
    for command in COMMANDS:
        assert f"infercache {command}" in text or f"`{command}`" in text, command


def test_every_documented_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages())
    documented = set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE))
    assert {"demo", "test"} <= documented <= targets


def test_the_settings_reference_is_current() -> None:
    page = ROOT / "docs" / "reference" / "settings.md"
    assert page.read_text(encoding="utf-8") == reference_page(), "out of date: make docs"


@pytest.mark.parametrize("page", pages(), ids=name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    for target in links(page):
        if "://" not in target and not target.startswith("#"):
            path = (page.parent / target.partition("#")[0]).resolve()
            assert path.exists(), f"{name(page)}: {target}"


def test_every_feature_that_works_names_a_test() -> None:
    text = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([A-Z]\d+) \|.*\| (works|in work|open) \| (.*) \|$", text, re.MULTILINE)
    assert len(rows) > 60
    for identifier, state, shown in rows:
        if state == "works":
            assert "test_" in shown, identifier


def test_what_ci_runs_is_what_the_readme_says() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for target in re.findall(r"^make ([a-z]+)", run, re.MULTILINE):
        assert f"make {target}" in readme
