"""A tenant's token over points of many: as if the tenant had a collection of its own, over both protocols.

Every read is asked twice: of ``mixed``, which holds the points of two tenants, with a token bound to one of
them, and of ``alone``, which holds that one's points and nothing else, with a key that may do everything.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from aiohttp.test_utils import TestClient

from protos.qdrant import filters_pb2, points_pb2, queries_pb2, updates_pb2
from router.auth.access import Match
from router.auth.claims import Claims, CollectionClaim
from router.auth.tokens import mint
from tests.router.rest.conftest import AppServer
from tests.vecraft.served import serving
from vecraft.applications import Applications
from vecraft.settings import ServiceSettings

API = "a" * 32
ACME = (Match("org", "acme"),)


def token(org: str, access: str = "rw") -> str:
    tenant = (Match("org", org),)
    claim = CollectionClaim("mixed", access, tenant)  # type: ignore[arg-type]
    return mint(API, Claims(access=(claim, CollectionClaim("names", "r", tenant))))


def point(number: int, org: str) -> dict[str, Any]:
    """Those of the other tenant are nearer to every query, and use words that acme does not."""
    nearer = 0.0 if org == "acme" else 0.5
    return {
        "id": number,
        "vector": {
            "dense": [1.0 + nearer, number / 10 + nearer],
            "sparse": {"indices": [number % 3, 5], "values": [1.0 + nearer, 0.5]},
        },
        "payload": {
            "org": org,
            "number": number,
            "color": ["red", "blue"][number // 2 % 2],
            "name": number % 4,
        },
    }


MINE = [point(number, "acme") for number in range(0, 30, 2)]
OTHERS = [point(number, "evil") for number in range(1, 30, 2)]
NAMES = [
    {"id": number, "vector": {}, "payload": {"org": ["acme", "evil"][number % 2]}} for number in range(4)
]
SCHEMA = {
    "vectors": {"dense": {"size": 2, "distance": "Dot"}},
    "sparse_vectors": {"sparse": {"modifier": "idf"}},
    "shard_number": 2,
}
FIELDS = {"org": "keyword", "number": "integer", "color": "keyword"}


class Rest:
    def __init__(self, client: TestClient[Any, Any]) -> None:
        self._client = client

    async def __call__(
        self, method: str, path: str, body: Any = None, *, key: str = API, **headers: str
    ) -> tuple[int, Any]:
        answer = await self._client.request(
            method, f"/collections/{path}", json=body, headers={"api-key": key, **headers}
        )
        data = json.loads(await answer.read())
        return answer.status, data.get("result", data["status"])

    async def ok(self, method: str, path: str, body: Any = None) -> Any:
        status, result = await self(method, path, body)
        assert status == 200, result
        return result

    async def payloads(self) -> dict[int, Any]:
        page = await self.ok("POST", "mixed/points/scroll", {"limit": 100})
        return {record["id"]: record["payload"] for record in page["points"]}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Applications]:
    async with serving(tmp_path, ServiceSettings(api_key=API, jwt_rbac=True)) as applications:
        yield applications


@pytest.fixture
async def rest(served: Applications) -> AsyncIterator[Rest]:
    async with TestClient(AppServer(served.rest[0])) as client:
        asked = Rest(client)
        for name, points in (("mixed", [*MINE, *OTHERS]), ("alone", MINE), ("names", NAMES)):
            await asked.ok("PUT", name, SCHEMA)
            for field, kind in FIELDS.items():
                await asked.ok("PUT", f"{name}/index?wait=true", {"field_name": field, "field_schema": kind})
            await asked.ok("PUT", f"{name}/points?wait=true", {"points": points})
        yield asked


NEAREST = {"query": [1.0, 1.0], "using": "dense", "limit": 20}
SPARSE = {"query": {"indices": [0, 1, 5], "values": [1.0, 1.0, 1.0]}, "using": "sparse", "limit": 20}
SHOWN = {"with_payload": True, "with_vector": True}
RED = {"must": [{"key": "color", "match": {"value": "red"}}]}
READS: list[tuple[str, str, Any]] = [
    ("POST", "points/query", {**NEAREST, **SHOWN}),
    ("POST", "points/query", {**NEAREST, "filter": RED, "params": {"exact": True}}),
    ("POST", "points/query", {**SPARSE, "with_payload": ["number"]}),
    ("POST", "points/query", {**SPARSE, "params": {"idf": {"corpus": RED}}}),
    ("POST", "points/query", {"limit": 40, "offset": 1}),
    ("POST", "points/query", {"query": {"order_by": "number"}, "limit": 40}),
    ("POST", "points/query", {"query": 2, "using": "dense"}),
    ("POST", "points/query", {"query": {"recommend": {"positive": [2], "negative": [4]}}, "using": "dense"}),
    ("POST", "points/query", {"prefetch": [NEAREST, SPARSE], "query": {"fusion": "rrf"}, "limit": 40}),
    ("POST", "points/query", {"prefetch": {"prefetch": SPARSE, **NEAREST}, **NEAREST, "limit": 30}),
    (
        "POST",
        "points/query",
        {"prefetch": NEAREST, "query": {"formula": {"sum": ["$score", "number"]}}, "limit": 40},
    ),
    ("POST", "points/query", {"query": {"nearest": [1, 1], "mmr": {"diversity": 0.5}}, "using": "dense"}),
    ("POST", "points/query/batch", {"searches": [NEAREST, SPARSE]}),
    ("POST", "points/query/groups", {**NEAREST, "group_by": "color", "group_size": 4}),
    ("POST", "points/query/groups", {**NEAREST, "group_by": "name", "with_lookup": "names", "limit": 4}),
    ("POST", "points/search", {"vector": {"name": "dense", "vector": [1, 1]}, "limit": 40}),
    ("POST", "points/recommend", {"positive": [2], "using": "dense", "limit": 40}),
    (
        "POST",
        "points/discover",
        {"target": 2, "context": [{"positive": 4, "negative": 6}], "using": "dense", "limit": 9},
    ),
    ("POST", "points/scroll", {"limit": 7, "offset": 3, **SHOWN}),
    ("POST", "points/scroll", {"limit": 40, "order_by": {"key": "number", "direction": "desc"}}),
    ("POST", "points/count", {}),
    ("POST", "points/count", {"filter": RED, "exact": True}),
    ("POST", "points/count", {"filter": {"should": [RED, {"key": "org", "match": {"value": "evil"}}]}}),
    ("POST", "points", {"ids": [1, 4, 3, 2, 4, 99], **SHOWN}),
    ("GET", "points/4", None),
    ("GET", "points/3", None),
    ("POST", "points/query", {"query": 3, "using": "dense"}),
    ("POST", "points/query", {"query": {"recommend": {"positive": [2, 3]}}, "using": "dense"}),
    ("POST", "facet", {"key": "color", "exact": True}),
    ("POST", "facet", {"key": "org"}),
    ("POST", "points/search/matrix/pairs", {"sample": 40, "limit": 40, "using": "dense"}),
    ("POST", "points/search/matrix/offsets", {"sample": 40, "limit": 2, "using": "dense"}),
    ("POST", "shards/0/points/scroll", {"limit": 40}),
    ("POST", "shards/0/points/count", {"exact": True}),
    ("POST", "shards/0/points", {"ids": list(range(30))}),
]


async def test_reads_show_what_a_collection_of_ones_own_would(rest: Rest) -> None:
    for method, path, body in READS:
        mine = await rest(method, f"mixed/{path}", body, key=token("acme"))
        alone = await rest(method, f"alone/{path}", body)
        if "with_lookup" in (body or {}):
            assert {group["id"]: "lookup" in group for group in mine[1]["groups"]} == {0: True, 2: True}
            continue
        assert _plain(mine) == _plain(alone), (path, body)


def _plain(answer: Any) -> Any:
    """Without versions, which count the operations of a shard."""
    if isinstance(answer, dict):
        return {key: _plain(value) for key, value in answer.items() if key != "version"}
    return [_plain(each) for each in answer] if isinstance(answer, list | tuple) else answer


async def test_a_sample_is_of_ones_own(rest: Rest) -> None:
    body = {"query": {"sample": "random"}, "limit": 100}
    _, found = await rest("POST", "mixed/points/query", body, key=token("acme"))
    assert {each["id"] for each in found["points"]} == {each["id"] for each in MINE}


async def test_an_explanation_is_of_ones_own(rest: Rest) -> None:
    _, told = await rest("POST", "mixed/points/query/explain", NEAREST, key=token("acme"))
    assert sum(shard["points"] for stage in told["stages"] for shard in stage["shards"]) == len(MINE)


async def test_points_are_not_looked_up_beyond_what_the_token_says(rest: Rest) -> None:
    def looked_up(collection: str, wanted: int) -> dict[str, Any]:
        where = {"collection": collection, "vector": "dense"}
        return {"query": wanted, "using": "dense", "lookup_from": where}

    status, text = await rest("POST", "mixed/points/query", looked_up("alone", 2), key=token("acme"))
    assert (status, text["error"]) == (403, "Forbidden: Access to collection alone is required")
    status, _ = await rest("POST", "mixed/points/query", looked_up("nowhere", 2), key=token("acme"))
    assert status == 403
    status, text = await rest("POST", "mixed/points/query", looked_up("mixed", 3), key=token("acme"))
    assert (status, text["error"]) == (404, "Not found: No point with id 3 found")
    groups = {**NEAREST, "group_by": "name", "with_lookup": "alone"}
    status, _ = await rest("POST", "mixed/points/query/groups", groups, key=token("acme"))
    assert status == 403


NEW = {"dense": [9.0, 9.0]}
ALLOWED: list[tuple[str, str, Any]] = [
    ("PUT", "points", {"points": [{"id": 100, "vector": NEW, "payload": {"org": "acme", "number": 1}}]}),
    ("PUT", "points", {"batch": {"ids": [0], "vectors": {"dense": [[1, 1]]}, "payloads": [{"org": "acme"}]}}),
    ("POST", "points/delete", {"points": [2, 3]}),
    ("POST", "points/delete", {"filter": RED}),
    ("PUT", "points/vectors", {"points": [{"id": 6, "vector": NEW}]}),
    ("POST", "points/vectors/delete", {"filter": {}, "vector": ["dense"]}),
    ("POST", "points/payload", {"payload": {"seen": True}, "filter": {}}),
    ("PUT", "points/payload", {"payload": {"org": "acme"}, "points": [10]}),
    ("POST", "points/payload/delete", {"keys": ["color"], "filter": {}}),
]
REFUSED: list[tuple[str, str, Any, int]] = [
    ("PUT", "points", {"points": [{"id": 101, "vector": NEW}]}, 403),
    ("PUT", "points", {"points": [{"id": 101, "vector": NEW, "payload": {"org": "evil"}}]}, 403),
    ("PUT", "points", {"points": [{"id": 3, "vector": NEW, "payload": {"org": "acme"}}]}, 403),
    ("POST", "points/payload", {"payload": {"org": "evil"}, "points": [2]}, 403),
    ("POST", "points/payload", {"payload": {"x": 1}, "points": [3]}, 404),
    ("PUT", "points/payload", {"payload": {}, "points": [2]}, 403),
    ("POST", "points/payload/delete", {"keys": ["org"], "points": [2]}, 403),
    ("POST", "points/payload/clear", {"points": [2]}, 403),
    ("PUT", "points/vectors", {"points": [{"id": 3, "vector": NEW}]}, 404),
    ("POST", "points/vectors/delete", {"points": [3], "vector": ["dense"]}, 404),
    ("POST", "points/batch", {"operations": [{"clear_payload": {"points": [2]}}]}, 403),
    ("PUT", "index", {"field_name": "x", "field_schema": "keyword"}, 403),
]


async def test_writes_touch_only_ones_own_points(rest: Rest) -> None:
    before = await rest.payloads()
    for method, path, body in ALLOWED:
        status, result = await rest(method, f"mixed/{path}?wait=true", body, key=token("acme"))
        assert status == 200, (path, result)
    after = await rest.payloads()
    others = {each["id"] for each in OTHERS}
    assert {number: after[number] for number in others} == {number: before[number] for number in others}
    assert all(after[number]["org"] == "acme" for number in after.keys() - others)
    assert 2 not in after
    assert after[6]["seen"] is True
    assert "color" not in after[6]


async def test_refused_writes_change_nothing(rest: Rest) -> None:
    before = await rest.payloads()
    for method, path, body, expected in REFUSED:
        status, result = await rest(method, f"mixed/{path}?wait=true", body, key=token("acme"))
        assert status == expected, (path, body, result)
    for method, path, body in ALLOWED:
        status, result = await rest(method, f"mixed/{path}?wait=true", body, key=token("acme", "r"))
        assert (status, result["error"]) == (403, "Forbidden: Write access to collection mixed is required")
    assert await rest.payloads() == before


async def test_an_idempotency_key_is_a_tenants_own(rest: Rest) -> None:
    for first, org in ((200, "acme"), (210, "evil"), (200, "acme")):
        new = [{"id": first + at, "vector": NEW, "payload": {"org": org}} for at in range(10)]
        status, _ = await rest(
            "PUT", "mixed/points?wait=true", {"points": new}, key=token(org), **{"Idempotency-Key": "1"}
        )
        assert status == 200
    assert set(range(200, 220)) <= (await rest.payloads()).keys()


async def test_the_same_holds_over_grpc(rest: Rest, served: Applications) -> None:
    assert served.grpc is not None
    server = served.grpc[0]
    port = await server.listen("127.0.0.1", 0)
    metadata = (("api-key", token("acme")),)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:

            async def call(method: str, request: Any) -> bytes:
                path = f"/qdrant.Points/{method}"
                return await channel.unary_unary(path)(request.SerializeToString(), metadata=metadata)  # type: ignore[no-any-return]

            counted = await call("Count", queries_pb2.CountPoints(collection_name="mixed"))
            assert queries_pb2.CountResponse.FromString(counted).result.count == len(MINE)
            everything = points_pb2.PointsSelector(filter=filters_pb2.Filter())
            delete = updates_pb2.DeletePoints(collection_name="mixed", points=everything, wait=True)
            await call("Delete", delete)
            clear = updates_pb2.ClearPayloadPoints(collection_name="mixed", points=everything)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call("ClearPayload", clear)
            assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    finally:
        await server.stop(0)
    assert (await rest.payloads()).keys() == {each["id"] for each in OTHERS}
