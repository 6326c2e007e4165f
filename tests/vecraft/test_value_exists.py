"""Tokens that are good while a point exists, and tokens that speak for their bearer elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from router.auth.access import Match, ValueExists
from router.auth.claims import Claims
from router.auth.tokens import mint
from tests.router.rest.conftest import AppServer
from tests.vecraft.served import serving
from vecraft.settings import InferenceSettings, ServiceSettings, Settings

API = "a" * 32
ADMIN = {"api-key": API}


@pytest.fixture
async def tokens_seen() -> AsyncIterator[tuple[str, list[Any]]]:
    """A remote inference service, and the tokens it was sent."""
    seen: list[Any] = []

    async def embed(request: web.Request) -> web.Response:
        body = await request.json()
        seen.append(body["token"])
        return web.json_response({"embeddings": [[1.0, 0.0] for _ in body["inputs"]]})

    app = web.Application()
    app.router.add_post("/", embed)
    async with TestServer(app) as server:
        yield str(server.make_url("/")), seen


@pytest.fixture
async def client(tmp_path: Path, tokens_seen: tuple[str, list[Any]]) -> AsyncIterator[TestClient[Any, Any]]:
    inference = InferenceSettings(address=tokens_seen[0], token="the node's own")
    service = ServiceSettings(api_key=API, jwt_rbac=True)
    async with (
        serving(tmp_path, service, Settings(inference=inference)) as applications,
        TestClient(AppServer(applications.rest[0])) as running,
    ):
        config = {"vectors": {"size": 2, "distance": "Dot"}}
        assert (await running.put("/collections/users", json=config, headers=ADMIN)).status == 200
        yield running


def bearer(collection: str, *matches: Match) -> dict[str, str]:
    return {"api-key": mint(API, Claims(value_exists=ValueExists(collection, matches)))}


async def test_a_token_is_good_while_its_point_exists(client: TestClient[Any, Any]) -> None:
    ann = bearer("users", Match("name", "ann"), Match("active", True))
    path = "/collections/users/points"
    refused = await client.get("/collections", headers=ann)
    assert refused.status == 401
    assert await refused.text() == "Invalid JWT: no point has the values of value_exists"
    for active, status in ((False, 401), (True, 200)):
        point = {"id": 1, "vector": [1, 1], "payload": {"name": "ann", "active": active}}
        await client.put(f"{path}?wait=true", json={"points": [point]}, headers=ADMIN)
        assert (await client.get("/collections", headers=ann)).status == status
    await client.post(f"{path}/delete?wait=true", json={"points": [1]}, headers=ADMIN)
    assert (await client.get("/collections", headers=ann)).status == 401


async def test_a_point_of_a_collection_that_is_gone_exists_no_more(client: TestClient[Any, Any]) -> None:
    refused = await client.get("/collections", headers=bearer("nowhere", Match("name", "ann")))
    assert (refused.status, await refused.text()) == (403, "Collection `nowhere` doesn't exist!")


async def test_the_inference_service_is_asked_in_the_name_of_the_caller(
    client: TestClient[Any, Any], tokens_seen: tuple[str, list[Any]]
) -> None:
    body = {"query": {"text": "hello", "model": "somebody/s-model"}}
    for headers in (ADMIN, {"api-key": mint(API, Claims(sub="ann"))}):
        answer = await client.post("/collections/users/points/query", json=body, headers=headers)
        assert answer.status == 200, await answer.text()
    assert tokens_seen[1] == ["the node's own", "ann"]
