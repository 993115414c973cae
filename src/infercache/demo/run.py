"""Runs both parts of the demo, one after the other."""

from __future__ import annotations

import contextlib
import os
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infercache.demo.bars import Bars
from infercache.demo.images import run_images
from infercache.demo.language import run_language
from infercache.demo.outcome import Outcome
from infercache.errors import SettingError


def run_demo(
    bars: Bars, *, home: Path | None = None, models: Path | None = None, quick: bool = False
) -> Outcome:
    """Run the demo.

    Args:
        bars: Where to show how far it is.
        home: Directory of the cache, which must be empty; None for a temporary one.
        models: Where the dequantised model is kept for later runs; None for the user's cache
            directory.
        quick: Fewer questions and images.

    Raises:
        SettingError: `home` is not empty: what is in it would make the cold times warm.
        MissingExtraError: something is not installed.
    """
    with _home(home) as directory:
        language = run_language(
            directory / "language", models or default_models(), bars, quick=quick
        )
        images = run_images(directory / "images", bars, quick=quick)
    return Outcome(language, images, _machine())


@contextlib.contextmanager
def _home(home: Path | None) -> Iterator[Path]:
    if home is None:
        with tempfile.TemporaryDirectory(prefix="infercache-demo-") as temporary:
            yield Path(temporary)
        return
    home.mkdir(parents=True, exist_ok=True)
    if any(home.iterdir()):
        raise SettingError(
            f"--path {home} is not empty: the demo compares an empty cache with a filled one; "
            "give a new directory"
        )
    yield home


def default_models() -> Path:
    """Return where models are kept for later runs."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "infercache-models"


def _machine() -> dict[str, Any]:
    import torch

    return {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
