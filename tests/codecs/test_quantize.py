"""int8: the error stays within the stated bound, and what has no bound is kept as it is."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from infercache.codecs import make_codec
from infercache.codecs.base import Codec
from infercache.codecs.quantize import Int8Codec
from infercache.errors import SettingError
from infercache.testing.codec_kit import CodecKit, body_of, same

# No absolute timing: the machine may be busy.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

EPS = {"torch.bfloat16": 2.0**-7, "torch.float16": 2.0**-10, "torch.float32": 2.0**-23}
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, max_side=40)


def around(value: Any, group: int) -> Any:
    codec = Int8Codec(group)
    return codec.decode(body_of(codec.encode({"x": value})))["x"]


def bound(wide: Any, group: int, eps: float) -> Any:
    """Return the promise for every item, computed the slow and obvious way in float64."""
    rows = wide.reshape(-1, wide.shape[-1])
    size = group or rows.shape[1]
    bounds = np.empty_like(rows)
    for start in range(0, rows.shape[1], size):
        largest = np.abs(rows[:, start : start + size]).max(axis=1, keepdims=True)
        # Times one plus a few units in the last place: the arithmetic itself rounds.
        bounds[:, start : start + size] = (largest / 254 + largest * eps / 2) * (1 + 1e-6)
    return bounds.reshape(wide.shape)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
@PATIENT
@given(data=st.data(), group=st.sampled_from([0, 1, 7, 64]))
def test_the_error_stays_within_the_bound(dtype: str, data: st.DataObject, group: int) -> None:
    array = data.draw(hnp.arrays(dtype, SHAPES))
    back = around(array, group)
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    if array.size < 32 or not np.isfinite(array).all():
        assert same(back, array)
        return
    wide = array.astype(np.float64)
    error = np.abs(back.astype(np.float64) / 2 - wide / 2) * 2
    assert (error <= bound(wide, group, float(np.finfo(array.dtype).eps))).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("group", [0, 5, 64])
@pytest.mark.parametrize("scale", [1e-40, 1e-6, 1.0, 1e4])
def test_tensors_keep_dtype_and_bound(dtype: torch.dtype, group: int, scale: float) -> None:
    tensor = (torch.randn(4, 3, 70) * scale).to(dtype)
    back = around(tensor, group)
    assert back.dtype == dtype
    wide = tensor.double().numpy()
    error = np.abs(back.double().numpy() - wide)
    # Below the normal numbers of a dtype its rounding is absolute, not relative.
    tiny = float(torch.finfo(dtype).smallest_normal) * EPS[str(dtype)] / 2
    assert (error <= bound(wide, group, EPS[str(dtype)]) + tiny).all()


@pytest.mark.parametrize("odd", [float("inf"), float("-inf"), float("nan"), 3e38])
def test_arrays_without_a_bound_are_kept_as_they_are(odd: float) -> None:
    array = np.ones((4, 64), np.float32)
    array[2, 5] = odd
    assert same(around(array, 64), array)
    assert same(around(torch.from_numpy(array), 64), torch.from_numpy(array))


def test_zeros_stay_zeros() -> None:
    assert same(around(np.zeros((3, 50), np.float32), 64), np.zeros((3, 50), np.float32))


def test_everything_that_is_no_float_array_is_lossless() -> None:
    value = {"i": np.arange(100), "f": 0.1, "b": torch.ones(64, dtype=torch.bool), "n": [None]}
    assert same(around(value, 64), value)


def test_it_shrinks_to_about_a_quarter() -> None:
    array = np.random.default_rng(0).standard_normal((64, 4096)).astype(np.float32)
    assert len(body_of(Int8Codec(64).encode(array))) < array.nbytes * 0.28


def test_group_sizes_are_checked() -> None:
    with pytest.raises(SettingError, match="at least 1 item"):
        make_codec("int8:-1")


class TestInt8(CodecKit):
    values: ClassVar[list[Any]] = [
        {"t": torch.linspace(-1, 1, 640).reshape(5, 128), "n": np.linspace(0, 9, 99)},
        np.arange(100),
        [1, 2.5, "text"],
    ]
    refused: ClassVar[list[Any]] = [object(), np.array([object()])]

    def make(self) -> Codec:
        return make_codec("int8+zstd")

    def within_bound(self, value: Any, back: Any) -> bool:
        if isinstance(value, dict):
            near = [float(abs(value[name] - back[name]).max()) < 0.05 for name in value]
            return all(near) and [one.dtype for one in value.values()] == [
                one.dtype for one in back.values()
            ]
        return same(value, back)
