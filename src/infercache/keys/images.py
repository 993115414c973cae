"""Keys of PIL images: by what they show, not by the file that they came from.

Besides mode, size, palette and pixels, three notes on how to show them count, because common
operations obey them: the transparent colour, the orientation and the colour profile.
"""

from __future__ import annotations

from typing import Any

from infercache.errors import UnkeyableError
from infercache.keys.records import Parts

_ORIENTATION_TAG = 0x0112


def encode_image(value: Any) -> Parts:
    """Key an image; one copy of its pixels is made."""
    if getattr(value, "is_animated", False):
        raise UnkeyableError(
            f"an image of {value.n_frames} frames has no content key; pass image.copy() of the "
            "frame you mean, or infercache.keys.File(path)"
        )
    pixels = value.tobytes()  # first of all, as it loads the file and with it the rest
    palette = value.palette and (value.palette.mode, bytes(value.palette.palette))
    notes = (value.info.get("transparency"), value.info.get("icc_profile"))
    orientation = value.getexif().get(_ORIENTATION_TAG, 1)
    return (value.mode, value.size, palette, notes, orientation, pixels)
