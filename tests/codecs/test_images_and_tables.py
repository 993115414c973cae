"""PIL images, Arrow and pandas tables inside plain values."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

from infercache.codecs.plain import PlainCodec
from infercache.errors import EncodeError
from infercache.testing.codec_kit import body_of, decodes

CODEC = PlainCodec()


def around(value: Any) -> Any:
    return CODEC.decode(body_of(CODEC.encode([value])))[0]


def picture(mode: str, size: tuple[int, int] = (5, 3)) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    colours = Image.fromarray(noise)
    if mode in ("LAB", "HSV", "YCbCr", "CMYK", "P", "1", "L", "F", "I", "RGBA", "RGBX", "LA"):
        return colours.convert(mode)
    return Image.new(mode, size, 7)


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "LA", "RGB", "YCbCr", "HSV", "RGBA", "CMYK", "I", "F", "I;16"]
)
def test_images_come_back(mode: str) -> None:
    image = picture(mode)
    image.info = {"transparency": 3, "exif": b"Exif", "dpi": (72, 72)}
    back = around(image)
    assert type(back) is Image.Image
    assert (back.mode, back.size, back.info) == (image.mode, image.size, image.info)
    assert back.tobytes() == image.tobytes()
    assert back.getpalette() == image.getpalette()
    bands = len(back.getbands())
    back.putpixel((0, 0), 0 if bands == 1 else (0,) * bands)
    assert around(image).tobytes() == image.tobytes()


def test_empty_images_come_back() -> None:
    assert around(Image.new("RGB", (0, 4))).size == (0, 4)


def test_an_opened_file_must_be_copied_first() -> None:
    file = io.BytesIO()
    picture("RGB").save(file, "PNG")
    opened = Image.open(file)
    with pytest.raises(EncodeError, match="copy"):
        CODEC.encode(opened)
    assert around(opened.copy()).tobytes() == picture("RGB").tobytes()


def test_an_image_cannot_claim_more_pixels_than_it_has() -> None:
    body = bytes(body_of(CODEC.encode(Image.new("L", (5, 3)))))
    place = body.index(b"\xa1L\x05\x03") + 2
    assert not decodes(CODEC, memoryview(body[:place] + b"\x7f" + body[place + 1 :]))


TABLE = pa.table({"a": [1, 2, None], "b": ["x", "y", "z"], "c": [[1.0], [], None]})
FRAMES = [
    pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": [1.5, float("nan")]}),
    pd.DataFrame({"a": pd.Categorical(["x", "y", "x"])}, index=[5, 6, 7]),
    pd.DataFrame({"t": pd.date_range("2024-01-01", periods=3, tz="UTC")}),
    pd.DataFrame({"a": []}),
]


def test_arrow_tables_come_back() -> None:
    assert around(TABLE).equals(TABLE)


@pytest.mark.parametrize("frame", FRAMES)
def test_pandas_tables_come_back(frame: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(around(frame), frame)


@pytest.mark.parametrize("column", [[(1, 2), (3,)], [1, "x"]])
def test_tables_that_arrow_would_change_are_refused(column: list[Any]) -> None:
    with pytest.raises(EncodeError, match="Arrow"):
        CODEC.encode(pd.DataFrame({"a": column}))


def test_a_series_is_refused_with_advice() -> None:
    with pytest.raises(EncodeError, match="DataFrame"):
        CODEC.encode(pd.Series([1]))
