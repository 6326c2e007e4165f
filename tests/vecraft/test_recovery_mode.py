"""A node in recovery mode: it tells what it has and lets go of it, and opens nothing (reference 15.5)."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.live import LiveNode

pytestmark = pytest.mark.slow

REASON = "memory was short at the last start"


def test_in_recovery_mode_collections_can_be_listed_and_deleted_and_not_used(tmp_path: Path) -> None:
    point = {"points": [{"id": 1, "vector": [1, 2]}]}
    with LiveNode(tmp_path) as node:
        for name in ("kept", "gone"):
            body = {"vectors": {"size": 2, "distance": "Dot"}}
            assert httpx.put(f"{node.url}/collections/{name}", json=body).status_code == 200
            written = httpx.put(f"{node.url}/collections/{name}/points?wait=true", json=point)
            assert written.status_code == 200
    environment = {"QDRANT__STORAGE__RECOVERY_MODE": REASON}
    with LiveNode(tmp_path, environment=environment) as node, httpx.Client(base_url=node.url) as client:
        _is_withheld(client, point)
    with LiveNode(tmp_path) as node:
        assert httpx.get(f"{node.url}/collections/kept/points/1").status_code == 200
        assert httpx.get(f"{node.url}/collections/gone").status_code == 404


def _is_withheld(client: httpx.Client, point: object) -> None:
    assert client.get("/readyz").status_code == 200
    assert len(client.get("/collections").json()["result"]["collections"]) == 2
    info = client.get("/collections/kept").json()["result"]
    assert info["status"] == "red"
    assert info["config"]["params"]["vectors"] == {"size": 2, "distance": "Dot"}
    assert "app_status_recovery_mode 1.0" in client.get("/metrics").text
    (shard,) = client.get("/collections/kept/cluster").json()["result"]["local_shards"]
    assert (shard["state"], shard["points_count"]) == ("Active", 0)
    for answer in (
        client.get("/collections/kept/points/1"),
        client.put("/collections/kept/points?wait=true", json=point),
    ):
        assert answer.status_code == 500
        assert REASON in answer.json()["status"]["error"]
    refused = client.put("/collections/new", json={})
    assert refused.status_code == 403
    assert refused.json()["status"]["error"].startswith("Storage locked: ")
    assert client.delete("/collections/gone").json()["result"] is True
