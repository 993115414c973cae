"""The image part: handwritten digits through preprocessing, a small network, postprocessing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from infercache.cache import Cache
from infercache.demo import digits
from infercache.demo.bars import Bars
from infercache.demo.outcome import ImagesOutcome
from infercache.tiers.specs import Disk, Memory

_BATCH = 64
Pipeline = Callable[[Sequence[Any]], list[Any]]


def run_images(home: Path, bars: Bars, *, quick: bool) -> ImagesOutcome:
    """Train a small network on the spot, then predict three times.

    Args:
        home: An empty directory for the cache.
        bars: Where to show how far it is.
        quick: 120 images instead of 1,797.

    Raises:
        MissingExtraError: torch or scikit-learn is not installed.
    """
    (train, labels), (test, truth) = digits.load_digits(120 if quick else None)
    with Cache(Memory(), Disk(home)) as cache:
        prepare = cache.memoize(digits.preprocess, name="digits/preprocess")
        epochs = 2 if quick else 4
        net, epochs_s = _train(prepare, train, labels, epochs, bars)
        bare = _pipeline(digits.preprocess, lambda batch: digits.predict(net, batch), _each)
        cached = _cached_pipeline(cache, prepare, net)
        advance = bars.start("predict: without, with empty, with filled cache", 3)
        passes = [_timed(run, test, advance) for run in (bare, cached, cached)]
    predictions = [[one["label"] for one in answers] for answers, _ in passes]
    right = sum(a == b for a, b in zip(predictions[0], truth, strict=True))
    return ImagesOutcome(
        (len(train), len(test)),
        epochs_s,
        [seconds for _, seconds in passes],
        predictions,
        right / len(truth),
    )


def _train(
    prepare: Callable[[Any], Any], images: Sequence[Any], labels: Any, epochs: int, bars: Bars
) -> tuple[Any, list[float]]:
    """Return the trained network and the seconds of each epoch, preprocessing included."""
    net, learn = digits.make_network()
    advance = bars.start("train: the first epoch preprocesses", epochs)
    seconds = []
    for _ in range(epochs):
        began_at = time.perf_counter()
        for first in range(0, len(images), _BATCH):
            batch = [prepare(image) for image in images[first : first + _BATCH]]
            learn(batch, labels[first : first + _BATCH])
        seconds.append(time.perf_counter() - began_at)
        advance()
    net.eval()
    return net, seconds


def _cached_pipeline(cache: Cache, prepare: Callable[[Any], Any], net: Any) -> Pipeline:
    """Return the pipeline with every stage skipped where its result is known."""
    weights = {name: value.numpy() for name, value in net.state_dict().items()}
    scores = cache.namespace("digits/scores", version=cache.key(weights).hex)
    postprocess = cache.memoize(digits.postprocess, name="digits/postprocess")

    def predict(batch: Sequence[Any]) -> list[Any]:
        return scores.get_or_compute_many(batch, lambda missing: digits.predict(net, missing))

    return _pipeline(prepare, predict, lambda rows: [postprocess(row) for row in rows])


def _pipeline(
    prepare: Callable[[Any], Any],
    predict: Callable[[Sequence[Any]], list[Any]],
    finish: Callable[[Sequence[Any]], list[Any]],
) -> Pipeline:
    def run(images: Sequence[Any]) -> list[Any]:
        answers: list[Any] = []
        for first in range(0, len(images), _BATCH):
            prepared = [prepare(image) for image in images[first : first + _BATCH]]
            answers += finish(predict(prepared))
        return answers

    return run


def _each(rows: Sequence[Any]) -> list[Any]:
    return [digits.postprocess(row) for row in rows]


def _timed(
    run: Pipeline, images: Sequence[Any], advance: Callable[[], None]
) -> tuple[list[Any], float]:
    began_at = time.perf_counter()
    answers = run(images)
    seconds = time.perf_counter() - began_at
    advance()
    return answers, seconds
