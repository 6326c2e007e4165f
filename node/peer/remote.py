"""A replica on another node, as a ``node.client.ReplicaClient``."""

from __future__ import annotations

from typing import TypeVar

from node.peer import shard_wire as wire
from node.peer.calls import PeerCalls
from node.peer.shard_wire import Method
from protos.errors import BadInput, ShardUnavailable, Timeout
from protos.facets import FacetHit, FacetRequest
from protos.filters import Filter
from protos.hardware import charge
from protos.idf import Frequencies, FrequencyRequest
from protos.ids import PointId
from protos.memory import ShardMemory
from protos.operations import UpdateResult
from protos.shard import (
    Hits,
    Intake,
    Projection,
    ReadSession,
    Record,
    ScrollRequest,
    SearchRequest,
    ShardInfo,
    UpdateRequest,
)
from protos.shard_client import ShardClient
from protos.stages import StagedRequest

WRITE_S = 60.0  # of a write without a time of its own
WRITE_MARGIN_S = 5.0  # the replica itself is to say that the time is up: it knows what became of the write
READ_S = 60.0  # who asks gives up earlier

Q = TypeVar("Q")
A = TypeVar("A")


class RemoteReplica:
    """A ``ReplicaClient``. ``peer_id`` may be this member's own."""

    def __init__(self, calls: PeerCalls, peer_id: int, collection_uuid: str, shard_id: int) -> None:
        self._calls, self._peer_id = calls, peer_id
        self._collection_uuid, self._shard_id = collection_uuid, shard_id

    def open(self, session: ReadSession) -> ShardClient:
        return RemoteShard(self, session)

    async def settle_schema(self, config_version: int) -> UpdateResult:
        timeout_s = WRITE_S + WRITE_MARGIN_S
        return await self.ask(wire.SETTLE_SCHEMA, ReadSession(), config_version, timeout_s=timeout_s)

    async def take(self, intake: Intake) -> UpdateResult:
        return await self.ask(wire.TAKE, ReadSession(), intake, timeout_s=WRITE_S + WRITE_MARGIN_S)

    async def ask(self, method: Method[Q, A], session: ReadSession, request: Q, *, timeout_s: float) -> A:
        """Raises: as ``PeerCalls.call``; BadInput: a number that cannot be sent."""
        try:
            data = method.encode_request(self._collection_uuid, self._shard_id, session, request)
        except OverflowError as error:
            raise BadInput("a number is out of range: integers of 64 bits are expected") from error
        data = await self._calls.call(self._peer_id, method.name, data, timeout_s=timeout_s)
        try:
            answered = method.decode_answer(data)
        except ValueError as error:
            raise Timeout(f"Peer {self._peer_id} answered {method.name} unintelligibly: {error}") from error
        session.position = answered.position
        if answered.usage is not None:
            charge(answered.usage)
        return answered.result


class RemoteShard:
    """A ``ShardClient`` for one request; ``session.position`` is set by each answer."""

    def __init__(self, replica: RemoteReplica, session: ReadSession) -> None:
        self._replica, self._session = replica, session

    async def update(self, request: UpdateRequest) -> UpdateResult:
        own_s = WRITE_S if request.timeout_ms is None else request.timeout_ms / 1000
        timeout_s = own_s + WRITE_MARGIN_S
        return await self._replica.ask(wire.UPDATE, self._session, request, timeout_s=timeout_s)

    async def search(self, requests: list[SearchRequest]) -> list[Hits]:
        return await self._read(wire.SEARCH, requests)

    async def scroll(self, request: ScrollRequest) -> list[Record]:
        return await self._read(wire.SCROLL, request)

    async def retrieve(self, ids: list[PointId], projection: Projection) -> list[Record]:
        return await self._read(wire.RETRIEVE, wire.Retrieve(ids, projection))

    async def count(self, filter: Filter | None, *, exact: bool) -> int:
        return await self._read(wire.COUNT, wire.Count(filter, exact))

    async def query_staged(self, requests: list[StagedRequest]) -> list[Hits]:
        return await self._read(wire.QUERY_STAGED, requests)

    async def facet(self, request: FacetRequest) -> list[FacetHit]:
        return await self._read(wire.FACET, request)

    async def frequencies(self, requests: list[FrequencyRequest]) -> list[Frequencies]:
        return await self._read(wire.FREQUENCIES, requests)

    async def info(self) -> ShardInfo:
        return await self._read(wire.INFO, None)

    async def memory(self) -> ShardMemory:
        return await self._read(wire.MEMORY, None)

    async def _read(self, method: Method[Q, A], request: Q) -> A:
        """A connection that broke, unlike a write's, leaves no doubt: another replica may be asked."""
        try:
            return await self._replica.ask(method, self._session, request, timeout_s=READ_S)
        except Timeout as error:
            if error.__cause__ is None:  # the replica's own word
                raise
            raise ShardUnavailable(f"the answer to a read was lost: {error.message}") from error
