"""The process as an operator meets it."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
from pathlib import Path

import grpc
import httpx
import pytest
from qdrant_client import QdrantClient

from tests.live import LiveNode, wait_for
from vecraft.serve import keep_from_the_collector

pytestmark = pytest.mark.slow


def test_what_starting_made_is_not_looked_through_by_the_collector() -> None:
    kept: list[object] = [[] for _ in range(1000)]
    frozen = gc.get_freeze_count()
    try:
        keep_from_the_collector()
        assert gc.get_freeze_count() >= frozen + len(kept)
        assert not any(each is kept for each in gc.get_objects())
    finally:
        gc.unfreeze()


def test_it_makes_what_it_needs_and_ends_cleanly(tmp_path: Path) -> None:
    marker = tmp_path / ".qdrant-initialized"
    with LiveNode(tmp_path) as node:
        assert httpx.get(node.url).json()["title"] == "qdrant - vector search engine"
        assert marker.exists()
        assert (tmp_path / "storage").is_dir()
        node.stop()
        assert "stopped" in node.log()
        marker_age = marker.stat().st_mtime_ns
        node.start()
        assert marker.stat().st_mtime_ns > marker_age


def test_collections_and_the_peer_id_outlive_a_restart(tmp_path: Path) -> None:
    with LiveNode(tmp_path) as node:
        body = {"vectors": {"size": 2, "distance": "Dot"}}
        assert httpx.put(f"{node.url}/collections/c", json=body).status_code == 200
        first = httpx.get(f"{node.url}/collections/c/cluster").json()["result"]["peer_id"]
        node.stop()
        node.start()
        assert httpx.get(f"{node.url}/collections/c/cluster").json()["result"]["peer_id"] == first


def test_a_killed_node_takes_its_ports_again_at_once(tmp_path: Path) -> None:
    with LiveNode(tmp_path) as node, httpx.Client(base_url=node.url) as kept_open:
        kept_open.get("/readyz")
        node.restart()
        assert httpx.get(f"{node.url}/readyz").text == "all shards are ready"


def test_signals_without_a_meaning_do_not_end_it(tmp_path: Path) -> None:
    with LiveNode(tmp_path) as node:
        assert node.process is not None
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGSTOP, signal.SIGCONT):
            os.kill(node.process.pid, number)
        assert httpx.get(f"{node.url}/readyz").status_code == 200


def test_a_taken_port_is_said_and_ends_the_start(tmp_path: Path) -> None:
    with LiveNode(tmp_path / "first") as first:
        second = LiveNode(tmp_path / "second")
        second.port = first.port
        assert second.launch().wait() == 1
        assert f"port {first.port} on 127.0.0.1 cannot be used" in second.log()


def test_logs_may_be_json(tmp_path: Path) -> None:
    with LiveNode(tmp_path, environment={"VECRAFT__LOGGER__FORMAT": "json"}) as node:
        node.stop()
        events = [json.loads(line) for line in node.log().splitlines()]
        assert [event["event"] for event in events][:2] == ["starting", "serving"]
        assert all({"level", "timestamp", "logger"} <= set(event) for event in events)


def test_the_metrics_port_serves_metrics_and_probes_and_nothing_else(tmp_path: Path) -> None:
    other = LiveNode(tmp_path / "port").port
    with LiveNode(tmp_path, environment={"VECRAFT__SERVICE__METRICS_PORT": str(other)}) as node:
        assert "app_info{" in httpx.get(f"http://127.0.0.1:{other}/metrics").text
        for path in ("/healthz", "/livez", "/readyz"):
            assert httpx.get(f"http://127.0.0.1:{other}{path}").text == httpx.get(f"{node.url}{path}").text
        assert httpx.get(f"http://127.0.0.1:{other}/collections").status_code == 404
        refused = httpx.get(f"http://127.0.0.1:{other}/metrics?per_collection=maybe")
        main = httpx.get(f"{node.url}/metrics?per_collection=maybe")
        assert (refused.status_code, refused.headers["content-type"]) == (400, main.headers["content-type"])
        assert refused.json()["status"] == main.json()["status"]


def test_doubtful_configuration_is_logged_and_served_with(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text("service:\n  htpp_port: 5\nlog_level: loud\n")
    with LiveNode(tmp_path) as node:
        wait_for(lambda: "the nearest known key is service.http_port" in node.log(), what="a warning")
        assert "'loud' is not understood" in node.log()


def test_the_grpc_port_is_served_beside_rest_until_the_end(tmp_path: Path) -> None:
    with LiveNode(tmp_path) as node:
        client = QdrantClient(
            url=node.url, grpc_port=node.grpc_port, prefer_grpc=True, check_compatibility=False
        )
        assert client.get_collections().collections == []
        assert f"ports=[{node.port}, {node.grpc_port}]" in node.log()
        node.stop()
        with pytest.raises(grpc.RpcError):
            client.get_collections()


def test_a_taken_grpc_port_is_said_and_ends_the_start(tmp_path: Path) -> None:
    with LiveNode(tmp_path / "first") as first:
        second = LiveNode(tmp_path / "second")
        second.grpc_port = first.grpc_port
        assert second.launch().wait() == 1
        assert f"port {first.grpc_port} on 127.0.0.1 cannot be used" in second.log()


def test_without_a_grpc_port_there_is_rest_alone(tmp_path: Path) -> None:
    configuration = tmp_path / "config"
    configuration.mkdir()
    (configuration / "config.yaml").write_text("service:\n  grpc_port: null\n")
    node = LiveNode(tmp_path)
    node.grpc_port = None
    with node:
        assert f"ports=[{node.port}]" in node.log()


def test_a_node_that_is_told_to_stop_is_not_ready_and_answers_until_the_delay_is_over(tmp_path: Path) -> None:
    with LiveNode(tmp_path, environment={"VECRAFT__SERVICE__SHUTDOWN_DELAY_SEC": "30"}) as node:
        stub = grpc.insecure_channel(f"127.0.0.1:{node.grpc_port}").unary_unary(
            "/grpc.health.v1.Health/Check"
        )
        with httpx.Client(base_url=node.url) as client:
            assert client.get("/readyz").headers.get("connection") != "close"
            assert stub(b"") == b"\x08\x01"  # SERVING
            assert node.process is not None
            node.process.send_signal(signal.SIGTERM)
            wait_for(lambda: client.get("/readyz").status_code == 503, what="the node to be not ready")
            answer = client.get("/collections")
            assert (answer.status_code, answer.headers["connection"]) == (200, "close")
            assert client.get("/livez").status_code == 200
            assert stub(b"") == b"\x08\x02"  # NOT_SERVING


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_head_that_does_not_come_is_not_waited_for(tmp_path: Path, begun: bytes) -> None:
    environment = {"QDRANT__SERVICE__HTTP_KEEP_ALIVE_TIMEOUT_SEC": "1"}
    with LiveNode(tmp_path, environment=environment) as node:
        with socket.create_connection((node.host, node.port), timeout=30) as slow:
            slow.sendall(begun)
            assert slow.recv(100) == b""  # closed without an answer
        assert httpx.get(node.url).status_code == 200


def test_requests_under_way_are_answered_before_the_end(tmp_path: Path) -> None:
    with LiveNode(tmp_path) as node:
        collection = {"vectors": {"size": 2, "distance": "Dot"}}
        httpx.put(f"{node.url}/collections/c", json=collection).raise_for_status()
        body = json.dumps({"points": [{"id": 1, "vector": [1.0, 0.0]}]}).encode()
        head = [
            "PUT /collections/c/points?wait=true HTTP/1.1",
            *("Host: x", "Content-Type: application/json", f"Content-Length: {len(body)}"),
            "Expect: 100-continue",
        ]
        with socket.create_connection(("127.0.0.1", node.port)) as client:
            client.sendall("\r\n".join([*head, "", ""]).encode())
            assert client.recv(1000).startswith(b"HTTP/1.1 100")  # it runs, and waits for its body
            assert node.process is not None
            node.process.send_signal(signal.SIGTERM)
            wait_for(lambda: "handed_over" in node.log(), what="the node to be about to stop listening")
            client.sendall(body)
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
        assert node.wait() == 0
