"""PIL images in the plain codec: their pixels as they are."""

from __future__ import annotations

from typing import Any

from PIL import Image, ImagePalette

from infercache.codecs.buffers import Reader, Writer
from infercache.codecs.tree import IMAGE, VIEW, refer, refusal, tag
from infercache.codecs.tree import lower as lower_plain
from infercache.errors import BlobError, EncodeError

_BITS = {
    "1": 1, "L": 8, "P": 8, "LA": 16, "PA": 16, "La": 16, "RGB": 24, "YCbCr": 24, "LAB": 24,
    "HSV": 24, "RGBA": 32, "RGBa": 32, "RGBX": 32, "CMYK": 32, "I": 32, "F": 32,
    "I;16": 16, "I;16B": 16, "I;16L": 16,
}  # fmt: skip
_LARGEST_SIDE = 2**24


def lower(value: Any, writer: Writer, depth: int) -> Any:
    """Return the tagged array that stands for an image.

    Images that a file format made (`Image.open`) carry more than pixels; `.copy()` leaves
    plain ones.
    """
    if type(value) is not Image.Image:
        raise refusal(value, "give a plain PIL.Image.Image: .copy() makes one of an opened file")
    if value.mode not in _BITS:
        raise EncodeError(f"an image of mode {value.mode!r} is not written; .convert() it")
    palette = value.palette and [value.palette.mode, bytes(value.palette.tobytes())]
    pixels = refer(VIEW, memoryview(value.tobytes()), writer)
    info = lower_plain(dict(value.info), writer, depth + 1)
    return tag(IMAGE, (value.mode, value.width, value.height, palette, info, pixels), writer)


def load(code: int, data: memoryview, reader: Reader) -> Any:
    """Images have no extension of their own."""
    raise BlobError(f"extension {code} is not an image")


def build(code: int, items: list[Any]) -> Image.Image:
    """Return the image; Pillow copies its pixels when it is first written to."""
    mode, width, height, palette, info, pixels = items
    bits = _BITS.get(mode, 0)
    sides = [side for side in (width, height) if type(side) is int and 0 <= side < _LARGEST_SIDE]
    if not bits or len(sides) != 2 or type(pixels) is not memoryview or type(info) is not dict:
        raise BlobError(f"the body holds an image of mode {str(mode)[:40]!r}, not a known one")
    if -(-width * bits // 8) * height != len(pixels):
        raise BlobError(f"the body holds {len(pixels)} bytes for {width} x {height} pixels")
    image = Image.new(mode, (width, height))
    if len(pixels):
        image = Image.frombytes(mode, (width, height), pixels)
    if palette is not None:
        colours, raw = palette
        if colours not in ("RGB", "RGBA") or type(raw) is not bytes or len(raw) > 1024:
            raise BlobError("the body holds an image whose palette is not one")
        image.palette = ImagePalette.ImagePalette(colours, raw)
        image.putpalette(raw, colours)
    image.info = info
    return image
