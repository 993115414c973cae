"""The second epoch over a dataset whose transform is cached, against the first and joblib.

scikit-learn's digits, each enlarged to 256 x 256 and normalised: a few milliseconds of real
preprocessing an item.

    python benchmarks/dataset_epochs.py [--items 300] [--json PATH]
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
from measure import paired, report
from PIL import Image
from sklearn.datasets import load_digits

import infercache as ic


def enlarge(image: Any) -> Any:
    """Return a digit as a normalised image of 256 x 256."""
    picture = Image.fromarray((image * 15.9).astype(np.uint8)).resize((256, 256), Image.LANCZOS)
    pixels = np.asarray(picture.rotate(3, Image.BICUBIC), np.float32) / 255
    return (pixels - pixels.mean()) / (pixels.std() + 1e-6)


def main() -> None:
    """Print the second epoch, the first, and joblib's second."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--json")
    options = parser.parse_args()
    images = list(load_digits().images[: options.items])
    results = []
    with tempfile.TemporaryDirectory() as directory:
        peers: dict[str, Callable[[], object]] = {
            "without a cache": lambda: [enlarge(image) for image in images]
        }
        if importlib.util.find_spec("joblib") is not None:
            import joblib

            kept = joblib.Memory(f"{directory}/joblib", verbose=0).cache(enlarge)
            peers["joblib.Memory"] = lambda: [kept(image) for image in images]
        tiers = {
            "memory": ic.Memory("200MB"),
            "disk": ic.Disk(f"{directory}/disk", "400MB"),
        }
        for name, tier in tiers.items():
            with ic.Cache(tier) as cache:
                data = ic.CachedDataset(images, enlarge, cache, version="1")

                def epoch(data: Any = data) -> object:
                    return data.__getitems__(list(range(len(data))))

                epoch()
                question = f"second epoch from {name}"
                results.append(paired(epoch, peers, 7, question=question, per_call=len(images)))
    report(results, "dataset_epochs", options.json)


if __name__ == "__main__":
    main()
