from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_package_keeps_the_layer_rule() -> None:
    assert load("check_layers").main(ROOT / "src" / "infercache") == 0


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("tiers/base.py", "from infercache.cache import Cache", "further up"),
        ("tiers/base.py", "def f():\n    import infercache.guards.base", "further up"),
        ("stores/base.py", "from infercache.codecs import base", "siblings"),
        ("guards/base.py", "import infercache as ic", "name the module"),
        ("strange/base.py", "from infercache.key import Key", "no place"),
        ("key.py", "from infercache.settings import resolve", "further up"),
    ],
)
def test_an_import_against_the_rule_is_told_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, part: str
) -> None:
    write(tmp_path, name, text)
    assert load("check_layers").main(tmp_path) == 1
    assert part in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cache.py", "from infercache.tiers.base import Tier"),
        ("cache.py", "from infercache.namespace import Namespace"),
        ("stores/disk.py", "from infercache.stores.base import Store"),
        ("cli/main.py", "import infercache as ic"),
        ("__init__.py", "from infercache.cache import Cache"),
    ],
)
def test_an_import_that_points_down_is_allowed(tmp_path: Path, name: str, text: str) -> None:
    write(tmp_path, name, text)
    assert load("check_layers").main(tmp_path) == 0


def test_the_package_keeps_its_sizes() -> None:
    assert load("check_sizes").main(ROOT / "src") == 0


def test_long_files_and_functions_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check = load("check_sizes")
    body = "".join(f"    x = {number}\n" for number in range(check.FUNCTION_LINES))
    write(tmp_path, "long.py", f'def f():\n    """One.\n\n    Two.\n    """\n{body}')
    assert check.main(tmp_path) == 1
    assert "f() has 71 lines" in capsys.readouterr().out
    write(tmp_path, "long.py", "x = 1\n" * (check.FILE_LINES + 1))
    assert check.main(tmp_path) == 1
    assert "401 lines" in capsys.readouterr().out


def test_importing_the_package_loads_neither_a_framework_nor_a_driver() -> None:
    check = load("check_import")
    _, modules = check.measure()
    assert "infercache" in modules
    assert [name for name in check.FOREIGN if name in modules] == []
