"""A node that reports what requests cost its hardware, asked over both protocols; and one that does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from qdrant_client import grpc as qdrant

from protos.hardware import HardwareUsage
from tests.live import LiveNode

pytestmark = pytest.mark.slow

FIELDS = set(HardwareUsage.__struct_fields__)
ON = {"QDRANT__SERVICE__HARDWARE_REPORTING": "true"}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNode]:
    with LiveNode(tmp_path_factory.mktemp("hardware"), environment=ON) as made:
        create(made)
        yield made


def create(node: LiveNode) -> None:
    size = {"vectors": {"size": 2, "distance": "Dot"}, "shard_number": 2}
    httpx.put(f"{node.url}/collections/c", json=size).raise_for_status()
    httpx.put(f"{node.url}/collections/idle", json=size).raise_for_status()


def upsert(node: LiveNode, ids: range, query: str = "?wait=true") -> Any:
    points = [{"id": i, "vector": [i, 1], "payload": {"k": i}} for i in ids]
    return httpx.put(f"{node.url}/collections/c/points{query}", json={"points": points}).json()


def post(node: LiveNode, path: str, body: Any) -> Any:
    return httpx.post(f"{node.url}/collections/c/points/{path}", json=body).raise_for_status().json()


def test_answers_over_rest_tell_what_all_shards_spent(node: LiveNode) -> None:
    written = upsert(node, range(20))["usage"]
    assert written["inference"] is None
    assert set(written["hardware"]) == FIELDS
    assert written["hardware"]["vector_io_write"] == 20 * 8
    assert written["hardware"]["payload_io_write"] > 0
    assert "usage" not in upsert(node, range(20), "")
    upsert(node, range(20))  # nothing waits any more
    found = post(node, "query", {"query": [1, 1], "limit": 3, "with_payload": True})["usage"]["hardware"]
    assert found["vector_io_read"] == 20 * 8
    assert found["payload_io_read"] > 0
    assert found["cpu"] > 0
    assert all(isinstance(value, int) for value in found.values())
    batch = post(node, "query/batch", {"searches": [{"query": [1, 1], "limit": 3}] * 2})
    assert batch["usage"]["hardware"]["vector_io_read"] == 2 * 20 * 8
    for path, body in (("scroll", {}), ("count", {"filter": {"must": [{"has_id": [1]}]}})):
        assert set(post(node, path, body)["usage"]["hardware"]) == FIELDS
    assert "usage" not in httpx.get(f"{node.url}/collections").json()


def test_answers_over_grpc_tell_the_same(node: LiveNode) -> None:
    upsert(node, range(20))
    with grpc.insecure_channel(f"127.0.0.1:{node.grpc_port}") as channel:
        points = qdrant.PointsStub(channel)
        query = qdrant.Query(nearest=qdrant.VectorInput(dense=qdrant.DenseVector(data=[1, 1])))
        used = points.Query(qdrant.QueryPoints(collection_name="c", query=query, limit=3)).usage.hardware
        assert used.vector_io_read == 20 * 8
        assert used.cpu > 0
        point = qdrant.PointStruct(
            id=qdrant.PointId(num=1), vectors=qdrant.Vectors(vector=qdrant.Vector(data=[1, 1]))
        )
        written = points.Upsert(qdrant.UpsertPoints(collection_name="c", wait=True, points=[point]))
        assert written.usage.hardware.vector_io_write == 8
        unwaited = points.Upsert(qdrant.UpsertPoints(collection_name="c", wait=False, points=[point]))
        assert not unwaited.HasField("usage")


def test_collections_add_up_what_was_spent(node: LiveNode) -> None:
    upsert(node, range(20))
    before = totals(node)
    spent = post(node, "query", {"query": [1, 1], "limit": 3})["usage"]["hardware"]
    after = totals(node)
    assert {name: after[name] - before[name] for name in FIELDS} == spent
    told = httpx.get(f"{node.url}/telemetry?details_level=1").json()["result"]["hardware"]["collection_data"]
    assert set(told) == {"c"}  # nothing was asked of the other
    assert told["c"] == after


def totals(node: LiveNode) -> dict[str, int]:
    lines = dict(line.rsplit(" ", 1) for line in httpx.get(f"{node.url}/metrics").text.splitlines())
    return {name: int(float(lines[f'collection_hardware_metric_{name}{{id="c"}}'])) for name in FIELDS}


def test_nothing_is_told_unless_it_is_configured(tmp_path: Path) -> None:
    with LiveNode(tmp_path) as node:
        create(node)
        assert "usage" not in upsert(node, range(3))
        assert "usage" not in post(node, "query", {"query": [1, 1]})
        assert "hardware" not in httpx.get(f"{node.url}/metrics").text
