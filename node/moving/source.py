"""The points that move, as the primary of their shard has them on this node.

Everything that is read here is committed: what is only applied may be cut from the log again, and must not
live on in another shard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from consensus.buckets import buckets_of, unpack_buckets
from node import query
from node.moving.move import Changes, LogGone, Page
from node.replica.ownership import answers_for
from node.replica.view import View
from node.shard.life import Life
from protos.errors import ShardUnavailable
from protos.filters import Filter, InBuckets
from protos.ids import PointId, id_key
from protos.operations import (
    AnyLogOperation,
    DropPayloadKeys,
    EmptyPayload,
    KnowOperations,
    LogEntry,
    MergePayload,
    PutPoints,
    PutVectors,
    RemovePoints,
    RemoveVectors,
    ReplacePayload,
    decode_entry,
)
from protos.shard import Projection, Record, ScrollRequest

POLL_S = 0.1  # when nothing comes: the stage may be another one by now

_OF_POINTS = (
    PutPoints,
    RemovePoints,
    PutVectors,
    RemoveVectors,
    MergePayload,
    ReplacePayload,
    DropPayloadKeys,
    EmptyPayload,
)
_EVERYTHING = Projection(payload=True, vectors=True)


class LedSource:
    """Implements ``move.Source``. ``life``: the shard's, while it leads; it raises ShardUnavailable."""

    def __init__(self, life: Callable[[], Life], buckets: bytes) -> None:
        self._life = life
        self._buckets = buckets
        self._filter = Filter(must=(InBuckets(buckets),))

    async def position(self) -> int:
        _, view = await self._committed()
        return view.seq

    async def operations(self) -> list[bytes]:
        life, _ = await self._committed()
        known = await life.files.undisturbed(life.files.contents.operation_ids.dump)
        return [operation_id for operation_id, _, _ in known]

    async def count(self) -> int:
        life, view = await self._committed()
        return await life.files.read(view, query.count, self._filter, exact=True)

    async def page(self, start: PointId | None, limit: int) -> Page:
        life, view = await self._committed()
        request = ScrollRequest(limit + 1, offset=start, filter=self._filter, projection=_EVERYTHING)
        records = await life.files.read(view, query.scroll, request)
        return Page(records[:limit], records[limit].id if len(records) > limit else None)

    async def changes(self, after: int) -> Changes:
        life, view = await self._committed()
        upto, ids, operations = after, dict[PointId, None](), list[bytes]()
        if view.seq > after:
            entries = await life.entries(after + 1)
            if not entries:
                raise LogGone
            for entry in entries:
                if entry.seq <= view.seq:
                    assert entry.seq == upto + 1
                    upto = entry.seq
                    logged = decode_entry(entry.body)
                    ids.update(dict.fromkeys(_touched(logged.operation)))
                    operations += _known(logged)
        own = in_buckets(list(ids), self._buckets)
        step = view.buckets.step if upto == view.seq else 0
        return Changes(upto, own, operations, step, answers_for(view.buckets, self._buckets))

    async def records(self, ids: Sequence[PointId]) -> list[Record]:
        life, view = await self._committed()
        return await life.files.read(view, query.retrieve, ids, _EVERYTHING)

    async def more(self, after: int) -> None:
        try:
            async with asyncio.timeout(POLL_S):
                await self._life().applied.wait(after + 1)
        except TimeoutError:
            pass

    async def _committed(self) -> tuple[Life, View]:
        """A view of which nothing will ever be cut. Raises: ShardUnavailable."""
        life = self._life()
        view = life.files.view
        if not await life.committed.wait(view.seq) or self._life() is not life:
            raise ShardUnavailable("the shard is led anew")
        return life, view


def in_buckets(ids: Sequence[PointId], buckets: bytes) -> list[PointId]:
    """Those of ``ids`` that belong to the set."""
    wanted = unpack_buckets(buckets)[buckets_of(map(id_key, ids))]
    return [point_id for point_id, there in zip(ids, wanted.tolist(), strict=True) if there]


def _touched(operation: AnyLogOperation) -> list[PointId]:
    if isinstance(operation, _OF_POINTS):
        return operation.ids
    return []


def _known(entry: LogEntry) -> list[bytes]:
    """The ids of operations that the entry tells of."""
    if isinstance(entry.operation, KnowOperations):
        return entry.operation.ids
    return [entry.operation_id] if entry.operation_id else []
