"""A node over its quota: it takes no data, lets go of some, and remembers the quota."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live import LiveNode

pytestmark = pytest.mark.slow

FULL = {"enabled": True, "max_disk_usage_percent": 1}


def put_point(node: LiveNode, number: int) -> httpx.Response:
    point: dict[str, Any] = {"points": [{"id": number, "vector": [1.0]}]}
    return httpx.put(f"{node.url}/collections/c/points?wait=true", json=point)


def test_a_node_over_its_quota_refuses_what_grows_until_the_quota_is_raised(tmp_path: Path) -> None:
    with LiveNode(tmp_path) as node:
        httpx.put(f"{node.url}/collections/c", json={"vectors": {"size": 1, "distance": "Dot"}})
        assert put_point(node, 1).status_code == 200
        assert httpx.put(f"{node.url}/quotas?wait=true", json=FULL).json()["result"] is True
        refused = put_point(node, 2)
        assert refused.status_code == 507
        error = refused.json()["status"]["error"]
        assert error.startswith("Insufficient storage: Disk usage is at ")
        assert "raise `max_disk_usage_percent` in the global quota config" in error
        assert 'quota_exceeded{resource="disk"} 1.0' in httpx.get(f"{node.url}/metrics").text.splitlines()
        node.restart()
        assert put_point(node, 2).status_code == 507
        deleted = httpx.post(f"{node.url}/collections/c/points/delete?wait=true", json={"points": [1]})
        assert deleted.status_code == 200
        httpx.put(f"{node.url}/quotas?wait=true", json={"enabled": False}).raise_for_status()
        assert put_point(node, 2).status_code == 200


def test_a_configured_quota_counts_until_another_is_set(tmp_path: Path) -> None:
    environment = {
        "VECRAFT__STORAGE__QUOTAS__ENABLED": "true",
        "VECRAFT__STORAGE__QUOTAS__MAX_DISK_USAGE_PERCENT": "1",
    }
    with LiveNode(tmp_path, environment=environment) as node:
        httpx.put(f"{node.url}/collections/c", json={"vectors": {"size": 1, "distance": "Dot"}})
        assert put_point(node, 1).status_code == 507
        httpx.put(f"{node.url}/quotas?wait=true", json={"enabled": False}).raise_for_status()
        assert put_point(node, 1).status_code == 200
