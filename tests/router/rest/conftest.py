"""A REST server on fakes, and a client that speaks JSON with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestClient

from router.auth.gate import OPEN
from router.auth.needs import Need
from router.cluster import ClusterOperations
from router.cluster.local_shards import LocalShardOperations
from router.collections import CollectionOperations
from router.points import PointOperations
from router.queries.operations import SearchOperations
from router.rest.app import RestApplication, create_app
from router.rest.routes import Route
from tests.router.cluster.fakes import FakeShardKeys
from tests.router.fakes import FakeLog, FakeNode, FakeShard


class Answer:
    def __init__(self, response: aiohttp.ClientResponse, body: bytes) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = body

    @property
    def json(self) -> Any:
        import json

        return json.loads(self.body)

    @property
    def result(self) -> Any:
        assert self.status == 200, self.body
        return self.json["result"]

    @property
    def error(self) -> str:
        return str(self.json["status"]["error"])


class AppServer(BaseTestServer):
    """Listens for the application, and closes it in the end."""

    def __init__(self, app: RestApplication) -> None:
        super().__init__()
        self._application = app

    async def _make_runner(self, **options: Any) -> web.ServerRunner:
        return self._application.runner(**options)

    async def close(self) -> None:
        if self.started and not self.closed:
            await super().close()
            await self._application.close()


class Rest:
    """The server under test: requests in, answers out, and the fakes behind it."""

    def __init__(self, client: TestClient[web.Request, None], node: FakeNode) -> None:
        self.client = client
        self.node = node

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        if body is not None:
            options["json"] = body
        response = await self.client.request(method, path, **options)
        return Answer(response, await response.read())

    async def put(self, path: str, body: Any = None, **options: Any) -> Answer:
        return await self.call("PUT", path, body, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        return await self.call("POST", path, body, **options)

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.call("GET", path, **options)

    async def delete(self, path: str, **options: Any) -> Answer:
        return await self.call("DELETE", path, **options)

    async def create(self, name: str = "c", **config: Any) -> None:
        config.setdefault("vectors", {"size": 2, "distance": "Dot"})
        assert (await self.put(f"/collections/{name}", config)).result is True

    async def upsert(self, points: list[dict[str, Any]], name: str = "c") -> Any:
        return (await self.put(f"/collections/{name}/points?wait=true", {"points": points})).result

    def shards(self, name: str = "c") -> list[FakeShard]:
        return [shard for (owner, _), shard in sorted(self.node.shards.items()) if owner == name]


async def _crash(_request: web.Request) -> web.StreamResponse:
    raise RuntimeError("boom")


async def _large(request: web.Request) -> web.StreamResponse:
    return web.Response(text="x" * int(request.match_info["size"]))


async def _echo_size(request: web.Request) -> web.StreamResponse:
    return web.Response(text=str(len(await request.read())))


TEST_ROUTES = (
    Route("GET", "/crash", _crash, Need.KNOWN),
    Route("GET", "/large/{size}", _large, Need.KNOWN),
    Route("POST", "/echo", _echo_size, Need.KNOWN),
)


@pytest.fixture
async def rest() -> AsyncIterator[Rest]:
    log, node = FakeLog(), FakeNode()
    collections = CollectionOperations(log, node)
    app = create_app(
        collections,
        PointOperations(collections, node),
        SearchOperations(collections, node),
        cluster=ClusterOperations(log, None, FakeShardKeys()),
        local_shards=LocalShardOperations(log, node),
        gate=OPEN,
        max_request_size_mb=1,
        extra_routes=TEST_ROUTES,
    )
    async with TestClient(AppServer(app)) as client:
        yield Rest(client, node)
    await collections.close()
