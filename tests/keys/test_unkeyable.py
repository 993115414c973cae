"""What has no content key is refused with its type, its place and what to do."""

from __future__ import annotations

import dataclasses
import io
import random
import threading
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import polars as pl
import pytest
import torch

from infercache import KeySpace
from infercache.errors import UnkeyableError

SPACE = KeySpace("", "test", "1")


@dataclasses.dataclass
class Options:
    handle: Any


PLACES = [
    (threading.Lock(), "argument 'config': type '_thread.lock' has no content key"),
    ({"opts": [1, 2, Options(threading.Lock())]}, "argument 'config'['opts'][2].handle: type"),
    ([(1, {object()})], "argument 'config'[0][1] (one of its members): type 'builtins.object'"),
    ({Options: {object(): 1}}, "(its key <object object at"),
    (Options({"a": Options(object())}), "argument 'config'.handle['a'].handle: type"),
    (pd.DataFrame({"x": [1], "y": [object()]}), "argument 'config'['y'][0]: type"),
    ({"k" * 90: object()}, "argument 'config'['" + "k" * 39 + "...]: type"),
]


@pytest.mark.parametrize(("value", "message"), PLACES, ids=range(len(PLACES)))
def test_the_message_says_where(value: Any, message: str) -> None:
    with pytest.raises(UnkeyableError) as raised:
        SPACE.digest(value, "argument 'config'")
    assert message in str(raised.value)


def test_the_message_says_how_to_register() -> None:
    with pytest.raises(UnkeyableError, match=r"infercache\.register_key\(lock,.*ignore="):
        SPACE.digest(threading.Lock())


REFUSED = [
    ((n for n in [1]), "read only once"),
    (map(str, []), "read only once"),
    (io.BytesIO(b"x"), "open file"),
    (random.Random(1), "pass the seed"),
    (np.random.default_rng(1), "pass the seed"),
    (np.random.RandomState(1), "pass the seed"),
    (np.random.PCG64(1), "pass the seed"),
    (torch.Generator(), "pass the seed"),
    (torch.nn.Linear(1, 1), "fingerprint of the model into version="),
    (torch.zeros(2, device="meta"), "meta tensor"),
    (torch.nested.nested_tensor([torch.zeros(1)], layout=torch.jagged), "nested tensor"),
    (pl.LazyFrame({"a": [1]}), "frame.collect"),
    (pl.Series([object()], dtype=pl.Object), "Python objects"),
    (type("Local", (), {}), "cannot be found under its name"),
    (np.frompyfunc(abs, 1, 1), "not one of NumPy's own"),
    (type("Sub", (pd.Series,), {})([1]), "extends 'pandas"),
    (iter([]), "list_iterator' has no content key"),
    (ValueError("x"), "ValueError' has no content key"),
]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("value", "message"), REFUSED, ids=lambda value: type(value).__name__)
def test_what_cannot_be_keyed_says_what_to_pass_instead(value: Any, message: str) -> None:
    with pytest.raises(UnkeyableError, match=message):
        SPACE.digest(value)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_quantised_tensor_is_refused() -> None:
    tensor = torch.quantize_per_tensor(torch.zeros(2), 1.0, 0, torch.qint8)
    with pytest.raises(UnkeyableError, match="quantised"):
        SPACE.digest(tensor)


def test_an_animation_is_refused() -> None:
    file = io.BytesIO()
    frames = [PIL.Image.new("L", (2, 2), shade) for shade in (0, 99, 200)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    file.seek(0)
    with PIL.Image.open(file) as image, pytest.raises(UnkeyableError, match="3 frames"):
        SPACE.digest(image)


def test_a_dataclass_over_a_class_with_hidden_state_is_refused() -> None:
    @dataclasses.dataclass
    class Trouble(Exception):
        code: int

    with pytest.raises(UnkeyableError, match="Trouble"):
        SPACE.digest(Trouble(1))
