"""How values become bytes: codecs, what combines them, and the blob format around them."""

from __future__ import annotations

from infercache.codecs.registry import CODECS as CODECS
from infercache.codecs.registry import make_codec as make_codec
