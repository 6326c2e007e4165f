"""``/metrics`` of a running node, as promtool sees it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.live import LiveNode
from tests.promtool import QDRANT_NAMES, check_metrics

pytestmark = pytest.mark.slow


def test_promtool_finds_nothing_in_the_metrics_of_a_node_but_names_of_qdrant(tmp_path: Path) -> None:
    with LiveNode(tmp_path) as node:
        size = {"size": 2, "distance": "Dot"}
        for name, vectors in (("one", size), ("two", {"ä, {b}='c'": size})):
            httpx.put(f"{node.url}/collections/{name}", json={"vectors": vectors}).raise_for_status()
        point = {"id": 1, "vector": [1, 0]}
        httpx.put(f"{node.url}/collections/one/points?wait=true", json={"points": [point]}).raise_for_status()
        httpx.post(f"{node.url}/collections/one/points/query", json={"query": [1, 0]}).raise_for_status()
        httpx.post(f"{node.url}/collections/none/points/query", json={"query": [1, 0]})
        for query in ("", "?per_collection=true"):
            text = httpx.get(f"{node.url}/metrics{query}").raise_for_status().text
            assert check_metrics(text) <= QDRANT_NAMES
    lines = text.splitlines()
    assert 'vecraft_segment_searches_total{way="exact_rows"} 1.0' in lines
    assert "vecraft_wal_sync_duration_seconds_count 1.0" in lines
    assert "vecraft_commit_batch_operations_sum 1.0" in lines
