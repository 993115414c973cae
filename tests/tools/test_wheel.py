from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=1200)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.drill
@pytest.mark.timeout(1800)
def test_the_wheel_installs_into_a_fresh_environment(tmp_path: Path, require: Any) -> None:
    """One wheel for every Python from 3.10, typed, with the command and the report's template."""
    require.program("cargo", "https://rustup.rs")
    require.module("pip")
    python = sys.executable
    run(python, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), ".", cwd=ROOT)
    wheel = next(tmp_path.glob("*.whl"))
    assert "-cp310-abi3-" in wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("py.typed", "_core.abi3.so", "_core.pyi", "report/demo.html", "cli/main.py"):
        assert f"infercache/{name}" in names
    run(python, "-m", "venv", str(tmp_path / "venv"), cwd=tmp_path)
    scripts = tmp_path / "venv" / "bin"
    run(str(scripts / "pip"), "install", "-q", f"{wheel}[cli]", cwd=tmp_path)
    # Isolated (-I), so that neither the source tree nor PYTHONPATH can stand in for the wheel.
    code = "import infercache as ic; c = ic.Cache(); c.put('a', 1); print(c.get('a'), ic.__file__)"
    printed = run(str(scripts / "python"), "-I", "-c", code, cwd=tmp_path)
    assert printed.startswith("1 ")
    assert str(tmp_path) in printed
    assert "infercache" in run(
        str(scripts / "python"), "-I", str(scripts / "infercache"), "version", cwd=tmp_path
    )
