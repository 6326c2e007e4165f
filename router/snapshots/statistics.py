"""How many snapshots are being made and recovered, and were made since the start (reference 4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct


class SnapshotCounts(Struct, frozen=True):
    creating: int = 0
    recovering: int = 0
    created: int = 0


class SnapshotStatistics:
    """By collection; on the event loop only."""

    def __init__(self) -> None:
        self._creating: Counter[str] = Counter()
        self._recovering: Counter[str] = Counter()
        self._created: Counter[str] = Counter()

    def of(self, collection: str) -> SnapshotCounts:
        return SnapshotCounts(
            self._creating[collection], self._recovering[collection], self._created[collection]
        )

    @contextmanager
    def creating(self, collection: str) -> Iterator[None]:
        with _counted(self._creating, collection):
            yield
        self._created[collection] += 1

    @contextmanager
    def recovering(self, collection: str) -> Iterator[None]:
        with _counted(self._recovering, collection):
            yield


@contextmanager
def _counted(counter: Counter[str], key: str) -> Iterator[None]:
    counter[key] += 1
    try:
        yield
    finally:
        counter[key] -= 1
