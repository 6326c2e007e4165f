"""Requests to a shard whose only replica is in this process.

Nobody else writes here and a write is visible when it is answered, so a read need not wait for a position: it
either has been reached or, after the loss of files, is gone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from node.replica.failed import FailedReplica
from node.replica.replica import ShardReplica
from protos.errors import ShardUnavailable
from protos.facets import FacetHit, FacetRequest
from protos.filters import Filter
from protos.idf import Frequencies, FrequencyRequest
from protos.ids import PointId
from protos.memory import ShardMemory
from protos.operations import UpdateResult
from protos.shard import (
    Hits,
    Projection,
    ReadSession,
    Record,
    ScrollRequest,
    SearchRequest,
    ShardInfo,
    UpdateRequest,
)
from protos.stages import StagedRequest

T = TypeVar("T")


Replica = ShardReplica | FailedReplica


class Holder(Protocol):
    """The node, as far as it concerns one shard."""

    @property
    def replica(self) -> Replica:
        """Raises: ShardUnavailable if the node does not hold it."""
        ...

    async def successor(self, replica: Replica) -> Replica | None:
        """What takes the place of ``replica``, once it has; None: nothing does."""
        ...


class LocalSession:
    """Implements ``protos.shard_client.ShardClient`` for one request.

    ``session`` is told where a write was logged. A read that finds the replica closed, because a snapshot's
    files take its place, is answered from those.

    Raises: ShardUnavailable if the session asks for a position that the replica does not have.
    """

    def __init__(self, holder: Holder, session: ReadSession) -> None:
        self._holder, self._session = holder, session
        self._check(holder.replica)

    def _check(self, replica: Replica) -> None:
        wanted = self._session.at_least
        if wanted is None or isinstance(replica, FailedReplica):
            return
        if replica.position(replica.view.seq) < wanted:
            raise ShardUnavailable("this replica lacks a write that is asked for")

    async def _read(self, call: Callable[[Replica], Awaitable[T]]) -> T:
        replica = self._holder.replica
        while True:
            try:
                return await call(replica)
            except ShardUnavailable:
                successor = await self._holder.successor(replica)
                if successor is None:
                    raise
            self._check(successor)
            replica = successor

    async def update(self, request: UpdateRequest) -> UpdateResult:
        replica = self._holder.replica
        result = await replica.update(request)
        if isinstance(replica, ShardReplica) and result.operation_id is not None:
            self._session.position = replica.position(result.operation_id)
            if request.wait:
                replica.charge_write(result.operation_id)
        return result

    async def search(self, requests: list[SearchRequest]) -> list[Hits]:
        return await self._read(lambda replica: replica.search(requests))

    async def query_staged(self, requests: list[StagedRequest]) -> list[Hits]:
        return await self._read(lambda replica: replica.query_staged(requests))

    async def scroll(self, request: ScrollRequest) -> list[Record]:
        return await self._read(lambda replica: replica.scroll(request))

    async def retrieve(self, ids: list[PointId], projection: Projection) -> list[Record]:
        return await self._read(lambda replica: replica.retrieve(ids, projection))

    async def count(self, filter: Filter | None, *, exact: bool) -> int:
        return await self._read(lambda replica: replica.count(filter, exact=exact))

    async def facet(self, request: FacetRequest) -> list[FacetHit]:
        return await self._read(lambda replica: replica.facet(request))

    async def frequencies(self, requests: list[FrequencyRequest]) -> list[Frequencies]:
        return await self._read(lambda replica: replica.frequencies(requests))

    async def info(self) -> ShardInfo:
        return await self._read(lambda replica: replica.info())

    async def memory(self) -> ShardMemory:
        return await self._read(lambda replica: replica.memory())
