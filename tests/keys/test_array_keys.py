"""Keys of NumPy arrays, torch tensors and PIL images."""

from __future__ import annotations

import io
import tracemalloc
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from infercache import KeySpace
from infercache.errors import UnkeyableError

SPACE = KeySpace("", "test", "1", algorithm="xxh3")
GRID = np.arange(24, dtype=np.float32).reshape(4, 6)


class Units(np.ndarray[Any, Any]):
    unit: str


def with_unit(unit: str) -> Units:
    array = np.arange(3).view(Units)
    array.unit = unit
    return array


def assert_all_differ(values: list[Any]) -> None:
    digests: dict[bytes, Any] = {}
    for value in values:
        digest = SPACE.digest(value)
        assert digest not in digests, f"{value!r} has the key of {digests[digest]!r}"
        digests[digest] = value


def assert_all_equal(values: list[Any]) -> None:
    assert len({SPACE.digest(value) for value in values}) == 1


def test_arrays_of_other_dtype_shape_or_items_differ() -> None:
    record = np.dtype([("a", "i1"), ("b", "f8")])
    assert_all_differ(
        [
            *(np.zeros(8, dtype) for dtype in ("i1", "u1", "i8", "f8", "?", "c8", "S1", "U1")),
            *(np.zeros(8, dtype) for dtype in ("M8[s]", "M8[ns]", "m8[s]", "V1", "O", record)),
            *(np.zeros(shape) for shape in ((), (1,), (0,), (0, 3), (3, 0), (2, 4), (4, 2))),
            np.arange(8, dtype=">i8"),
            np.arange(8, dtype="<i8"),
            np.array(["a", "bc"]),
            np.array(["a", "bc"], dtype=object),
            np.array(["a", "bc"], dtype=np.dtypes.StringDType()),
            np.array([1, "a", None], dtype=object),
            np.array([[1], ["a"], [None]], dtype=object),
            np.zeros(8, record)[:0],
            np.zeros(8, record.newbyteorder()),
            np.zeros(1, [("a", "i4", (2,))]),
            np.zeros(1, [("a", "i4", (2, 1))]),
            list(range(8)),
            np.ma.array([1, 2], mask=[False, True]),
            np.ma.array([1, 2], mask=[False, False]),
            np.ma.array([1, 2], mask=[False, True], fill_value=7),
            np.arange(3).view(Units),
            with_unit("m"),
            with_unit("s"),
            np.arange(3),
            np.arange(3).view(np.recarray),
        ]
    )


def test_scalars_dtypes_and_functions_differ() -> None:
    assert_all_differ(
        [
            1.0, np.float64(1), np.float32(1), np.int64(1), np.bool_(True), True, 1, np.str_("a"),
            "a", np.bytes_(b"a"), np.datetime64("2024-01-01"), np.datetime64("2024-01-01", "s"),
            np.timedelta64(1, "s"), np.array(1.0), np.zeros(2, [("a", "i1")])[0],
            np.dtype("f4"), np.dtype(">f4"), np.float32, np.dtype([("a", "i1")]), "float32",
            np.dtype([("a", "i1"), ("b", "i8")]), np.dtype([("a", "i1"), ("b", "i8")], align=True),
            np.sin, np.cos,
        ]
    )  # fmt: skip


def test_how_memory_is_laid_out_does_not_count(tmp_path: Any) -> None:
    wide = np.zeros((8, 12), np.float32)
    wide[::2, ::2] = GRID
    frozen = GRID.copy()
    frozen.flags.writeable = False
    assert_all_equal(
        [GRID, GRID.copy(), np.asfortranarray(GRID), wide[::2, ::2], GRID[::-1][::-1], frozen]
    )
    assert_all_equal([GRID.T, GRID.T.copy()])
    mapped = np.memmap(tmp_path / "one", np.float32, "w+", shape=(4, 6))
    other = np.memmap(tmp_path / "two", np.float32, "w+", shape=(4, 6))
    assert_all_equal([mapped, other])


def test_bytes_between_the_fields_of_a_record_do_not_count() -> None:
    padded = np.dtype([("a", "i1"), ("b", "f8")], align=True)
    noise = np.frombuffer(bytearray(range(32)), padded)
    clean = np.zeros(2, padded)
    clean["a"], clean["b"] = noise["a"], noise["b"]
    assert noise.tobytes() != clean.tobytes()
    assert_all_equal([noise, clean])


@settings(max_examples=100)
@given(st.data())
def test_arrays_have_equal_keys_exactly_if_dtype_shape_and_bytes_are(data: st.DataObject) -> None:
    shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
    dtypes = st.sampled_from(["<i2", ">i2", "<f4", "?", "S2", "<M8[s]"])
    arrays = hnp.arrays(dtypes, shapes)
    left, right = data.draw(arrays), data.draw(arrays)
    same = (left.dtype.str, left.shape, left.tobytes()) == (
        right.dtype.str,
        right.shape,
        right.tobytes(),
    )
    assert (SPACE.digest(left) == SPACE.digest(right)) == same


def test_a_large_array_is_hashed_where_it_is() -> None:
    array, tensor = np.zeros(8 << 20, np.uint8), torch.zeros(8 << 20, dtype=torch.uint8)
    SPACE.digest([array[:1], tensor[:1]])  # loads the encoders
    tracemalloc.start()
    SPACE.digest({"array": array, "tensor": tensor})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_tensors_of_other_dtype_shape_or_items_differ() -> None:
    dtypes = [
        torch.float32, torch.int32, torch.bfloat16, torch.float16, torch.int16, torch.bool,
        torch.uint8, torch.int8, torch.float8_e4m3fn, torch.float8_e5m2, torch.complex64,
    ]  # fmt: skip
    assert_all_differ(
        [
            *(torch.zeros(4, dtype=dtype) for dtype in dtypes),
            *(torch.zeros(shape) for shape in ((), (1,), (0,), (0, 3), (3, 0), (2, 3), (3, 2))),
            torch.ones(4),
            -torch.zeros(4),
            torch.nn.Parameter(torch.zeros(4)),
            np.zeros(4, np.float32),
            torch.eye(2),
            torch.eye(2).to_sparse(),
            (2 * torch.eye(2)).to_sparse(),
        ]
    )


@pytest.mark.filterwarnings("ignore:Sparse")
def test_sparse_layouts_differ_and_keep_their_content() -> None:
    dense = torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    layouts = [dense, dense.to_sparse(), dense.to_sparse_csr(), dense.to_sparse_csc()]
    assert_all_differ([*layouts, (2 * dense).to_sparse_csr()])
    twice = torch.sparse_coo_tensor([[0, 0], [1, 1]], [0.5, 0.5], (2, 2), check_invariants=True)
    once = torch.sparse_coo_tensor([[0], [1]], [1.0], (2, 2), check_invariants=True)
    assert_all_equal([twice, once])


def test_strides_gradients_and_views_of_a_tensor_do_not_count() -> None:
    tensor = torch.from_numpy(GRID.copy())
    wide = torch.zeros(8, 12)
    wide[::2, ::2] = tensor
    tracked = tensor.clone().requires_grad_()
    assert_all_equal(
        [tensor, tensor.clone(), tensor.t().contiguous().t(), wide[::2, ::2], tracked, tracked * 1]
    )
    numbers = torch.tensor([1 + 2j, 3 - 4j])
    assert_all_equal([numbers.conj(), numbers.conj().resolve_conj()])
    assert_all_equal([numbers.conj().imag, numbers.conj().imag.clone()])


def test_the_small_types_of_torch_differ() -> None:
    assert_all_differ(
        [
            torch.float32, torch.float16, torch.device("cpu"), torch.device("cuda:0"), "cpu",
            torch.Size([1, 2]), (1, 2), torch.strided, torch.channels_last,
        ]
    )  # fmt: skip


def test_a_tensor_whose_items_cannot_be_read_is_refused() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        fake = torch.zeros(3)
    with pytest.raises(UnkeyableError, match=r"FakeTensor|meta"):
        SPACE.digest(fake)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_tensor_on_a_gpu_is_keyed_by_its_content() -> None:
    assert_all_equal([torch.ones(3, device="cuda"), torch.ones(3, device="cuda").clone()])
    assert_all_differ([torch.ones(3, device="cuda"), torch.zeros(3, device="cuda"), torch.ones(3)])


def picture(mode: str = "RGB", size: tuple[int, int] = (4, 3), **info: Any) -> PIL.Image.Image:
    image = PIL.Image.new(mode, size)
    image.info.update(info)
    return image


def test_images_of_other_mode_size_palette_or_pixels_differ() -> None:
    changed, palette, turned = picture(), picture("P"), picture()
    changed.putpixel((0, 0), (1, 2, 3))
    palette.putpalette([9, 9, 9])
    turned.getexif()[0x0112] = 6
    modes = ("1", "L", "P", "RGB", "RGBA", "CMYK", "I", "F", "I;16", "LA")
    assert_all_differ(
        [
            *map(picture, modes),
            *(picture(size=size) for size in ((3, 4), (12, 1), (0, 0))),
            changed,
            palette,
            turned,
            picture(transparency=(0, 0, 0)),
            picture(icc_profile=b"profile"),
        ]
    )


def test_the_file_of_an_image_does_not_count(tmp_path: Any) -> None:
    image = PIL.Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    image.save(tmp_path / "one.png", compress_level=0)
    image.save(tmp_path / "two.png", compress_level=9)
    image.save(tmp_path / "three.bmp")
    memory = io.BytesIO((tmp_path / "one.png").read_bytes())
    opened = [PIL.Image.open(tmp_path / name) for name in ("one.png", "two.png", "three.bmp")]
    opened.append(PIL.Image.open(memory))
    assert_all_equal([image, *opened])
    for file in opened:
        file.close()
