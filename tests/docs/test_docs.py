from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
from pages import ROOT, Block, blocks, commands, links, pages

from infercache.cli.group import COMMANDS, infercache
from infercache.settings.schema import reference_page

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


@pytest.mark.model
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
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
