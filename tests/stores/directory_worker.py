"""What the processes of the multi-process tests run: `python directory_worker.py JOB PATH ...`."""

from __future__ import annotations

import hashlib
import os
import random
import sys
import time

from infercache.errors import StoreFullError
from infercache.key import Key
from infercache.stores.base import Buffer, Invalidation, Record, RecordInfo
from infercache.stores.directory import DirectoryStore


def make_key(number: int) -> Key:
    """Return a key."""
    return Key("", "work", "v", number.to_bytes(16, "big"))


def make_blob(rng: random.Random, number: int, size: int) -> bytes:
    """Return a blob that proves itself and names its key."""
    body = number.to_bytes(4, "big") + rng.randbytes(64) * (size // 64)
    return hashlib.blake2b(body, digest_size=16).digest() + body


def is_whole(blob: Buffer, number: int) -> bool:
    """Return whether a blob is one that was written under this key."""
    blob = memoryview(blob)
    whole = bytes(blob[:16]) == hashlib.blake2b(blob[16:], digest_size=16).digest()
    return whole and bytes(blob[16:20]) == number.to_bytes(4, "big")


def write_forever(path: str, seed: str, limit: str = "0") -> None:
    """Put, replace, delete and invalidate at random until killed; says "ready" first."""
    store, rng = DirectoryStore(path), random.Random(int(seed))
    print("ready", flush=True)
    while True:
        write_once(store, rng, int(limit))


def write_for(path: str, seed: str, limit: str, seconds: str) -> None:
    """Write for some seconds, then close."""
    store, rng = DirectoryStore(path), random.Random(int(seed))
    print("ready", flush=True)
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        write_once(store, rng, int(limit))
    store.close()


def write_once(store: DirectoryStore, rng: random.Random, limit: int) -> None:
    """Do one random operation; make room if there is none."""
    numbers = rng.sample(range(40), rng.choice([1, 1, 1, 5]))
    sizes = [rng.choice([64, 1_000, 10_000, 20_000, 300_000]) for _ in numbers]
    tag = rng.choice(["red", "blue"])
    records = [
        Record(RecordInfo(make_key(n), size, tags=(tag,)), (make_blob(rng, n, size),))
        for n, size in zip(numbers, sizes, strict=True)
    ]
    chance = rng.random()
    if chance < 0.1:
        store.delete_many([record.info.key for record in records])
    elif chance < 0.12:
        store.invalidate(Invalidation(tag=tag))
    else:
        put_making_room(store, records, limit)
    store.note_hits([records[0].info.key.digest])


def put_making_room(store: DirectoryStore, records: list[Record], limit: int) -> None:
    """Put; as long as it does not fit, evict half of what is there."""
    while True:
        try:
            store.put_many(records, limit_bytes=limit or None)
            return
        except StoreFullError:
            known = [info.key.digest for info in store.scan()]
            store.evict_many(known[: len(known) // 2 + 1])


def evict_all(path: str) -> None:
    """Evict whatever is there."""
    store = DirectoryStore(path)
    store.evict_many([info.key.digest for info in store.scan()])
    store.close()


def read_one(path: str, number: str) -> None:
    """Print what one key holds."""
    store = DirectoryStore(path)
    (stored,) = store.get_many([make_key(int(number))])
    print("none" if stored is None else bytes(stored.buffer).hex(), flush=True)
    store.close()


def put_small(path: str, count: str) -> None:
    """Put many small blobs, so that the index outgrows its map."""
    store, rng = DirectoryStore(path), random.Random(0)
    for n in range(int(count)):
        store.put_many([Record(RecordInfo(make_key(n), 1), (make_blob(rng, n, 2000),))])
    store.close()


def put_one(path: str, number: str, size: str) -> None:
    """Put one blob and leave without closing."""
    store = DirectoryStore(path)
    rng = random.Random(int(number))
    blob = make_blob(rng, int(number), int(size))
    store.put_many([Record(RecordInfo(make_key(int(number)), len(blob)), (blob,))])
    os._exit(0)


JOBS = {
    job.__name__: job for job in (write_forever, write_for, evict_all, read_one, put_one, put_small)
}

if __name__ == "__main__":
    JOBS[sys.argv[1]](*sys.argv[2:])
