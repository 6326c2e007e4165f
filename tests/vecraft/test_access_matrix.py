"""Every route and every method, by every kind of caller: nothing beyond what reference 5 allows.

The operations come from the running server (its OpenAPI document, its services' descriptors); what each of
them needs is written down here once more, from the reference, so that a new one without an expectation fails.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from aiohttp.test_utils import TestClient
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from protos.qdrant.pool import PUBLIC_POOL
from router.auth.access import Match
from router.auth.claims import Claims, CollectionClaim
from router.auth.tokens import mint
from tests.router.rest.conftest import AppServer
from tests.vecraft.served import serving
from vecraft.applications import Applications
from vecraft.settings import ServiceSettings

API, ALT, READ = "a" * 32, "b" * 32, "r" * 32

CALLERS: dict[str, str | None] = {
    "none": None,
    "wrong": "wrong",
    "forged": mint("f" * 32, Claims()),
    "expired": mint(API, Claims(exp=1)),
    "api_key": API,
    "alt_api_key": ALT,
    "read_only_api_key": READ,
    "m": mint(API, Claims(access="m")),
    "unrestricted": mint(ALT, Claims()),
    "r": mint(API, Claims(access="r")),
    "c r": mint(API, Claims(access=(CollectionClaim("c", "r"),))),
    "c rw": mint(API, Claims(access=(CollectionClaim("c", "rw"),))),
    "c prw": mint(API, Claims(access=(CollectionClaim("c", "prw"),))),
    "tenant": mint(API, Claims(access=(CollectionClaim("c", "rw", (Match("org", "acme"),)),))),
    "tenant r": mint(API, Claims(access=(CollectionClaim("c", "r", (Match("org", "acme"),)),))),
    "another": mint(API, Claims(access=(CollectionClaim("d", "rw"),))),
    "nothing": mint(API, Claims(access=())),
}
MANAGERS = {"api_key", "alt_api_key", "m", "unrestricted"}
GLOBAL_READERS = MANAGERS | {"read_only_api_key", "r"}
READERS = GLOBAL_READERS | {"c r", "c rw", "c prw", "tenant", "tenant r"}
EXTRAS_READERS = GLOBAL_READERS | {"c r", "c rw"}
WRITERS = MANAGERS | {"c rw", "c prw", "tenant"}
EXTRAS_WRITERS = MANAGERS | {"c rw"}
KNOWN = READERS | {"another", "nothing"}
ALL = set(CALLERS)

C, P = "/collections/{collection_name}", "/collections/{collection_name}/points"

REST: dict[str, set[str]] = {
    # reference 5.1
    "GET /": ALL,
    "GET /healthz": ALL,
    "GET /livez": ALL,
    "GET /readyz": ALL,
    "GET /dashboard": ALL,
    "GET /dashboard/{path}": ALL,
    # reference 3
    "GET /metrics": GLOBAL_READERS,
    "GET /telemetry": KNOWN,
    "GET /cluster": GLOBAL_READERS,
    "POST /cluster/recover": MANAGERS,
    "DELETE /cluster/peer/{peer_id}": MANAGERS,
    "GET /cluster/telemetry": KNOWN,
    "GET /cluster/metadata/keys": GLOBAL_READERS,
    "GET /cluster/metadata/keys/{key}": GLOBAL_READERS,
    "PUT /cluster/metadata/keys/{key}": MANAGERS,
    "DELETE /cluster/metadata/keys/{key}": MANAGERS,
    "GET /issues": KNOWN,
    "DELETE /issues": MANAGERS,
    "GET /aliases": KNOWN,
    # ours
    "GET /cluster/peers": GLOBAL_READERS,
    "PUT /cluster/peer/{peer_id}/drain": MANAGERS,
    "DELETE /cluster/peer/{peer_id}/drain": MANAGERS,
    "POST /audit/logs": MANAGERS,
    "GET /quotas": GLOBAL_READERS,
    "PUT /quotas": MANAGERS,
    "GET /logger": GLOBAL_READERS,
    "POST /logger": MANAGERS,
    "GET /stacktrace": MANAGERS,
    "GET /debugger": MANAGERS,
    "PATCH /debugger": MANAGERS,
    "GET /profiler/slow_requests": MANAGERS,
    "GET /keys/revoked": MANAGERS,
    "PUT /keys/revoked/{key_id}": MANAGERS,
    "DELETE /keys/revoked/{key_id}": MANAGERS,
    # reference 3
    "GET /openapi.json": KNOWN,
    # collections (5.2)
    "GET /collections": KNOWN,
    "POST /collections/aliases": MANAGERS,
    f"GET {C}": READERS,
    f"PUT {C}": MANAGERS,
    f"PATCH {C}": MANAGERS,
    f"DELETE {C}": MANAGERS,
    f"GET {C}/exists": READERS,
    f"GET {C}/aliases": READERS,
    f"GET {C}/optimizations": READERS,
    f"GET {C}/memory": READERS,
    f"GET {C}/cluster": EXTRAS_READERS,
    f"POST {C}/cluster": MANAGERS,
    f"PUT {C}/index": EXTRAS_WRITERS,
    f"DELETE {C}/index/{{field_name}}": EXTRAS_WRITERS,
    f"PUT {C}/vectors/{{vector_name}}": EXTRAS_WRITERS,
    f"DELETE {C}/vectors/{{vector_name}}": EXTRAS_WRITERS,
    f"GET {C}/shards": READERS,
    f"POST {C}/truncate_unapplied_wal": MANAGERS,
    f"PUT {C}/shards": MANAGERS,
    f"POST {C}/shards/delete": MANAGERS,
    f"POST {C}/shards/{{shard_id}}/points": READERS,
    f"POST {C}/shards/{{shard_id}}/points/scroll": READERS,
    f"POST {C}/shards/{{shard_id}}/points/count": READERS,
    f"POST {C}/shards/{{shard_id}}/cleanup": MANAGERS,
    # snapshots
    "GET /snapshots": GLOBAL_READERS,
    "POST /snapshots": MANAGERS,
    "GET /snapshots/{snapshot_name}": GLOBAL_READERS,
    "DELETE /snapshots/{snapshot_name}": MANAGERS,
    f"GET {C}/shards/{{shard_id}}/snapshot": EXTRAS_READERS,
    **{
        f"{method} {base}/snapshots{path}": allowed
        for base in (C, f"{C}/shards/{{shard_id}}")
        for method, path, allowed in (
            ("GET", "", EXTRAS_READERS),
            ("POST", "", EXTRAS_WRITERS),
            ("GET", "/{snapshot_name}", EXTRAS_READERS),
            ("DELETE", "/{snapshot_name}", EXTRAS_WRITERS),
            ("PUT", "/recover", MANAGERS),
            ("POST", "/upload", MANAGERS),
        )
    },
    f"GET {C}/shards/{{shard_id}}/snapshot/partial/manifest": EXTRAS_READERS,
    f"POST {C}/shards/{{shard_id}}/snapshot/partial/create": EXTRAS_READERS,
    f"POST {C}/shards/{{shard_id}}/snapshot/partial/recover": MANAGERS,
    f"POST {C}/shards/{{shard_id}}/snapshot/partial/recover_from": MANAGERS,
    "POST /cluster/backups": MANAGERS,
    "POST /cluster/backups/prune": MANAGERS,
    "GET /cluster/backups": MANAGERS,
    "POST /cluster/backups/{backup_name}/recover": MANAGERS,
    # points
    **dict.fromkeys(
        (
            f"PUT {P}",
            f"POST {P}/delete",
            f"PUT {P}/vectors",
            f"POST {P}/vectors/delete",
            f"POST {P}/payload",
            f"PUT {P}/payload",
            f"POST {P}/payload/delete",
            f"POST {P}/payload/clear",
            f"POST {P}/batch",
        ),
        WRITERS,
    ),
    **dict.fromkeys(
        (
            f"POST {P}",
            f"GET {P}/{{id}}",
            f"POST {P}/scroll",
            f"POST {P}/count",
            f"POST {P}/query",
            f"POST {P}/query/batch",
            f"POST {P}/query/groups",
            f"POST {P}/query/explain",
            f"POST {P}/search",
            f"POST {P}/search/batch",
            f"POST {P}/search/groups",
            f"POST {P}/recommend",
            f"POST {P}/recommend/batch",
            f"POST {P}/recommend/groups",
            f"POST {P}/discover",
            f"POST {P}/discover/batch",
            f"POST {P}/search/matrix/pairs",
            f"POST {P}/search/matrix/offsets",
            f"POST {C}/facet",
        ),
        READERS,
    ),
}

GRPC: dict[str, set[str]] = {
    "qdrant.Qdrant/HealthCheck": ALL,
    "qdrant.Collections/List": KNOWN,
    "qdrant.Collections/ListAliases": KNOWN,
    "qdrant.Collections/CollectionClusterInfo": EXTRAS_READERS,
    **{
        f"qdrant.Collections/{name}": READERS
        for name in ("Get", "ListCollectionAliases", "CollectionExists", "ListShardKeys")
    },
    **{
        f"qdrant.Collections/{name}": MANAGERS
        for name in (
            "Create",
            "Update",
            "Delete",
            "UpdateAliases",
            "UpdateCollectionClusterSetup",
            "CreateShardKey",
            "DeleteShardKey",
        )
    },
    **{
        f"qdrant.Points/{name}": EXTRAS_WRITERS
        for name in ("CreateFieldIndex", "DeleteFieldIndex", "CreateVectorName", "DeleteVectorName")
    },
    **{
        f"qdrant.Points/{name}": WRITERS
        for name in (
            "Upsert",
            "Delete",
            "UpdateVectors",
            "DeleteVectors",
            "SetPayload",
            "OverwritePayload",
            "DeletePayload",
            "ClearPayload",
            "UpdateBatch",
        )
    },
    **{
        f"qdrant.Points/{name}": READERS
        for name in (
            "Get",
            "Scroll",
            "Count",
            "Facet",
            "Query",
            "QueryBatch",
            "QueryGroups",
            "Search",
            "SearchBatch",
            "SearchGroups",
            "Recommend",
            "RecommendBatch",
            "RecommendGroups",
            "Discover",
            "DiscoverBatch",
            "SearchMatrixPairs",
            "SearchMatrixOffsets",
        )
    },
    "qdrant.Snapshots/Create": EXTRAS_WRITERS,
    "qdrant.Snapshots/List": EXTRAS_READERS,
    "qdrant.Snapshots/Delete": EXTRAS_WRITERS,
    "qdrant.Snapshots/CreateFull": MANAGERS,
    "qdrant.Snapshots/ListFull": GLOBAL_READERS,
    "qdrant.Snapshots/DeleteFull": MANAGERS,
}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Applications]:
    service = ServiceSettings(api_key=API, alt_api_key=ALT, read_only_api_key=READ, jwt_rbac=True)
    async with serving(tmp_path, service) as applications:
        yield applications


# --- REST --------------------------------------------------------------------------------------------------


@pytest.fixture
async def rest(served: Applications) -> AsyncIterator[TestClient[Any, Any]]:
    async with TestClient(AppServer(served.rest[0])) as client:
        yield client


async def routes(rest: TestClient[Any, Any]) -> list[tuple[str, str]]:
    answer = await rest.get("/openapi.json", headers={"api-key": API})
    paths = (await answer.json())["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


async def test_every_route_has_an_expectation(rest: TestClient[Any, Any]) -> None:
    assert {f"{method} {path}" for method, path in await routes(rest)} == set(REST)


@pytest.mark.parametrize("caller", CALLERS)
async def test_each_caller_may_call_the_routes_that_the_reference_names(
    rest: TestClient[Any, Any], caller: str
) -> None:
    credential = CALLERS[caller]
    for method, path in sorted(await routes(rest)):
        allowed = caller in REST[f"{method} {path}"]
        url = re.sub(r"{(\w+)}", lambda found: "c" if found[1] == "collection_name" else "1", path)
        for header in _headers(credential):
            answer = await rest.request(method, url, headers=header, json=None if method == "GET" else {})
            text = await answer.text()
            assert (answer.status not in (401, 403)) == allowed, (method, path, answer.status, text)
            if not allowed:
                _check_refusal(caller, answer.status, text)


def _headers(credential: str | None) -> list[dict[str, str]]:
    if credential is None:
        return [{}]
    return [{"api-key": credential}, {"Authorization": f"Bearer {credential}"}]


def _check_refusal(caller: str, status: int, text: str) -> None:
    """Bare text for callers that are not known, the envelope for others (reference 1.3)."""
    match caller:
        case "none":
            assert (status, text) == (401, "Must provide an API key or an Authorization bearer token")
        case "wrong":
            assert (status, text) == (401, "Invalid API key or JWT")
        case "forged":
            assert (status, text) == (403, "InvalidSignature")
        case "expired":
            assert (status, text) == (403, "ExpiredSignature")
        case _:
            assert status == 403
            assert text.startswith('{"status":{"error":"Forbidden: ')


async def test_a_path_that_leads_nowhere_asks_for_a_key_first(rest: TestClient[Any, Any]) -> None:
    for path in ("/nowhere", "/collections/c/points/query/nowhere"):
        assert (await rest.get(path)).status == 401
        assert (await rest.get(path, headers={"api-key": API})).status == 404
    assert (await rest.post("/healthz")).status == 401


@pytest.mark.parametrize(
    "path", ["/healthz%2F..%2Fcollections", "/%63ollections", "/collections//", "/livezx"]
)
async def test_other_spellings_of_paths_do_not_open_them(rest: TestClient[Any, Any], path: str) -> None:
    assert (await rest.get(path)).status == 401


async def test_an_origin_is_told_what_is_allowed_without_a_key(rest: TestClient[Any, Any]) -> None:
    headers = {"Origin": "https://a.example", "Access-Control-Request-Method": "PUT"}
    assert (await rest.options("/collections/c", headers=headers)).status == 200


# --- gRPC --------------------------------------------------------------------------------------------------


@pytest.fixture
async def channel(served: Applications) -> AsyncIterator[grpc.aio.Channel]:
    assert served.grpc is not None
    server = served.grpc[0]
    port = await server.listen("127.0.0.1", 0)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened:
            yield opened
    finally:
        await server.stop(0)


def methods() -> list[MethodDescriptor]:
    names = ("Qdrant", "Collections", "Points", "Snapshots")
    return [method for name in names for method in PUBLIC_POOL.FindServiceByName(f"qdrant.{name}").methods]


def test_every_method_has_an_expectation() -> None:
    assert {f"{one.containing_service.full_name}/{one.name}" for one in methods()} == set(GRPC)


async def _code(channel: grpc.aio.Channel, path: str, request: bytes, credential: str | None) -> str:
    metadata = () if credential is None else (("api-key", credential),)
    try:
        await channel.unary_unary(f"/{path}")(request, metadata=metadata)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


@pytest.mark.parametrize("caller", CALLERS)
async def test_each_caller_may_call_the_methods_that_the_reference_names(
    channel: grpc.aio.Channel, caller: str
) -> None:
    refusals = {"none": "UNAUTHENTICATED", "wrong": "UNAUTHENTICATED"}
    for method in methods():
        path = f"{method.containing_service.full_name}/{method.name}"
        request: Any = GetMessageClass(method.input_type)()
        if "collection_name" in method.input_type.fields_by_name:
            request.collection_name = "c"
        code = await _code(channel, path, request.SerializeToString(), CALLERS[caller])
        if caller in GRPC[path]:
            assert code not in ("UNAUTHENTICATED", "PERMISSION_DENIED"), (path, code)
        else:
            assert code == refusals.get(caller, "PERMISSION_DENIED"), path


async def test_a_bearer_is_known_over_grpc(channel: grpc.aio.Channel) -> None:
    call = channel.unary_unary("/qdrant.Collections/List")
    assert await call(b"", metadata=(("authorization", f"Bearer {READ}"),)) is not None


async def test_probes_need_no_key_and_reflection_does(channel: grpc.aio.Channel) -> None:
    assert await _code(channel, "grpc.health.v1.Health/Check", b"", None) == "OK"
    for version in ("v1", "v1alpha"):
        reflect = channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await reflect(iter([b""])).read()
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert await reflect(iter([b""]), metadata=(("api-key", READ),)).read() is not None
