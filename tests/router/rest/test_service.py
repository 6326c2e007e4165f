"""Service endpoints: identity, health, metrics, telemetry, and refusals of what needs a cluster."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from yarl import URL

from router.auth.gate import OPEN
from router.cluster import ClusterOperations
from router.cluster.local_shards import LocalShardOperations
from router.collections import CollectionOperations
from router.monitoring.inventory import Inventory
from router.monitoring.issues import SLOW_READ_S, Issues, SlowReads
from router.monitoring.metrics import Requests
from router.monitoring.telemetry import Process
from router.points import PointOperations
from router.queries.operations import SearchOperations
from router.rest.app import create_app
from router.rest.service import ServiceEndpoints, metrics_hook
from tests.router.cluster.fakes import FakeShardKeys
from tests.router.fakes import FakeLog, FakeNode
from tests.router.rest.conftest import AppServer, Rest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class _EveryReadIsSlow:
    """A clock that stands at the threshold further each time it is read."""

    def __init__(self) -> None:
        self._ms = 0

    def monotonic_ms(self) -> int:
        self._ms += int(SLOW_READ_S * 1000)
        return self._ms

    def unix_ms(self) -> int:
        return 1_500


@pytest.fixture
async def service() -> AsyncIterator[Rest]:
    log, node, requests, issues = FakeLog(), FakeNode(), Requests(), Issues()
    collections = CollectionOperations(log, node)
    cluster = ClusterOperations(log, None, FakeShardKeys())
    endpoints = ServiceEndpoints(
        process=Process(id="p", version="1.19.0", started=datetime.now(UTC), search_threads=2),
        commit=COMMIT,
        inventory=Inventory(log, node),
        requests=requests,
        issues=issues,
        cluster=cluster,
    )
    app = create_app(
        collections,
        PointOperations(collections, node),
        SearchOperations(collections, node, SlowReads(issues, clock=_EveryReadIsSlow())),
        cluster=cluster,
        local_shards=LocalShardOperations(log, node),
        gate=OPEN,
        extra_routes=endpoints.routes(),
        metrics_hook=metrics_hook(requests.rest, lambda: 5.0),
    )
    async with TestClient(AppServer(app)) as client:
        yield Rest(client, node)
    await collections.close()


async def test_the_root_has_exactly_title_version_and_commit(service: Rest) -> None:
    answer = await service.call("GET", "/")
    assert answer.json == {"title": "qdrant - vector search engine", "version": "1.19.0", "commit": COMMIT}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/healthz", b"healthz check passed"),
        ("/livez", b"healthz check passed"),
        ("/readyz", b"all shards are ready"),
    ],
)
async def test_health_is_plain_text(service: Rest, path: str, text: bytes) -> None:
    answer = await service.call("GET", path)
    assert (answer.status, answer.body) == (200, text)
    assert answer.headers["Content-Type"].startswith("text/plain")


async def test_cluster_is_disabled(service: Rest) -> None:
    assert (await service.call("GET", "/cluster")).result == {"status": "disabled"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/cluster/recover"),
        ("DELETE", "/cluster/peer/7"),
        ("DELETE", "/cluster/peer/7?force=true&timeout=3"),
        ("GET", "/cluster/telemetry"),
        ("GET", "/cluster/metadata/keys"),
        ("GET", "/cluster/metadata/keys/a"),
        ("PUT", "/cluster/metadata/keys/a"),
        ("DELETE", "/cluster/metadata/keys/a?wait=true"),
        ("POST", "/collections/c/cluster"),
    ],
)
async def test_what_needs_a_cluster_is_refused(service: Rest, method: str, path: str) -> None:
    answer = await service.call(method, path)
    assert answer.status == 405
    assert answer.error == "Qdrant is running in standalone mode"


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/cluster/peer/x", 400, "Deserialize error in path parameters: "),
        ("/cluster/peer/7?force=yes", 400, "Deserialize error in query parameters: "),
        ("/cluster/peer/7?timeout=0", 422, "timeout: value 0 invalid"),
    ],
)
async def test_wrong_parameters_are_told_before_the_missing_cluster(
    service: Rest, path: str, status: int, text: str
) -> None:
    answer = await service.delete(path)
    assert (answer.status, text in answer.error) == (status, True)


_RED = {"filter": {"must": [{"key": "colour", "match": {"value": "red"}}]}}


async def issue_ids(service: Rest) -> list[str]:
    return [issue["id"] for issue in (await service.get("/issues")).result["issues"]]


async def test_a_slow_read_by_an_unindexed_field_is_an_issue_until_cleared(service: Rest) -> None:
    await service.create("c")
    assert await issue_ids(service) == []
    await service.post("/collections/c/points/count", _RED)
    (issue,) = (await service.get("/issues")).result["issues"]
    assert issue.keys() == {"id", "description", "solution", "timestamp", "related_collection"}
    assert issue["id"] == "UNINDEXED_FIELD/c/colour"
    assert issue["related_collection"] == "c"
    assert issue["timestamp"] == "1970-01-01T00:00:01.500000Z"
    assert (await service.delete("/issues")).result is True
    assert await issue_ids(service) == []


async def test_the_solution_of_an_issue_can_be_sent_as_it_is(service: Rest) -> None:
    await service.create("a ß")
    await service.post("/collections/a ß/points/scroll", _RED)
    (issue,) = (await service.get("/issues")).result["issues"]
    action = issue["solution"]["immediate"]["action"]
    url = URL(action["uri"], encoded=True)
    answer = await service.client.request(
        action["method"], url, headers=action["headers"], data=json.dumps(action["body"])
    )
    assert answer.status == 200
    assert await issue_ids(service) == []
    schema = (await service.get("/collections/a ß")).result["payload_schema"]
    assert schema["colour"]["data_type"] == "keyword"


async def test_an_issue_ends_with_its_collection(service: Rest) -> None:
    await service.create("c")
    await service.post("/collections/c/points/count", _RED)
    await service.delete("/collections/c")
    await service.create("c")
    assert await issue_ids(service) == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("query", _RED),
        ("query", {"query": [1.0, 0.0], **_RED}),
        ("query/batch", {"searches": [{}, _RED]}),
        ("search", {"vector": [1.0, 0.0], "limit": 1, **_RED}),
        ("scroll", _RED),
        ("count", _RED),
    ],
)
async def test_every_filtered_read_can_raise_an_issue(service: Rest, path: str, body: Any) -> None:
    await service.create("c")
    assert (await service.post(f"/collections/c/points/{path}", body)).status == 200
    assert await issue_ids(service) == ["UNINDEXED_FIELD/c/colour"]


async def test_a_slow_read_through_an_alias_concerns_the_collection(service: Rest) -> None:
    await service.create("c")
    alias = {"create_alias": {"collection_name": "c", "alias_name": "other"}}
    assert (await service.post("/collections/aliases", {"actions": [alias]})).status == 200
    await service.post("/collections/other/points/count", _RED)
    assert await issue_ids(service) == ["UNINDEXED_FIELD/c/colour"]


async def test_metrics_count_collections_and_requests(service: Rest) -> None:
    vectors = {"vectors": {"size": 2, "distance": "Dot"}}
    await service.put("/collections/c", vectors)
    await service.post("/collections/c/points/count", {})
    answer = await service.call("GET", "/metrics")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    text = answer.body.decode()
    assert "collections_total 1.0" in text
    assert 'endpoint="/collections/{collection_name}/points/count",method="POST",status="200"' in text


async def test_metrics_and_telemetry_tell_requests_by_collection_when_asked(service: Rest) -> None:
    await service.create("c")
    await service.post("/collections/c/points/count", {})
    await service.post("/collections/unknown/points/count", {})
    text = (await service.get("/metrics?per_collection=true")).body.decode()
    assert (
        'rest_responses_total{collection="c",endpoint="/collections/{collection_name}/points/count"' in text
    )
    assert "unknown" not in text
    rest = (await service.get("/telemetry?per_collection=true")).result["requests"]["rest"]
    (found,) = rest["per_collection_responses"].items()
    assert found[0] == "c"
    assert found[1]["POST /collections/{collection_name}/points/count"]["200"]["count"] == 1


@pytest.mark.parametrize("path", ["/telemetry", "/metrics"])
async def test_a_shard_that_does_not_report_in_time_is_a_timeout(
    service: Rest, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    await service.create("c")
    (shard,) = service.shards()
    monkeypatch.setattr(shard, "info", never)
    monkeypatch.setattr("router.monitoring.collecting.COLLECT_TIMEOUT_MS", 1)
    answer = await service.get(path)
    assert (answer.status, answer.error.startswith("Timeout: ")) == (408, True)


@pytest.mark.parametrize("path", ["/telemetry", "/metrics"])
async def test_a_timeout_of_zero_is_refused(service: Rest, path: str) -> None:
    answer = await service.get(f"{path}?timeout=0")
    assert (answer.status, "timeout: value 0 invalid" in answer.error) == (422, True)


@pytest.mark.parametrize("query", ["details_level=x", "anonymize=1", "per_collection=x", "timeout=x"])
async def test_a_bad_query_parameter_is_refused(service: Rest, query: str) -> None:
    answer = await service.call("GET", f"/telemetry?{query}")
    assert answer.status == 400
    assert answer.error.startswith("Deserialize error in query parameters: ")


async def test_telemetry_counts_requests_by_route(service: Rest) -> None:
    await service.call("GET", "/collections")
    result = (await service.call("GET", "/telemetry?details_level=1")).result
    assert result["requests"]["rest"]["responses"]["GET /collections"]["200"]["count"] == 1
    assert result["memory"]["resident_bytes"] > 0
