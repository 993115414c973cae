"""The digits of scikit-learn: what is done to an image before, in and after the network."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

from infercache.errors import MissingExtraError

SIDE = 32
_DENOISING_STEPS = 60


def load_digits(limit: int | None) -> tuple[tuple[Any, Any], tuple[Any, list[int]]]:
    """Return (train images, labels), (test images, labels): two thirds and one third.

    Raises:
        MissingExtraError: scikit-learn or torch is not installed.
    """
    for module, package in (("sklearn", "scikit-learn"), ("torch", "torch"), ("scipy", "scipy")):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(f"the demo needs {package}: pip install 'infercache[demo]'")
    from sklearn import datasets

    found = datasets.load_digits()
    images, labels = found.images[:limit], found.target[:limit]
    cut = len(images) * 2 // 3
    return (images[:cut], labels[:cut]), (images[cut:], [int(one) for one in labels[cut:]])


def preprocess(image: Any) -> Any:
    """Enlarge, denoise, upright and even out one 8 x 8 image; some 10 ms of one core.

    Returns:
        float32 array [1, 32, 32] with mean 0.
    """
    import numpy as np
    from scipy import ndimage

    large = ndimage.zoom(image / 16.0, 8, order=3)
    upright = _deskew(_denoise(large))
    surround = ndimage.gaussian_filter(upright, 8.0)
    spread = np.sqrt(ndimage.gaussian_filter((upright - surround) ** 2, 8.0)) + 0.1
    even = (upright - surround) / spread
    small = ndimage.zoom(even, SIDE / even.shape[0], order=1)
    return (small - small.mean()).astype(np.float32)[None]


def _denoise(image: Any) -> Any:
    """Total-variation denoising. Source: Chambolle, J. Math. Imaging and Vision 20, 2004."""
    import numpy as np

    weight, step = 0.08, 0.25
    flow = np.zeros((2, *image.shape))
    inside = image
    for _ in range(_DENOISING_STEPS):
        divergence = -flow.sum(axis=0)
        divergence[1:] += flow[0, :-1]
        divergence[:, 1:] += flow[1, :, :-1]
        inside = image + divergence
        slope = np.zeros_like(flow)
        slope[0, :-1] = np.diff(inside, axis=0)
        slope[1, :, :-1] = np.diff(inside, axis=1)
        norm = np.sqrt((slope**2).sum(axis=0))
        flow = (flow - step * slope) / (1.0 + step / weight * norm)
    return inside


def _deskew(image: Any) -> Any:
    """Shear the image so that its second moments stand upright."""
    import numpy as np
    from scipy import ndimage

    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    mass = np.clip(image, 0.0, None)
    total = mass.sum() + 1e-9
    row, column = (rows * mass).sum() / total, (columns * mass).sum() / total
    lean = ((rows - row) * (columns - column) * mass).sum() / (
        ((rows - row) ** 2 * mass).sum() + 1e-9
    )
    middle = (np.array(image.shape) - 1) / 2
    shear = np.array([[1.0, 0.0], [lean, 1.0]])
    return ndimage.affine_transform(
        image, shear, offset=np.array([row, column]) - shear @ middle, order=3
    )


def make_network() -> tuple[Any, Callable[[Sequence[Any], Any], None]]:
    """Return a small convolutional network, and what teaches it one batch."""
    import numpy as np
    import torch
    from torch import nn

    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * (SIDE // 4) ** 2, 10),
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)

    def learn(batch: Sequence[Any], labels: Any) -> None:
        loss = nn.functional.cross_entropy(
            net(torch.from_numpy(np.stack(batch))), torch.from_numpy(np.asarray(labels))
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return net, learn


def predict(net: Any, batch: Sequence[Any]) -> list[Any]:
    """Return ten scores for each prepared image."""
    import numpy as np
    import torch

    with torch.no_grad():
        return list(net(torch.from_numpy(np.stack(batch))).numpy())


def postprocess(scores: Any) -> dict[str, Any]:
    """Turn ten scores into a label, a confidence, and whether a person should look."""
    import numpy as np

    odds = np.exp(scores - scores.max())
    chances = odds / odds.sum()
    label = int(chances.argmax())
    confidence = float(chances[label])
    return {"label": label, "confidence": confidence, "needs_review": confidence < 0.8}
