"""Beyond so many requests a node refuses more, over both protocols, and is itself again afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from protos.errors import Overloaded
from protos.qdrant.queries_pb2 import CountPoints, CountResponse
from router.auth.gate import OPEN
from router.cluster import ClusterOperations
from router.cluster.local_shards import LocalShardOperations
from router.collections import CollectionOperations
from router.grpc.server import create_server
from router.load import Load
from router.points import PointOperations
from router.queries.operations import SearchOperations
from router.rest.app import create_app
from tests.router.cluster.fakes import FakeShardKeys
from tests.router.fakes import FakeLog, FakeNode
from tests.router.rest.conftest import AppServer
from tests.router.snapshots.fakes import fake_snapshots

PENDING_MAX = 3
COUNT = "/collections/c/points/count"
TEXT = (
    "Too many requests: 3 requests are under way on this node, and it takes no more at once "
    "(service.max_pending_requests). Retry later, or send fewer at a time"
)

Client = TestClient[web.Request, None]


class Held(SearchOperations):
    """Counts take until they are let go."""

    def __init__(self, collections: CollectionOperations, node: FakeNode) -> None:
        super().__init__(collections, node)
        self.begun, self.go, self.changed = 0, asyncio.Event(), asyncio.Condition()

    async def count(self, *_: Any, **__: Any) -> int:
        await self._add(1)
        try:
            await self.go.wait()
        finally:
            await self._add(-1)
        return 7

    async def until(self, counting: int) -> None:
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(lambda: self.begun == counting)

    async def _add(self, counting: int) -> None:
        async with self.changed:
            self.begun += counting
            self.changed.notify_all()


class Both:
    def __init__(self, searches: Held, load: Load, rest: Client, channel: grpc.aio.Channel) -> None:
        self.searches, self.load, self.rest = searches, load, rest
        self._count = channel.unary_unary(
            "/qdrant.Points/Count",
            request_serializer=CountPoints.SerializeToString,
            response_deserializer=CountResponse.FromString,
        )

    async def over_grpc(self) -> Any:
        return await self._count(CountPoints(collection_name="c"))

    async def fill(self) -> list[asyncio.Task[Any]]:
        """As many as are taken, of both protocols."""
        calls = [
            asyncio.create_task(self.over_grpc()),
            *(asyncio.create_task(self.rest.post(COUNT, json={})) for _ in range(PENDING_MAX - 1)),
        ]
        await self.searches.until(PENDING_MAX)
        return calls


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    log, node, load = FakeLog(), FakeNode(), Load(PENDING_MAX)
    collections = CollectionOperations(log, node)
    points, searches = PointOperations(collections, node), Held(collections, node)
    cluster = ClusterOperations(log, None, FakeShardKeys())
    app = create_app(
        collections,
        points,
        searches,
        cluster=cluster,
        local_shards=LocalShardOperations(log, node),
        gate=OPEN,
        load=load,
    )
    snapshots = fake_snapshots(log, collections, tmp_path)
    server = create_server(
        collections,
        points,
        searches,
        cluster,
        snapshots.operations,
        snapshots.whole,
        gate=OPEN,
        version="1",
        load=load,
    )
    port = await server.listen("127.0.0.1", 0)
    async with (
        TestClient(AppServer(app)) as rest,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield Both(searches, load, rest, channel)
    await server.stop(0)
    await collections.close()


async def test_what_is_beyond_is_refused_at_once_and_told_when_to_come_again(both: Both) -> None:
    taken = await both.fill()
    refused = await both.rest.post(COUNT, data=b"\xff" * 100_000)
    assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
    assert (await refused.json())["status"] == {"error": TEXT}
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await both.over_grpc()
    assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert failed.value.details() == TEXT
    assert ("retry-after", "1") in tuple(failed.value.trailing_metadata() or ())
    assert both.searches.begun == PENDING_MAX
    assert (await both.rest.get("/cluster")).status == 200  # not about a collection
    both.searches.go.set()
    answers = await asyncio.gather(*taken)
    assert [answers[0].result.count, *(answer.status for answer in answers[1:])] == [7, 200, 200]
    assert (both.load.running, both.load.refused) == (0, 2)


async def test_whoever_fails_or_leaves_makes_room(both: Both) -> None:
    for call in await both.fill():
        call.cancel()
    await both.searches.until(0)
    both.searches.go.set()
    for _ in range(2 * PENDING_MAX):
        assert (await both.rest.post("/collections/none/points/query", json={})).status == 404
        assert (await both.rest.post(COUNT, json={})).status == 200
    assert both.load.running == 0


def test_one_more_than_the_bound_is_refused() -> None:
    load = Load(1)
    with load:
        with pytest.raises(Overloaded), load:
            raise AssertionError
        assert load.running == 1
    with load:
        assert load.running == 1
    assert (load.running, load.refused) == (0, 1)
