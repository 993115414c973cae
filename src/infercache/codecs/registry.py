"""The names of codecs that settings may use, and how a specification becomes a codec."""

from __future__ import annotations

from typing import Any

from infercache.codecs.base import Codec
from infercache.errors import SettingError
from infercache.registry import Registry

# What stands behind a name is called with the text after ":" or None, or, for a transform
# such as "zstd", returns a byte transform that `Pipeline` puts behind a codec.
CODECS = Registry(
    "codec",
    {
        "auto": "infercache.codecs.plain:PlainCodec",
        "plain": "infercache.codecs.plain:PlainCodec",
        "json": "infercache.codecs.readable:JsonCodec",
        "int8": "infercache.codecs.quantize:Int8Codec",
        "pickle": "infercache.codecs.trusted_pickle:PickleCodec",
    },
)
TRANSFORMS = Registry(
    "codec transform",
    {
        "zstd": "infercache.codecs.compress:Zstd",
        "lz4": "infercache.codecs.compress:Lz4",
    },
)


def make_codec(spec: str | Codec, setting: str = "codec") -> Codec:
    """Return the codec that a specification names; a codec is returned as it is.

    A specification is a codec's name and any number of transforms: "auto", "json", "int8",
    "auto+zstd", "auto+zstd:9", "auto+lz4", "int8+zstd". A number after ":" is the level of
    zstd or lz4, or the group size of int8.

    Raises:
        SettingError: an unknown name or a number that cannot be used; names `setting`.
        MissingExtraError: a compressor that is not installed.
    """
    if isinstance(spec, Codec):
        return spec
    if not isinstance(spec, str):
        raise SettingError(
            f"{setting}={spec!r} is neither a Codec nor a name such as 'auto' or 'auto+zstd'"
        )
    first, *rest = [part.strip() for part in spec.split("+")]
    codec: Codec = _load(CODECS, first, setting)
    if not rest:
        return codec
    from infercache.codecs.pipeline import Pipeline

    return Pipeline(codec, *(_load(TRANSFORMS, part, setting) for part in rest))


def _load(registry: Registry, part: str, setting: str) -> Any:
    name, colon, text = part.partition(":")
    if name not in registry:
        raise SettingError(f"{setting}: {registry.unknown(name)}")
    kind = registry.load(name)
    if not colon:
        return kind()
    try:
        number = int(text)
    except ValueError:
        raise SettingError(f"{setting}={part!r}: {text!r} is not a whole number") from None
    if not hasattr(kind, "from_number"):
        raise SettingError(f"{setting}={part!r}: {name!r} takes no number")
    return kind.from_number(number)
