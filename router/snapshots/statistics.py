"""How many snapshots are being made and recovered, and were made since the start (reference 4)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from msgspec import Struct

from protos.errors import AlreadyInProgress

ShardKey = tuple[str, int]  # collection, shard id
K = TypeVar("K", bound=Hashable)


class SnapshotCounts(Struct, frozen=True):
    creating: int = 0
    recovering: int = 0
    created: int = 0


class PartialCounts(Struct, frozen=True):
    """Of one shard. ``recovered_unix_s``: when it last was, by what differed; 0: not since the start."""

    creating: int = 0
    recovering: bool = False
    recovered_unix_s: int = 0


class SnapshotStatistics:
    """By collection; on the event loop only."""

    def __init__(self, unix_s: Callable[[], float] = time.time) -> None:
        self._unix_s = unix_s
        self._creating: Counter[str] = Counter()
        self._recovering: Counter[str] = Counter()
        self._created: Counter[str] = Counter()
        self._partial_creating: Counter[ShardKey] = Counter()
        self._partial_recovering: set[ShardKey] = set()
        self._partial_recovered: dict[ShardKey, int] = {}

    def of(self, collection: str) -> SnapshotCounts:
        return SnapshotCounts(
            self._creating[collection], self._recovering[collection], self._created[collection]
        )

    def of_shard(self, collection: str, shard_id: int) -> PartialCounts:
        key = (collection, shard_id)
        return PartialCounts(
            self._partial_creating[key],
            key in self._partial_recovering,
            self._partial_recovered.get(key, 0),
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
    def creating_partial(self, collection: str, shard_id: int) -> Iterator[None]:
        with _counted(self._partial_creating, (collection, shard_id)):
            yield

    @contextmanager
    def recovering_partial(self, collection: str, shard_id: int) -> Iterator[None]:
        """For one at a time. Raises: AlreadyInProgress."""
        key = (collection, shard_id)
        self.require_idle(collection, shard_id)
        self._partial_recovering.add(key)
        try:
            yield
            self._partial_recovered[key] = int(self._unix_s())
        finally:
            self._partial_recovering.discard(key)

    def require_idle(self, collection: str, shard_id: int) -> None:
        """Raises: AlreadyInProgress if the shard is being recovered by what differs."""
        if (collection, shard_id) in self._partial_recovering:
            raise AlreadyInProgress(f"shard {shard_id} of `{collection}` is being recovered already")


@contextmanager
def _counted(counter: Counter[K], key: K) -> Iterator[None]:
    counter[key] += 1
    try:
        yield
    finally:
        counter[key] -= 1
