"""Pickle, for those who trust every writer of the store with running code in the reader."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

from infercache.codecs.base import Buffer, Codec
from infercache.errors import BlobError, EncodeError, SettingError


class PickleCodec(Codec):
    """Writes any picklable value. Decoding RUNS CODE that the writer of the bytes chose.

    Only for stores that nobody else can write to. Blobs of this codec are accepted only where
    the reader's own settings name it.

    Args:
        trusted: Must be True, so that nobody gets here by accident.

    Raises:
        SettingError: not trusted.
    """

    id = "pickle/1"

    def __init__(self, trusted: bool = False) -> None:
        if trusted is not True:
            raise SettingError(
                "codec 'pickle' runs code from the stored bytes: open the namespace with "
                "trusted_pickle=True, or give PickleCodec(trusted=True), only if you trust "
                "everyone who can write to the store"
            )

    def encode(self, value: Any) -> Sequence[Buffer]:
        """Return the pickle."""
        try:
            return (pickle.dumps(value, protocol=5),)
        except Exception as error:  # whatever the value's own methods raise
            raise EncodeError(f"the value cannot be pickled: {error}") from error

    def decode(self, body: memoryview) -> Any:
        """Return the value, running whatever its pickle says."""
        try:
            return pickle.loads(body)  # noqa: S301 - the reader asked for it by name
        except Exception as error:  # whatever the pickled code raises
            raise BlobError(f"the body cannot be unpickled: {error}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        return PickleCodec, (True,)

    def __repr__(self) -> str:
        return "PickleCodec(trusted=True)"
