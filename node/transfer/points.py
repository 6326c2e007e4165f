"""Copying some points of one shard into another one, while both are written to (``replicate_points``).

Lives here: the passes over the source until both sides agree.
May not live here: how shards are reached, when the target begins to serve.

A point's version is the place of its last change in the source's log, so a pass finds what has changed since
the one before by comparing versions. When a pass finds nothing the target may be made active, from when on
writes reach it directly; one more pass (``settle``) brings over what the source took in until everybody knew,
but never over a point that the target was given by somebody else meanwhile: the target's primary compares
versions when it orders the write.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from itertools import islice
from typing import Protocol

import msgspec
from msgspec import Struct

from node.transfer.progress import Progress
from protos.errors import ServiceError
from protos.filters import Filter
from protos.ids import PointId
from protos.operations import OPERATION_ID_BYTES, DeletePoints, PointChange, UpdateResult
from protos.rewriting import upsert_of
from protos.shard import Projection, Record, ScrollRequest, UpdateRequest

PAGE_POINTS = 2000  # ids and versions looked at together
BATCH_POINTS = 200  # points written together
PASSES_MAX = 50
FEW_CHANGES = 100  # as many may be left for the end, when writes do not cease

_EVERYTHING = Projection(payload=True, vectors=True)
_VERSIONS = Projection()


class Points(Protocol):
    """What a copy needs of a shard; as of ``protos.shard_client.ShardClient``."""

    async def update(self, request: UpdateRequest) -> UpdateResult: ...

    async def scroll(self, request: ScrollRequest) -> list[Record]: ...

    async def retrieve(self, ids: list[PointId], projection: Projection) -> list[Record]: ...

    async def count(self, filter: Filter | None, *, exact: bool) -> int: ...


class Copied(Struct, frozen=True):
    """Versions of a copied point, in the source and in the target."""

    source: int
    target: int


class PointCopy:
    """Of both shards what is acknowledged must be seen."""

    def __init__(self, source: Points, target: Points, filter: Filter | None, progress: Progress) -> None:
        self._source, self._target = source, target
        self._filter, self._progress = filter, progress
        self._copied: dict[PointId, Copied] = {}

    async def run(self) -> None:
        """Copy until (almost) nothing is left to copy. Raises: what the shards raise; ServiceError."""
        self._progress.expect(await self._source.count(self._filter, exact=True))
        for number in range(PASSES_MAX):
            changes = await self._pass(guarded=False)
            if not changes or (number > 2 and changes <= FEW_CHANGES):
                return
        raise ServiceError("the points change faster than they can be copied")

    async def settle(self) -> None:
        """After the target has begun to serve. Raises: what the shards raise."""
        for _ in range(PASSES_MAX):
            if not await self._pass(guarded=True):
                return

    async def _pass(self, *, guarded: bool) -> int:
        """Bring over what has changed. Returns: how many points that were."""
        seen: set[PointId] = set()
        changes = 0
        async for page in self._pages():
            seen.update(record.id for record in page)
            changed = [record.id for record in page if self._is_new(record)]
            for ids in _batches(changed, BATCH_POINTS):
                changes += await self._copy(ids, guarded=guarded)
        gone = [point_id for point_id in self._copied if point_id not in seen]
        for ids in _batches(gone, BATCH_POINTS):
            changes += await self._remove(ids, guarded=guarded)
        return changes

    def _is_new(self, record: Record) -> bool:
        known = self._copied.get(record.id)
        return known is None or known.source != record.version

    async def _pages(self) -> AsyncIterator[list[Record]]:
        offset: PointId | None = None
        while True:
            request = ScrollRequest(
                limit=PAGE_POINTS + 1, offset=offset, filter=self._filter, projection=_VERSIONS
            )
            records = await self._source.scroll(request)
            yield records[:PAGE_POINTS]
            if len(records) <= PAGE_POINTS:
                return
            offset = records[PAGE_POINTS].id

    async def _copy(self, ids: list[PointId], *, guarded: bool) -> int:
        records = await self._source.retrieve(ids, _EVERYTHING)
        if not records:
            return 0
        change = upsert_of(records)
        if guarded:
            known = [self._copied.get(record.id) for record in records]
            versions = [None if each is None else each.target for each in known]
            change = msgspec.structs.replace(change, at_versions=versions)
        seq = await self._write(change)
        self._copied.update({record.id: Copied(record.version, seq) for record in records})
        self._progress.advance(len(self._copied))
        return len(records)

    async def _remove(self, ids: list[PointId], *, guarded: bool) -> int:
        versions: list[int | None] = [self._copied[point_id].target for point_id in ids]
        await self._write(DeletePoints(ids=ids, at_versions=versions if guarded else None))
        for point_id in ids:
            del self._copied[point_id]
        return len(ids)

    async def _write(self, change: PointChange) -> int:
        """The same if it is tried again, which it is while the shard is between two primaries."""
        own_id = os.urandom(OPERATION_ID_BYTES)
        result = await self._target.update(UpdateRequest(change, wait=True, operation_id=own_id))
        if result.operation_id is None:
            raise ServiceError("the target shard did not take the points in time")
        return result.operation_id


def _batches(ids: list[PointId], size: int) -> list[list[PointId]]:
    remaining = iter(ids)
    batches = []
    while batch := list(islice(remaining, size)):
        batches.append(batch)
    return batches
