"""Datasets whose transform is cached, through real data loaders."""

from __future__ import annotations

import functools
import os
import pickle
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_sample_images

import infercache as ic
from infercache.errors import SettingError, UnkeyableError


def halve(item: Any) -> Any:
    """A deterministic transform."""
    image, label = item
    return (np.asarray(image, np.float32) / 16.0)[::2, ::2].copy(), int(label)


def note_and_halve(log: str, item: Any) -> Any:
    """The same, leaving a line for each computation, also from another process."""
    with open(log, "ab", buffering=0) as file:
        file.write(b"%d\n" % os.getpid())
    return halve(item)


def fail_on_three(item: int) -> int:
    if item == 3:
        raise ZeroDivisionError("three is not allowed")
    return item


def computations(log: Path) -> int:
    return len(log.read_bytes().splitlines()) if log.exists() else 0


class Digits:
    """scikit-learn's digits as a map-style dataset."""

    def __init__(self, count: int) -> None:
        digits = load_digits()
        self.items = list(zip(digits.images[:count], digits.target[:count], strict=True))
        self.reads = 0

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        self.reads += 1
        return self.items[index]


def same(one: Any, other: Any) -> bool:
    return bool(np.array_equal(one[0], other[0]) and one[1] == other[1])


def test_second_pass_skips_the_transform(tmp_path: Path) -> None:
    digits, log = Digits(50), tmp_path / "log"
    with ic.Cache(ic.Memory("16MB")) as cache:
        data = ic.CachedDataset(
            digits, functools.partial(note_and_halve, str(log)), cache, version="1"
        )
        first = [data[index] for index in range(len(data))]
        again = [data[index] for index in range(len(data))]
    assert computations(log) == len({image.tobytes() for image, _ in digits.items})
    expected = [halve(item) for item in digits.items]
    assert all(same(*pair) for pair in zip(first, expected, strict=True))
    assert all(same(*pair) for pair in zip(again, expected, strict=True))


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_loader_workers_share_one_cache(tmp_path: Path, start_method: str) -> None:
    """Two epochs with two workers compute each item once, whichever worker asks."""
    import torch
    from torch.utils.data import DataLoader

    log = tmp_path / "log"
    with ic.Cache(ic.Disk(tmp_path / "cache", "64MB")) as cache:
        data = ic.CachedDataset(
            Digits(40), functools.partial(note_and_halve, str(log)), cache, version="1"
        )
        loader: Any = DataLoader(
            data,  # type: ignore[arg-type, unused-ignore]
            batch_size=8,
            num_workers=2,
            shuffle=True,
            generator=torch.Generator().manual_seed(7),
            multiprocessing_context=start_method,
        )
        epochs = [list(loader) for _ in range(2)]
    assert computations(log) == 40
    assert {int(line) for line in log.read_bytes().splitlines()} - {os.getpid()}
    sums = [sum(float(images.sum()) for images, _ in epoch) for epoch in epochs]
    expected = sum(float(halve(item)[0].sum()) for item in Digits(40).items)
    assert sums == pytest.approx([expected, expected], rel=1e-5)


def test_with_identity_the_raw_item_is_not_read_on_a_hit() -> None:
    digits = Digits(10)
    with ic.Cache(ic.Memory("16MB")) as cache:
        data = ic.CachedDataset(digits, halve, cache, identity="digits-10")
        first = data.__getitems__(list(range(10)))
        assert digits.reads == 10
        assert all(same(data[index], first[index]) for index in range(10))
        assert same(data[-1], first[9])
    assert digits.reads == 10


def test_identities_and_versions_and_namespaces_are_apart() -> None:
    with ic.Cache(ic.Memory("1MB")) as cache:

        def made(add: int, **options: Any) -> list[int]:
            data = ic.CachedDataset([1, 2], lambda n: n + add, cache, **options)
            return [data[0], data[1]]

        assert made(0, version="a", identity="x") == [1, 2]
        assert made(10, version="b", identity="x") == [11, 12]
        assert made(20, version="a", identity="y") == [21, 22]
        assert made(30, version="a", identity="x", namespace="other") == [31, 32]
        assert made(40, version="a", identity="x") == [1, 2]
        assert made(50) == [51, 52]  # version="auto" covers what the closure holds
        assert made(60) == [61, 62]


def test_batch_computes_only_what_is_missing_and_duplicates_once(tmp_path: Path) -> None:
    digits, log = Digits(6), tmp_path / "log"
    with ic.Cache(ic.Memory("16MB")) as cache:
        transform = functools.partial(note_and_halve, str(log))
        data = ic.CachedDataset(digits, transform, cache, version="1")
        data[2]
        batch = data.__getitems__([5, 2, 5, 0])
    assert computations(log) == 3
    expected = [halve(digits.items[index]) for index in (5, 2, 5, 0)]
    assert all(same(*pair) for pair in zip(batch, expected, strict=True))


@pytest.mark.parametrize("identity", [None, "numbers"])
@pytest.mark.parametrize("batched", [False, True])
def test_transform_error_reaches_the_caller_with_the_index(batched: bool, identity: Any) -> None:
    with ic.Cache(ic.Memory("1MB")) as cache:
        data = ic.CachedDataset(list(range(5)), fail_on_three, cache, identity=identity)
        with pytest.raises(ZeroDivisionError) as caught:
            _ = data.__getitems__([2, 3]) if batched else data[3]
        shown = "".join(traceback.format_exception(caught.value))
        assert "item 3 of list" in shown
        assert "three is not allowed" in shown
        assert data[2] == 2
        with pytest.raises(IndexError):
            data[5 if identity is None else 50]


def test_worker_error_reaches_the_main_process_with_the_index(tmp_path: Path) -> None:
    from torch.utils.data import DataLoader

    with ic.Cache(ic.Disk(tmp_path / "cache", "16MB")) as cache:
        data = ic.CachedDataset(list(range(5)), fail_on_three, cache)
        loader: Any = DataLoader(data, num_workers=1)  # type: ignore[arg-type, unused-ignore]
        with pytest.raises(ZeroDivisionError, match="three is not allowed") as caught:
            list(loader)
    assert "item 3 of list" in str(caught.value)


def test_writing_into_an_item_does_not_write_into_the_cache(tmp_path: Path) -> None:
    for tier in (ic.Memory("16MB"), ic.Disk(tmp_path / "cache", "16MB")):
        with ic.Cache(tier) as cache:
            data = ic.CachedDataset([np.ones(4)], np.negative, cache, version="1")
            for _ in range(3):
                item = data[0]
                assert item.tolist() == [-1.0] * 4
                item += 5
            shared = ic.CachedDataset([np.ones(4)], np.negative, cache, version="1", copy=False)
            assert shared[0].tolist() == [-1.0] * 4


def test_plain_loop_ends(tmp_path: Path) -> None:
    """A sequence without __iter__ is iterated by index until IndexError."""
    with ic.Cache(ic.Memory("1MB")) as cache:
        data: Any = ic.CachedDataset([1, 2, 3], fail_on_three, cache, version="1")
        numbers = iter(data)
        assert [next(numbers), next(numbers)] == [1, 2]
        words: Any = ic.CachedDataset([1, 2], str, cache, version="2")
        assert list(words) == ["1", "2"]


def test_pickled_dataset_finds_the_same_values(tmp_path: Path) -> None:
    log = tmp_path / "log"
    transform = functools.partial(note_and_halve, str(log))
    with ic.Cache(ic.Disk(tmp_path / "cache", "64MB")) as cache:
        data = ic.CachedDataset(Digits(3), transform, cache, version="1")
        first = data[1]
        cache.flush()
        copy = pickle.loads(pickle.dumps(data))
        assert same(copy[1], first)
        copy.space._stack.close()
    assert computations(log) == 1


def test_images_keep_their_dtype_on_disk(tmp_path: Path) -> None:
    images = load_sample_images().images
    for _ in range(2):
        with ic.Cache(ic.Disk(tmp_path / "cache", "64MB")) as cache:
            data = ic.CachedDataset(images, lambda image: image[::4, ::4].copy(), cache)
            small = data[1]
            assert small.dtype == np.uint8
            assert np.array_equal(small, images[1][::4, ::4])


def test_torch_module_as_transform_is_known_by_its_weights() -> None:
    import torch

    items = [torch.ones(2), torch.zeros(2)]
    with ic.Cache(ic.Memory("1MB")) as cache:
        for scale in (1.0, 2.0):
            layer = torch.nn.Linear(2, 1).eval()
            with torch.no_grad():
                layer.weight.fill_(scale)
                layer.bias.zero_()
                data = ic.CachedDataset(items, layer, cache)
                assert float(data[0]) == 2 * scale


def test_what_is_no_dataset_is_refused_in_one_sentence() -> None:
    with ic.Cache(ic.Memory("1MB")) as cache:
        with pytest.raises(SettingError, match="generator is not a map-style dataset"):
            ic.CachedDataset((n for n in [1]), halve, cache)  # type: ignore[arg-type]
        with pytest.raises(SettingError, match="is not a function"):
            ic.CachedDataset([1], "halve", cache)  # type: ignore[arg-type]
        with pytest.raises(UnkeyableError):
            ic.CachedDataset([1], functools.partial(halve, object()), cache)


def test_key_of_an_array_survives_pickling() -> None:
    """Spawned workers get their dataset pickled: its dtypes are no longer the builtin objects."""
    space = ic.KeySpace("", "dataset", "1")
    for dtype in (np.float64, np.int16, "<U3", "datetime64[s]"):
        array = np.zeros(3, dtype)
        assert space.key(pickle.loads(pickle.dumps(array))) == space.key(array)
