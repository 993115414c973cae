"""Fuzz the decoders: whatever the bytes, a value or a BlobError comes out, and nothing runs.

    python tools/fuzz_blob.py SECONDS [--seed N]

The first byte of an input chooses what is fuzzed: a blob as it lies in a store, or the body of
one of the codecs as if its checksum had been right. The corpus starts with valid ones. Ends
with status 0 after SECONDS; a crash, a hang or another exception ends it with another status,
and libFuzzer prints the input.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["infercache"]):
    import numpy as np
    import torch

    from infercache.codecs import make_codec
    from infercache.codecs.base import Codec
    from infercache.codecs.blob import open_blob, peek_header, seal
    from infercache.entry import Entry
    from infercache.errors import BlobError
    from infercache.importers.pickles import read_pickle
    from infercache.key import Key

    # Those that are loaded on first use: only what is imported here is seen by the fuzzer.
    for name in ("plain", "arrays", "tensors", "images", "readable", "compress", "quantize"):
        importlib.import_module(f"infercache.codecs.{name}")

KEY = Key("tenant", "namespace", "v1", bytes(16))
SECRET = b"secret of the fleet"
SPECS = ("auto", "json", "auto+zstd", "auto+lz4", "int8", "int8+zstd")
CODECS: list[Codec] = [make_codec(spec) for spec in SPECS]
# What a decoder must not do, seen through the interpreter's audit hooks.
FORBIDDEN = frozenset(
    {
        *("os.system", "os.exec", "os.fork", "os.posix_spawn", "os.remove", "os.rename"),
        *("subprocess.Popen", "socket.connect", "pickle.find_class", "ctypes.dlopen"),
    }
)
LARGEST_INPUT = 4096


class CodeRan(BaseException):
    """A decoder did what no decoder may; not an Exception, so that nothing catches it."""


def watch(event: str, _: tuple[Any, ...]) -> None:
    """Stop where a decoder runs code."""
    if event in FORBIDDEN:
        raise CodeRan(event)


def decode_blob(data: bytes) -> None:
    """Open a blob as it lies in a store, and decode it if it verifies."""
    attempt(peek_header, data)
    for secret in (None, SECRET):
        attempt(functools.partial(open_and_decode, secret), data)


def open_and_decode(secret: bytes | None, data: bytes) -> None:
    """Do what a tier does with a blob."""
    blob = open_blob(data, KEY, CODECS[0].id, secret)
    CODECS[0].decode(blob.body)


def decode_body(codec: Codec) -> Callable[[bytes], None]:
    """Return a target that decodes a body whose checksum was right."""
    return lambda data: attempt(codec.decode, memoryview(data))


def attempt(reader: Callable[..., Any], data: Any) -> None:
    """Call a decoder; only `BlobError` may come out of it."""
    try:
        reader(data)
    except BlobError as error:
        if not str(error):
            raise AssertionError("a BlobError without a sentence") from error


def sealed_again(data: bytes) -> None:
    """Give damaged bodies a right checksum, so that they pass it."""
    blob = b"".join(seal(KEY, CODECS[0], Entry(None), [data]))
    attempt(functools.partial(open_and_decode, None), blob)


TARGETS: list[Callable[[bytes], None]] = [
    decode_blob,
    sealed_again,
    lambda data: attempt(read_pickle, data),
    *map(decode_body, CODECS),
]


def fuzz_one(data: bytes) -> None:
    """Run the target that the first byte chooses."""
    if data:
        TARGETS[data[0] % len(TARGETS)](data[1:])


def seeds() -> list[bytes]:
    """Return valid inputs for every target."""
    import pickle

    array = np.arange(64, dtype=np.float32).reshape(8, 8)
    fields = np.zeros(2, [("a", "<i4"), ("b", "<f8", (2,))])
    values: list[Any] = [
        None,
        {"a": [1, 2.5, "text", b"bytes"], "b": {"c": None}},
        [(1, {2, 3}), frozenset({"x"}), {(1, 2): 2**80}, 1j, "\ud800"],
        {"array": array, "fields": fields, "scalar": np.float16(1), "t": torch.from_numpy(array)},
    ]
    found = []
    for value in values:
        body = b"".join(CODECS[0].encode(value))
        blobs = [seal(KEY, CODECS[0], Entry(None), [body], secret) for secret in (None, SECRET)]
        found += [b"\0" + b"".join(blob) for blob in blobs]
        found += [b"\1" + body, b"\2" + pickle.dumps(value)]
    for place, codec in enumerate(CODECS, 3):
        usable = [{"a": [1, 2.5, None, "text"]}] if codec.id == "json/1" else values
        found += [bytes([place]) + b"".join(codec.encode(value)) for value in usable]
    return found


def main() -> None:
    """Fuzz for the given time."""
    parser = argparse.ArgumentParser(description="Fuzz the decoders of stored bytes.")
    parser.add_argument("seconds", type=int, help="how long")
    parser.add_argument("--seed", type=int, default=0, help="0 for a random one")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    corpus = Path(tempfile.mkdtemp(prefix="infercache-fuzz-"))
    for number, seed in enumerate(seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    arguments = [
        sys.argv[0],
        str(corpus),
        f"-max_total_time={options.seconds}",
        f"-max_len={LARGEST_INPUT}",
        f"-seed={options.seed}",
        "-rss_limit_mb=4096",
        "-malloc_limit_mb=2048",
        "-timeout=20",
        f"-artifact_prefix={corpus}{os.sep}",
        "-print_final_stats=1",
    ]
    atheris.Setup(arguments, fuzz_one)
    for data in seeds():  # what is imported on first use is imported before the watch begins
        fuzz_one(data)
    sys.addaudithook(watch)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
