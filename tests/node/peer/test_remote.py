"""A replica on another peer answers as one here does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from node.peer import remote
from node.peer.remote import RemoteReplica
from node.peer.shard_service import serve_shards
from protos.errors import BadInput, NotPrimary, ShardUnavailable, Timeout
from protos.facets import FacetHit, FacetRequest
from protos.filters import FieldCondition, Filter, Range
from protos.fusion import Dbsf
from protos.hardware import HardwareUsage, billed, charge
from protos.idf import Frequencies, FrequencyRequest, Weighing
from protos.memory import ShardMemory, Usage, VectorMemory
from protos.operations import DeletePoints, UpdateResult, UpdateStatus
from protos.shard import (
    Hits,
    Position,
    Projection,
    ReadSession,
    Record,
    ScrollRequest,
    SearchRequest,
    UpdateRequest,
    unreachable_shard,
)
from protos.stages import Fused, Listed, StagedRequest
from tests.node.peer import shard_strategies as any_
from tests.node.peer.callers import Caller

Make = Callable[..., Awaitable[Caller]]
HITS = [Hits([Record(1, 2, b"{}")], np.array([0.5], dtype=np.float32))]


class Replica:
    """A ``ReplicaClient`` and its ``ShardClient``: notes what it is asked, and answers what it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, object]] = []
        self.sessions: list[ReadSession] = []
        self.answer: Any = None
        self.cost = HardwareUsage(cpu=3)

    def open(self, session: ReadSession) -> Replica:
        self.sessions.append(ReadSession(session.strong, session.at_least, session.position))
        session.position = Position(4, 5)
        return self

    def _answer(self, what: str, request: object) -> Any:
        self.asked.append((what, any_.plain(request)))
        charge(self.cost)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def update(self, request: UpdateRequest) -> UpdateResult:
        return self._answer("update", request)  # type: ignore[no-any-return]

    async def search(self, requests: list[SearchRequest]) -> list[Hits]:
        return self._answer("search", requests)  # type: ignore[no-any-return]

    async def scroll(self, request: ScrollRequest) -> list[Record]:
        return self._answer("scroll", request)  # type: ignore[no-any-return]

    async def retrieve(self, ids: list[int | str], projection: Projection) -> list[Record]:
        return self._answer("retrieve", (ids, projection))  # type: ignore[no-any-return]

    async def count(self, filter: Filter | None, *, exact: bool) -> int:
        return self._answer("count", (filter, exact))  # type: ignore[no-any-return]

    async def query_staged(self, requests: list[StagedRequest]) -> list[Hits]:
        return self._answer("query_staged", requests)  # type: ignore[no-any-return]

    async def facet(self, request: FacetRequest) -> list[FacetHit]:
        return self._answer("facet", request)  # type: ignore[no-any-return]

    async def frequencies(self, requests: list[FrequencyRequest]) -> list[Frequencies]:
        return self._answer("frequencies", requests)  # type: ignore[no-any-return]

    async def info(self) -> Any:
        return self._answer("info", None)

    async def memory(self) -> Any:
        return self._answer("memory", None)

    async def settle_schema(self, config_version: int) -> UpdateResult:
        return self._answer("settle_schema", config_version)  # type: ignore[no-any-return]


class Host:
    def __init__(self) -> None:
        self.replicas: dict[tuple[str, int], Replica] = {}

    def hosted(self, collection_uuid: str, shard_id: int) -> Any:
        try:
            return self.replicas[collection_uuid, shard_id]
        except KeyError:
            raise ShardUnavailable(f"shard {shard_id} is not here") from None


async def remote_replica(caller: Make, *, measured: bool = False) -> tuple[Replica, RemoteReplica]:
    one, other = await caller(1), await caller(2)
    host, replica = Host(), Replica()
    host.replicas["u", 3] = replica
    serve_shards(other.calls, host, measured=measured)
    return replica, RemoteReplica(one.calls, 2, "u", 3)


REQUESTS: list[tuple[str, Callable[[Any], Any], object, object]] = [
    (
        "update",
        lambda shard: shard.update(UpdateRequest(DeletePoints([1]), wait=True)),
        UpdateRequest(DeletePoints([1]), wait=True),
        UpdateResult(UpdateStatus.COMPLETED, 7),
    ),
    (
        "search",
        lambda shard: shard.search([SearchRequest("", np.ones(2, dtype=np.float32), 1)]),
        [SearchRequest("", np.ones(2, dtype=np.float32), 1)],
        HITS,
    ),
    (
        "query_staged",
        lambda shard: shard.query_staged([StagedRequest(Fused(Dbsf(), 3, (Listed(ScrollRequest(2)),)))]),
        [StagedRequest(Fused(Dbsf(), 3, (Listed(ScrollRequest(2)),)))],
        HITS,
    ),
    ("scroll", lambda shard: shard.scroll(ScrollRequest(3)), ScrollRequest(3), HITS[0].records),
    (
        "retrieve",
        lambda shard: shard.retrieve([1, 2], Projection()),
        ([1, 2], Projection()),
        HITS[0].records,
    ),
    ("count", lambda shard: shard.count(Filter(), exact=True), (Filter(), True), 9),
    (
        "facet",
        lambda shard: shard.facet(FacetRequest("k", 3)),
        FacetRequest("k", 3),
        [FacetHit("a", 2), FacetHit("b", 1)],
    ),
    (
        "frequencies",
        lambda shard: shard.frequencies([FrequencyRequest("w", [1, 2], Weighing(Filter()))]),
        [FrequencyRequest("w", [1, 2], Weighing(Filter()))],
        [Frequencies(9, [3, 0])],
    ),
    ("info", lambda shard: shard.info(), None, unreachable_shard("x")),
    (
        "memory",
        lambda shard: shard.memory(),
        None,
        ShardMemory({"a": VectorMemory(Usage(1, 2, 3, 4))}, payload_index={"k": Usage(5)}),
    ),
]


@pytest.mark.parametrize(("what", "ask", "request_", "answer"), REQUESTS, ids=[row[0] for row in REQUESTS])
async def test_what_is_asked_arrives_and_so_does_the_answer(
    caller: Make, what: str, ask: Callable[[Any], Any], request_: object, answer: object
) -> None:
    replica, client = await remote_replica(caller)
    replica.answer = answer
    session = ReadSession(strong=True, at_least=Position(1, 2))
    found = await ask(client.open(session))
    assert any_.plain(found) == any_.plain(answer)
    assert replica.asked == [(what, any_.plain(request_))]
    assert replica.sessions == [ReadSession(True, Position(1, 2), None)]
    assert session.position == Position(4, 5)


@pytest.mark.parametrize("measured", [True, False])
async def test_what_an_answer_cost_there_is_charged_here(caller: Make, measured: bool) -> None:
    replica, client = await remote_replica(caller, measured=measured)
    replica.answer = 9
    with billed() as bill:
        for _ in range(2):
            await client.open(ReadSession()).count(None, exact=True)
    assert bill.usage == (HardwareUsage(cpu=6) if measured else None)


async def test_an_answer_of_a_peer_that_tells_no_cost_is_understood() -> None:
    answer = remote.wire.FORMAT.to_bytes() + msgspec.msgpack.encode([None, 7])
    shard = RemoteReplica(Recording(answer), 2, "u", 3).open(ReadSession())  # type: ignore[arg-type]
    with billed() as bill:
        assert await shard.count(None, exact=True) == 7
    assert bill.usage is None


async def test_a_schema_is_settled(caller: Make) -> None:
    replica, client = await remote_replica(caller)
    replica.answer = UpdateResult(UpdateStatus.COMPLETED, 3)
    assert await client.settle_schema(12) == UpdateResult(UpdateStatus.COMPLETED, 3)
    assert replica.asked == [("settle_schema", ("int", 12))]


async def test_errors_of_the_replica_come_back(caller: Make) -> None:
    replica, client = await remote_replica(caller)
    replica.answer = NotPrimary("Another replica leads", primary=5)
    with pytest.raises(NotPrimary) as raised:
        await client.open(ReadSession()).update(UpdateRequest(DeletePoints([1])))
    assert raised.value.primary == 5


async def test_a_shard_that_is_not_there_is_unavailable(caller: Make) -> None:
    _, client = await remote_replica(caller)
    client = RemoteReplica(client._calls, 2, "u", 4)
    with pytest.raises(ShardUnavailable, match="shard 4 is not here"):
        await client.open(ReadSession()).count(None, exact=True)


async def test_a_number_that_cannot_be_sent_is_bad_input(caller: Make) -> None:
    replica, client = await remote_replica(caller)
    huge = Filter(must=(FieldCondition("k", (Range(lt=10**30),)),))
    with pytest.raises(BadInput, match="64 bits"):
        await client.open(ReadSession()).count(huge, exact=True)
    assert not replica.asked


class Recording:
    """``PeerCalls`` that answer with given bytes, and note how long they would wait."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.timeouts_s: list[float] = []

    async def call(self, peer_id: int, method: str, request: bytes, *, timeout_s: float) -> bytes:
        self.timeouts_s.append(timeout_s)
        return self.answer


async def test_the_replica_decides_that_the_time_of_a_write_is_up() -> None:
    calls = Recording(remote.wire.UPDATE.encode_answer(None, UpdateResult(UpdateStatus.COMPLETED)))
    shard = RemoteReplica(calls, 2, "u", 3).open(ReadSession())  # type: ignore[arg-type]
    await shard.update(UpdateRequest(DeletePoints([1]), timeout_ms=500))
    await shard.update(UpdateRequest(DeletePoints([1])))
    assert calls.timeouts_s == [0.5 + remote.WRITE_MARGIN_S, remote.WRITE_S + remote.WRITE_MARGIN_S]


async def test_a_request_of_another_format_is_refused_and_not_done(caller: Make) -> None:
    replica, client = await remote_replica(caller)
    with pytest.raises(ShardUnavailable, match=r"shard\.count was not understood: format 1"):
        await client._calls.call(2, "shard.count", b"\x09", timeout_s=5)
    assert not replica.asked


async def test_an_answer_of_another_format_leaves_the_outcome_open() -> None:
    shard = RemoteReplica(Recording(b"\x09"), 2, "u", 3).open(ReadSession())  # type: ignore[arg-type]
    with pytest.raises(Timeout, match=r"answered shard\.update unintelligibly"):
        await shard.update(UpdateRequest(DeletePoints([1])))


async def test_a_broken_connection_leaves_a_writes_outcome_open_and_a_read_may_be_asked_elsewhere(
    caller: Make,
) -> None:
    """A reader waits for a fail-over then, as after any replica that cannot answer, and is no 408."""
    near, far = await caller(1), await caller(2)
    asked: asyncio.Queue[str] = asyncio.Queue()

    async def never(_caller: int, _request: bytes) -> bytes:
        asked.put_nowait("")
        await asyncio.Event().wait()
        raise AssertionError

    for method in (remote.wire.UPDATE, remote.wire.COUNT):
        far.calls.handle(method.name, never)
    shard = RemoteReplica(near.calls, 2, "u", 3).open(ReadSession())
    write = asyncio.create_task(shard.update(UpdateRequest(DeletePoints([1]))))
    read = asyncio.create_task(shard.count(None, exact=True))
    for _ in range(2):
        await asked.get()
    await far.stop()
    with pytest.raises(ShardUnavailable, match="the answer to a read was lost"):
        await read
    with pytest.raises(Timeout, match="may have been done"):
        await write


async def test_a_replica_that_says_itself_that_the_time_is_up_is_believed(caller: Make) -> None:
    replica, client = await remote_replica(caller)
    replica.answer = Timeout("it took too long")
    with pytest.raises(Timeout, match="it took too long"):
        await client.open(ReadSession()).count(None, exact=True)
