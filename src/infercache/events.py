"""What happens inside a cache, told to whoever subscribed; nobody listening costs nothing.

Events are for observers (metrics, logs, the access log): a listener must not call back into
the cache. A listener that raises is reported once through `warnings` and dropped, so that no
observer can break a lookup.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from infercache.notices import warn


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        kind: What: "hit", "miss", "put", "evict", "demote", "promote", "expire", "invalidate",
            "corrupt", "lost", "outage", "recovered", "refresh", "stale_served".
        tier: The tier's name, or "" where no single tier is meant.
        namespace: The namespace, or "" where unknown.
        digest: The key's digest, or b"".
        size_bytes: Bytes of the entry, 0 where unknown.
        cost_s: Seconds that the value took to compute, 0.0 where unknown.
        detail: One sentence for people, for kinds that need one.
    """

    kind: str
    tier: str = ""
    namespace: str = ""
    digest: bytes = b""
    size_bytes: int = 0
    cost_s: float = 0.0
    detail: str = ""


Listener = Callable[[Event], None]


class Events:
    """A list of listeners. Thread-safe: the list is replaced, never changed in place."""

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Add a listener, and return a function that removes it."""
        self._listeners = (*self._listeners, listener)

        def unsubscribe() -> None:
            self._listeners = tuple(known for known in self._listeners if known is not listener)

        return unsubscribe

    def __bool__(self) -> bool:
        """Return whether anybody listens: callers skip building the event if not."""
        return bool(self._listeners)

    def emit(self, event: Event) -> None:
        """Tell every listener."""
        for listener in self._listeners:
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - an observer must never break a lookup
                self._listeners = tuple(known for known in self._listeners if known is not listener)
                warn(
                    f"event listener {listener!r} raised {error!r} and was removed",
                )
