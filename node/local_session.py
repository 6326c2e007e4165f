"""Requests to a shard whose only replica is in this process.

Nobody else writes here and a write is visible when it is answered, so a read need not wait for a position: it
either has been reached or, after the loss of files, is gone.
"""

from __future__ import annotations

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


class LocalSession:
    """Implements ``protos.shard_client.ShardClient`` for one request.

    ``session`` is told where a write was logged.

    Raises: ShardUnavailable if the session asks for a position that the replica does not have.
    """

    def __init__(self, replica: ShardReplica | FailedReplica, session: ReadSession) -> None:
        self._replica, self._session = replica, session
        wanted = session.at_least
        if wanted is None or isinstance(replica, FailedReplica):
            return
        if replica.position(replica.view.seq) < wanted:
            raise ShardUnavailable("this replica lacks a write that is asked for")

    async def update(self, request: UpdateRequest) -> UpdateResult:
        result = await self._replica.update(request)
        if isinstance(self._replica, ShardReplica) and result.operation_id is not None:
            self._session.position = self._replica.position(result.operation_id)
            if request.wait:
                self._replica.charge_write(result.operation_id)
        return result

    async def search(self, requests: list[SearchRequest]) -> list[Hits]:
        return await self._replica.search(requests)

    async def query_staged(self, requests: list[StagedRequest]) -> list[Hits]:
        return await self._replica.query_staged(requests)

    async def scroll(self, request: ScrollRequest) -> list[Record]:
        return await self._replica.scroll(request)

    async def retrieve(self, ids: list[PointId], projection: Projection) -> list[Record]:
        return await self._replica.retrieve(ids, projection)

    async def count(self, filter: Filter | None, *, exact: bool) -> int:
        return await self._replica.count(filter, exact=exact)

    async def facet(self, request: FacetRequest) -> list[FacetHit]:
        return await self._replica.facet(request)

    async def frequencies(self, requests: list[FrequencyRequest]) -> list[Frequencies]:
        return await self._replica.frequencies(requests)

    async def info(self) -> ShardInfo:
        return await self._replica.info()

    async def memory(self) -> ShardMemory:
        return await self._replica.memory()
