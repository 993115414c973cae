"""Which reader reads a file: the first that knows its beginning again."""

from __future__ import annotations

import difflib
import importlib
import os
from pathlib import Path

from infercache.errors import MissingExtraError, SettingError, TraceError
from infercache.registry import Registry
from infercache.simulate.readers.base import Reader, Source
from infercache.simulate.readers.compression import decompress
from infercache.simulate.trace import Trace, checked

_HERE = "infercache.simulate.readers"
# The order in which they are asked: those with unmistakable marks first.
_ORDER = {
    "parquet": f"{_HERE}.columns:ParquetReader",
    "bailian": f"{_HERE}.bailian:BailianReader",
    "mooncake": f"{_HERE}.mooncake:MooncakeReader",
    "twitter": f"{_HERE}.twitter:TwitterReader",
    "csv": f"{_HERE}.separated:SeparatedReader",
    "arc": f"{_HERE}.arc:ArcReader",
    "adaptsize": f"{_HERE}.adaptsize:AdaptSizeReader",
    "lirs": f"{_HERE}.lirs:LirsReader",
    "plain": f"{_HERE}.plain:PlainReader",
    "vscsi": f"{_HERE}.vscsi:VscsiReader",
    "oracleGeneral": f"{_HERE}.oracle_general:OracleGeneralReader",
    "cache2k": f"{_HERE}.cache2k:Cache2kReader",
}
FORMATS = Registry("trace format", dict(_ORDER))


def read_trace(
    path: str | os.PathLike[str],
    format: str | None = None,  # noqa: A002
    columns: str | None = None,
) -> Trace:
    """Read a trace; .gz, .xz and .zst are unpacked by their content on the way.

    Reads the whole file into memory; a million accesses take 0.02 to 1 s.

    Args:
        path: The file.
        format: A name of `FORMATS`; None to tell it from the file's content.
        columns: For CSV, what its columns are, such as "time,key,size,cost"; "-" skips one.

    Raises:
        TraceError: the file cannot be read as a trace; the message names line or record.
        SettingError: an unknown format or column.
        MissingExtraError: what unpacks or reads it is not installed.
        OSError: the file cannot be opened.
    """
    _require_numpy()
    path = Path(path)
    source = Source(path, decompress(path), columns)
    if not source.data:
        raise TraceError(f"{path}: the file is empty; expected a trace")
    reader = _load(format) if format else _detect(source)
    return checked(reader.read(source), str(path), reader.unit)


def known_formats() -> dict[str, str]:
    """Return each format with a sentence on it, in the order in which they are tried."""
    return {name: _load(name).promise for name in _ORDER}


def _require_numpy() -> None:
    try:
        importlib.import_module("numpy")
    except ModuleNotFoundError as error:
        raise MissingExtraError("traces need an extra: pip install 'infercache[numpy]'") from error


def _load(name: str) -> Reader:
    if name not in FORMATS:
        near = difflib.get_close_matches(name.lower(), [one.lower() for one in FORMATS.names()], 1)
        exact = [one for one in FORMATS.names() if near and one.lower() == near[0]]
        if exact and exact[0].lower() == name.lower():
            return _load(exact[0])
        raise SettingError(FORMATS.unknown(name))
    module, _, attribute = str(_ORDER.get(name, "")).partition(":")
    found = getattr(importlib.import_module(module), attribute) if module else FORMATS.load(name)
    reader: Reader = found()
    return reader


def _detect(source: Source) -> Reader:
    added = [name for name in FORMATS.names() if name not in _ORDER]
    for name in [*added, *_ORDER]:
        reader = _load(name)
        if reader.detect(source):
            return reader
    raise TraceError(
        f"{source.path}: no known trace format begins like this; name it with --format "
        f"({', '.join(FORMATS.names())})"
    )
