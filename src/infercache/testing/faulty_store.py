"""A store that fails on purpose, to see what the layers above make of it."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from infercache.errors import StoreFullError, StoreUnavailableError
from infercache.key import Key
from infercache.stores.base import Record, RecordInfo, Store, Stored


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong in one call.

    Attributes:
        error: "unavailable" or "full": the call raises, and does nothing.
        delay_s: The call takes this much longer.
        truncate: Blobs that are read lack their second half.
        flip: One bit of each blob that is read is wrong.
        lose: Writes are said to have happened, and did not.
    """

    error: str | None = None
    delay_s: float = 0.0
    truncate: bool = False
    flip: bool = False
    lose: bool = False


NO_FAULT = Fault()


class FaultPlan:
    """Which fault each call meets: first the script, then chance. Thread-safe.

    Args:
        script: Faults of the first calls, in order; None for a call that works.
        probability: Chance of a fault in each later call.
        faults: What chance picks from.
        seed: Makes chance repeatable.
    """

    def __init__(
        self,
        script: Iterable[Fault | None] = (),
        *,
        probability: float = 0.0,
        faults: Sequence[Fault] = (Fault(error="unavailable"),),
        seed: int = 0,
    ) -> None:
        self._script = list(script)
        self._probability = probability
        self._faults = faults
        self._random = random.Random(seed)  # noqa: S311 - not for secrets
        self._lock = threading.Lock()
        self.injected: list[Fault] = []

    def next(self) -> Fault:
        """Return the fault of this call."""
        with self._lock:
            if self._script:
                fault = self._script.pop(0)
            elif self._random.random() < self._probability:
                fault = self._random.choice(self._faults)
            else:
                fault = None
            if fault is not None:
                self.injected.append(fault)
            return fault or NO_FAULT

    def position(self, size: int) -> int:
        """Return a random position among `size`."""
        with self._lock:
            return self._random.randrange(size)


class FaultyStore(Store):
    """Wraps a store and injects the faults of a plan into its calls. Thread-safe."""

    def __init__(self, inner: Store, plan: FaultPlan) -> None:
        self.inner = inner
        self.plan = plan
        self.features = inner.features

    def get_many(self, keys: Sequence[Key]) -> list[Stored | None]:
        """Read, with blobs damaged as planned."""
        fault = self._meet("get_many")
        found = self.inner.get_many(keys)
        if not (fault.flip or fault.truncate):
            return found
        return [None if stored is None else self._damage(stored, fault) for stored in found]

    def put_many(
        self,
        records: Sequence[Record],
        *,
        if_version: Sequence[int | None] | None = None,
        limit_bytes: int | None = None,
        lease: int | None = None,
    ) -> list[bool]:
        """Write, or only say so."""
        if self._meet("put_many").lose:
            return [True] * len(records)
        return self.inner.put_many(
            records, if_version=if_version, limit_bytes=limit_bytes, lease=lease
        )

    def delete_many(self, keys: Sequence[Key]) -> int:
        """Delete, or only say so."""
        return len(keys) if self._meet("delete_many").lose else self.inner.delete_many(keys)

    def scan(self, scope: str | None = None, namespace: str | None = None) -> Iterator[RecordInfo]:
        """Yield what the inner store holds."""
        self._meet("scan")
        return self.inner.scan(scope, namespace)

    def check(self) -> list[str]:
        """Check the inner store; meets no faults."""
        return self.inner.check()

    def close(self) -> None:
        """Close the inner store; meets no faults."""
        self.inner.close()

    def _meet(self, call: str) -> Fault:
        fault = self.plan.next()
        if fault.delay_s:
            time.sleep(fault.delay_s)
        if fault.error == "full":
            raise StoreFullError(f"injected fault: no room left in {call}")
        if fault.error is not None:
            raise StoreUnavailableError(f"injected fault: {fault.error} in {call}")
        return fault

    def _damage(self, stored: Stored, fault: Fault) -> Stored:
        blob = bytearray(stored.buffer)
        if fault.truncate:
            del blob[len(blob) // 2 :]
        if fault.flip and blob:
            at = self.plan.position(8 * len(blob))
            blob[at // 8] ^= 1 << at % 8
        return Stored(bytes(blob))
