"""This node's replica of one shard, read and cleaned by itself: for debugging (reference 14.12).

Reads show what the replica holds, whatever its state; other replicas are not asked. They can leave out the
points that belong to another shard than an expected one, which is what a resharding leaves behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from msgspec.structs import replace

from consensus.buckets import shard_of
from consensus.log import MetadataLog
from consensus.state import CollectionState, ShardState
from node.client import NodeClient, ShardClient
from protos.errors import NotFound, operation_timed_out, vector_name_not_found
from protos.filters import Filter
from protos.ids import PointId, id_key
from protos.operations import DeletePoints, UpdateResult, UpdateStatus
from protos.shard import Projection, ReadSession, Record, ScrollRequest, UpdateRequest
from router.auth.access import FULL, Access
from router.auth.needs import Need
from router.background import Background
from router.order import require_range_index
from router.queries.requests import WINDOW_MAX, Page
from router.replicas.readers import ShardReader
from router.tenants import of_tenant

T = TypeVar("T")
Belongs = Callable[[PointId], bool]

TIMEOUT_MS = 60_000
PAGE = 1000  # points looked at, or deleted, at a time


class LocalShardOperations:
    def __init__(self, log: MetadataLog, node: NodeClient) -> None:
        self._log = log
        self._node = node
        self._background = Background()
        self._cleanings: dict[tuple[str, int], asyncio.Task[UpdateResult]] = {}

    async def close(self) -> None:
        """End cleanings that still run; another one goes on where they were."""
        for cleaning in list(self._cleanings.values()):
            cleaning.cancel()
        await self._background.drain()

    def bare(self, collection: str, projection: Projection) -> bool:
        """Do the vectors show as bare lists, since there is just the unnamed one?"""
        return projection.vectors is True and self._log.state.named(collection).config.params.unnamed_only

    # --- reads -------------------------------------------------------------------------------------

    async def retrieve(
        self,
        name: str,
        shard_id: int,
        ids: list[PointId],
        projection: Projection,
        *,
        expected: int | None = None,
        timeout_ms: int | None = None,
        access: Access = FULL,
    ) -> list[Record]:
        """The points that exist here, in the order asked. ``expected``: only those that belong to that shard.

        Raises: NotFound for an unknown collection or shard; ShardUnavailable if it is not on this node;
            BadInput for an unknown vector; Timeout. So do the other reads.
        """
        collection, shard = self._readable(name, shard_id, access)
        _check_projection(collection, projection)
        belongs = _belongs(collection, expected)
        wanted = [point_id for point_id in ids if belongs(point_id)]
        return await _bounded(shard.retrieve(wanted, projection), timeout_ms, "Retrieve")

    async def scroll(
        self,
        name: str,
        shard_id: int,
        request: ScrollRequest,
        *,
        expected: int | None = None,
        timeout_ms: int | None = None,
        access: Access = FULL,
    ) -> Page:
        collection, shard = self._readable(name, shard_id, access)
        _check_projection(collection, request.projection)
        belongs = _belongs(collection, expected)
        if request.order_by is not None:
            require_range_index(collection.payload_schema, request.order_by.key)
            found = _ordered(shard, request, belongs)
        else:
            size = min(request.limit + 1, WINDOW_MAX - 1)
            found = _paged(shard, request, belongs, size if expected is None else max(size, PAGE))
        return await _bounded(found, timeout_ms, "Scroll")

    async def count(
        self,
        name: str,
        shard_id: int,
        filter: Filter | None,
        *,
        exact: bool,
        expected: int | None = None,
        timeout_ms: int | None = None,
        access: Access = FULL,
    ) -> int:
        """With ``expected`` always exact: every point is looked at."""
        collection, shard = self._readable(name, shard_id, access)
        if expected is None:
            counted: Coroutine[Any, Any, int] = shard.count(filter, exact=exact)
        else:
            counted = _counted(shard, filter, _belongs(collection, expected))
        return await _bounded(counted, timeout_ms, "Count")

    # --- cleaning ----------------------------------------------------------------------------------

    async def clean(
        self, name: str, shard_id: int, *, wait: bool = False, timeout_ms: int | None = None
    ) -> UpdateResult:
        """Remove the points that do not belong to the shard, from all its replicas.

        Without ``wait``, and when time is up, the cleaning goes on and the result is ``acknowledged``. One
        that runs already is waited for instead of a second one. Raises: as the reads; what the shard raises.
        """
        collection, shard = self._local(name, shard_id)
        call = self._join(collection, shard_id, shard)
        timeout_s = (timeout_ms or TIMEOUT_MS) / 1000 if wait else 0.0
        try:
            return await self._background.finish(call, what="Clean up shard", timeout_s=timeout_s)
        except TimeoutError:
            return UpdateResult(UpdateStatus.ACKNOWLEDGED)

    async def _join(self, collection: CollectionState, shard_id: int, shard: ShardClient) -> UpdateResult:
        key = (collection.uuid, shard_id)
        running = self._cleanings.get(key)
        if running is None:
            running = asyncio.create_task(self._clean(collection.name, shard_id, shard))
            self._cleanings[key] = running
            running.add_done_callback(lambda _: self._cleanings.pop(key, None))
        return await asyncio.shield(running)

    async def _clean(self, name: str, shard_id: int, shard: ShardClient) -> UpdateResult:
        """Each page is judged, and deleted by the primary, as the state is at that time."""
        result = UpdateResult(UpdateStatus.COMPLETED)
        async for records in _pages(shard, ScrollRequest(PAGE, projection=Projection()), PAGE):
            collection = self._log.state.named(name)
            belongs = _belongs(collection, shard_id)
            strangers: list[PointId] = [record.id for record in records if not belongs(record.id)]
            if strangers:
                primary = _shard_state(collection, shard_id).primary
                replica = self._node.replica(collection, shard_id, primary).open(ReadSession())
                result = await replica.update(UpdateRequest(DeletePoints(ids=strangers), wait=True))
        return result

    # --- look-ups ----------------------------------------------------------------------------------

    def _local(self, name: str, shard_id: int) -> tuple[CollectionState, ShardClient]:
        collection = self._log.state.named(name)
        _shard_state(collection, shard_id)
        return collection, self._node.shard(collection.name, shard_id)

    def _readable(self, name: str, shard_id: int, access: Access) -> tuple[CollectionState, ShardReader]:
        access.permit(Need.READ_COLLECTION, name)
        collection, shard = self._local(name, shard_id)
        return collection, of_tenant(shard, access.tenant(name))


def _shard_state(collection: CollectionState, shard_id: int) -> ShardState:
    shard = collection.shards.get(shard_id)
    if shard is None:
        raise NotFound(f"Shard {shard_id} of {collection.name} does not exist")
    return shard


def _belongs(collection: CollectionState, expected: int | None) -> Belongs:
    """Whether a point's bucket is ``expected``'s; None: all are welcome. Raises: NotFound."""
    if expected is None:
        return lambda _: True
    key = _shard_state(collection, expected).key
    return lambda point_id: shard_of(collection, id_key(point_id), key) == expected


def _check_projection(collection: CollectionState, projection: Projection) -> None:
    if isinstance(projection.vectors, tuple):
        for name in projection.vectors:
            if name not in collection.config.all_vectors:
                raise vector_name_not_found(name)


async def _pages(shard: ShardReader, request: ScrollRequest, size: int) -> AsyncIterator[list[Record]]:
    """What matches, by id, in lists of ``size``; the limit of ``request`` means nothing."""
    offset = request.offset
    while True:
        records = await shard.scroll(replace(request, limit=size + 1, offset=offset))
        yield records[:size]
        if len(records) <= size:
            return
        offset = records[size].id


async def _counted(shard: ShardReader, filter: Filter | None, belongs: Belongs) -> int:
    request = ScrollRequest(PAGE, filter=filter, projection=Projection())
    total = 0
    async for records in _pages(shard, request, PAGE):
        total += sum(belongs(record.id) for record in records)
    return total


async def _paged(shard: ShardReader, request: ScrollRequest, belongs: Belongs, size: int) -> Page:
    """By id; one more than asked tells where the next page starts."""
    found: list[Record] = []
    async for records in _pages(shard, request, size):
        found += [record for record in records if belongs(record.id)]
        if len(found) > request.limit:
            return Page(found[: request.limit], found[request.limit].id)
    return Page(found, None)


async def _ordered(shard: ShardReader, request: ScrollRequest, belongs: Belongs) -> Page:
    """By a payload key, which has no pages to go on with: ask for more until enough belong here."""
    limit = request.limit
    while True:
        records = await shard.scroll(replace(request, limit=limit))
        found = [record for record in records if belongs(record.id)]
        if len(found) >= request.limit or len(records) < limit or limit >= WINDOW_MAX:
            return Page(found[: request.limit], None)
        limit = min(limit * 2, WINDOW_MAX)


async def _bounded(call: Coroutine[Any, Any, T], timeout_ms: int | None, what: str) -> T:
    """Raises: Timeout."""
    timeout_s = (timeout_ms or TIMEOUT_MS) / 1000
    try:
        async with asyncio.timeout(timeout_s):
            return await call
    except TimeoutError as error:
        raise operation_timed_out(what, timeout_s) from error
