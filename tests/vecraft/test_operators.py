"""A running node as its operators see it: slow requests, stacks, logs, and one id through all of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from qdrant_client import QdrantClient

from tests.live import LiveNode

pytestmark = pytest.mark.slow


def get(node: LiveNode, path: str, **query: Any) -> Any:
    return httpx.get(f"{node.url}{path}", params=query).raise_for_status().json()["result"]


def test_a_request_is_known_by_its_id_everywhere(tmp_path: Path) -> None:
    environment = {
        "VECRAFT__LOGGER__ON_DISK__ENABLED": "true",
        "VECRAFT__LOGGER__ON_DISK__LOG_FILE": str(tmp_path / "file.log"),
        "VECRAFT__LOGGER__ON_DISK__FORMAT": "json",
    }
    with LiveNode(tmp_path, environment=environment) as node:
        ids = {"x-request-id": "mine-1"}
        made = httpx.put(
            f"{node.url}/collections/c", json={"vectors": {"size": 1, "distance": "Dot"}}, headers=ids
        )
        assert made.headers["x-request-id"] == "mine-1"
        ours = [httpx.get(f"{node.url}/collections/{name}").headers["x-request-id"] for name in ("c", "none")]
        assert len(set(ours)) == 2
        (slow,) = get(node, "/profiler/slow_requests", request="PUT /collections/{collection_name}")[
            "requests"
        ]
        assert (slow["request_id"], slow["collection_name"], slow["status"]) == ("mine-1", "c", 200)
        assert slow["duration"] > 0
        assert get(node, "/profiler/slow_requests", request="nothing like it") == {"requests": []}
        lines = [json.loads(line) for line in (tmp_path / "file.log").read_text().splitlines()]
        assert "serving" in {line["event"] for line in lines}


def test_no_profiler_runs_and_none_can_be_started(tmp_path: Path) -> None:
    with LiveNode(tmp_path) as node:
        assert get(node, "/debugger") == {"pyroscope": None}
        for nothing in ({}, {"pyroscope": None}):
            stopped = httpx.patch(f"{node.url}/debugger", json=nothing)
            assert (stopped.status_code, stopped.json()["result"]) == (200, True)
        agent = {"pyroscope": {"url": "http://127.0.0.1:1", "identifier": "x"}}
        started = httpx.patch(f"{node.url}/debugger", json=agent)
        assert started.status_code == 400
        assert started.json()["status"]["error"].startswith("Bad request: There is no Pyroscope agent")
        malformed = httpx.patch(f"{node.url}/debugger", json={"pyroscope": 5})
        assert malformed.json()["status"]["error"].startswith("Format error in JSON body: ")


def test_grpc_tells_the_id_too_whatever_comes_of_the_call(tmp_path: Path) -> None:
    with LiveNode(tmp_path) as node, grpc.insecure_channel(f"127.0.0.1:{node.grpc_port}") as channel:
        list_all = channel.unary_unary("/qdrant.Collections/List")
        _, call = list_all.with_call(b"", metadata=(("x-request-id", "mine-2"),))
        assert ("x-request-id", "mine-2") in tuple(call.trailing_metadata())
        with pytest.raises(grpc.RpcError) as failed:
            channel.unary_unary("/qdrant.Points/Query")(b"\xff", metadata=(("x-tracing-id", "mine-3"),))
        assert ("x-request-id", "mine-3") in tuple(failed.value.trailing_metadata())  # type: ignore[attr-defined]
        client = QdrantClient(
            url=node.url, grpc_port=node.grpc_port, prefer_grpc=True, check_compatibility=False
        )
        assert client.get_collections().collections == []


def test_stacks_and_logging_are_told_and_changed(tmp_path: Path) -> None:
    with LiveNode(tmp_path) as node:
        found = get(node, "/stacktrace")
        assert any("stacks.py" in frame for stack in found["threads"] for frame in stack["frames"])
        assert found["tasks"]
        assert get(node, "/logger")["log_level"] == "INFO"
        described = httpx.get(f"{node.url}/openapi.json").raise_for_status().json()["paths"]
        assert {"/logger", "/stacktrace", "/profiler/slow_requests", "/quotas"} <= described.keys()
        answer = described["/logger"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert answer["properties"].keys() == {"result", "status", "time"}
        changed = httpx.post(f"{node.url}/logger", json={"log_level": "error"})
        assert changed.json()["result"] is True
        assert get(node, "/logger")["log_level"] == "error"
        refused = httpx.post(f"{node.url}/logger", json={"on_disk": {"log_file": "/x"}})
        assert refused.status_code == 400
        node.stop()
        assert "stopping" not in node.log()
