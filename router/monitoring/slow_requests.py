"""The slowest requests of each kind since the start, for operators (``/profiler/slow_requests``).

Bounded: a kind keeps its ``KEPT_MAX`` slowest, and kinds are routes and methods. What is quicker costs a
comparison.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable

from msgspec import Struct

KEPT_MAX = 32  # of each kind


class SlowRequest(Struct, frozen=True):
    """``name``: the route's method and template, or the method's full name. ``status``: HTTP's, or gRPC's."""

    name: str
    seconds: float
    ended_unix_s: float
    collection: str | None
    status: int
    request_id: str


class SlowRequests:
    """Used on the event loop only."""

    def __init__(self) -> None:
        self._numbers = itertools.count()  # two that took the same time are not compared further
        self._kept: dict[str, list[tuple[float, int, SlowRequest]]] = {}

    def add(self, request: SlowRequest) -> None:
        kept = self._kept.setdefault(request.name, [])
        entry = request.seconds, next(self._numbers), request
        if len(kept) < KEPT_MAX:
            heapq.heappush(kept, entry)
        else:
            heapq.heappushpop(kept, entry)

    def would_keep(self, name: str, seconds: float) -> bool:
        kept = self._kept.get(name)
        return kept is None or len(kept) < KEPT_MAX or seconds > kept[0][0]

    def slowest(self, limit: int, containing: str = "") -> list[SlowRequest]:
        """Of the kinds whose names contain the text, the slowest first."""
        found: Iterable[SlowRequest] = (
            request for name, kept in self._kept.items() if containing in name for _, _, request in kept
        )
        return heapq.nlargest(limit, found, key=lambda request: request.seconds)
