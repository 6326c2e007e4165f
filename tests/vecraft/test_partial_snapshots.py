"""Partial snapshots as a client of two nodes meets them: one takes writes, the other follows it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live import LiveNode, wait_for
from tests.ports import free_port

pytestmark = pytest.mark.slow

C = "/collections/c"
PARTIAL = f"{C}/shards/0/snapshot/partial"
POINTS = 300


@pytest.fixture(scope="module", params=["alone", "clustered"])
def nodes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[LiveNode, LiveNode]]:
    """The one that is followed has a key; the other one is alone, or all of a cluster."""
    directory, port = tmp_path_factory.mktemp("partial"), free_port()
    key = {"VECRAFT__SERVICE__API_KEY": "secret"}
    cluster = {"VECRAFT__CLUSTER__ENABLED": "true", "VECRAFT__CLUSTER__P2P__PORT": str(port)}
    follower = LiveNode(directory / "follower")
    if request.param == "clustered":
        founding = ("--uri", f"http://127.0.0.1:{port}")
        follower = LiveNode(directory / "follower", environment=cluster, arguments=founding)
    with LiveNode(directory / "source", environment=key) as source, follower:
        yield source, follower


@pytest.fixture
def clients(nodes: tuple[LiveNode, LiveNode]) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Of both nodes, with a collection ``c`` of two shards: full on the one, empty on the other."""
    with (
        httpx.Client(base_url=nodes[0].url, headers={"api-key": "secret"}, timeout=60) as source,
        httpx.Client(base_url=nodes[1].url, timeout=60) as follower,
    ):
        for client in (source, follower):
            client.delete(C)
            body = {"vectors": {"size": 4, "distance": "Dot"}, "shard_number": 2}
            client.put(C, json=body).raise_for_status()
            index = {"field_name": "k", "field_schema": "integer"}
            client.put(f"{C}/index?wait=true", json=index).raise_for_status()
        put(source, range(POINTS))
        yield source, follower


def put(client: httpx.Client, ids: range, **payload: Any) -> None:
    points = [{"id": i, "vector": [i, 1, 2, 3], "payload": {"k": i % 7, **payload}} for i in ids]
    client.put(f"{C}/points?wait=true", json={"points": points}).raise_for_status()


def contents(client: httpx.Client) -> list[Any]:
    body = {"limit": 10_000, "with_payload": True, "with_vector": True}
    points: list[Any] = (
        client.post(f"{C}/points/scroll", json=body).raise_for_status().json()["result"]["points"]
    )
    return points


def partial_telemetry(client: httpx.Client) -> list[dict[str, Any]]:
    told = client.get("/telemetry?details_level=3").json()["result"]["collections"]["collections"]
    return [shard["partial_snapshot"] for shard in told[0]["shards"]]


def follow(follower: httpx.Client, source: LiveNode, shard: int = 0, **more: Any) -> httpx.Response:
    body = {"peer_url": source.url, "api_key": "secret", **more}
    return follower.post(f"{C}/shards/{shard}/snapshot/partial/recover_from", json=body)


def followed(follower: httpx.Client, source: LiveNode) -> list[bool]:
    answers = [follow(follower, source, shard) for shard in (0, 1)]
    assert [answer.status_code for answer in answers] == [200, 200], [answer.text for answer in answers]
    return [answer.json()["result"] for answer in answers]


Clients = tuple[httpx.Client, httpx.Client]
Nodes = tuple[LiveNode, LiveNode]


def test_a_node_follows_another(nodes: Nodes, clients: Clients) -> None:
    source, follower = clients
    assert followed(follower, nodes[0]) == [True, True]
    assert contents(follower) == contents(source)
    assert followed(follower, nodes[0]) == [False, False]
    put(source, range(40, 400), more=True)
    source.post(f"{C}/points/delete?wait=true", json={"points": [1, 2, 3]}).raise_for_status()
    assert followed(follower, nodes[0]) == [True, True]
    assert contents(follower) == contents(source)
    counted = {"filter": {"must": [{"key": "more", "match": {"value": True}}]}, "exact": True}
    assert follower.post(f"{C}/points/count", json=counted).json()["result"]["count"] == 360
    nodes[1].restart()
    assert contents(follower) == contents(source)
    assert followed(follower, nodes[0]) == [False, False]
    assert partial_telemetry(follower)[0] == {
        "ongoing_create_snapshot_requests": 0,
        "is_recovering": False,
        "recovery_timestamp": pytest.approx(time.time(), abs=60),
    }


def test_the_file_may_be_carried_by_hand(nodes: Nodes, clients: Clients) -> None:
    source, follower = clients
    assert followed(follower, nodes[0]) == [True, True]
    put(source, range(500, 520))
    before = contents(follower)
    manifest = follower.get(f"{PARTIAL}/manifest").json()["result"]
    assert manifest["format"] == 1
    made = source.post(f"{PARTIAL}/create", json=manifest)
    assert made.status_code == 200
    assert "c-shard-0-" in made.headers["content-disposition"]
    files = {"snapshot": made.content}
    for path, status in (
        (f"{PARTIAL}/recover?checksum=abc", 422),
        (f"{PARTIAL}/recover?checksum={'0' * 64}", 400),
        (f"{C}/shards/1/snapshot/partial/recover", 400),
        (f"{C}/shards/9/snapshot/partial/recover", 404),
        (f"{C}/shards/0/snapshots/upload", 400),
        (f"{C}/snapshots/upload", 400),
    ):
        answer = follower.post(path, files=files)
        assert answer.status_code == status, (path, answer.text)
    damaged = {"snapshot": made.content[: len(made.content) // 2]}
    assert follower.post(f"{PARTIAL}/recover", files=damaged).status_code == 400
    assert contents(follower) == before
    assert follower.post(f"{PARTIAL}/recover", files=files).json()["result"] is True
    whole = source.get(f"{C}/shards/0/snapshot").content
    refused = follower.post(f"{PARTIAL}/recover", files={"snapshot": whole})
    assert (refused.status_code, "that of a partial shard is expected" in refused.text) == (400, True)
    assert followed(follower, nodes[0]) == [False, True]
    assert contents(follower) == contents(source)
    assert [path for path in (nodes[1].directory / "snapshots/tmp").rglob("*") if path.is_file()] == []


def test_where_nothing_differs_nothing_is_sent(clients: Clients) -> None:
    source, _ = clients
    manifest = source.get(f"{PARTIAL}/manifest").json()["result"]
    answer = source.post(f"{PARTIAL}/create", json=manifest)
    assert (answer.status_code, answer.content) == (304, b"")
    for wrong, status in (
        ({**manifest, "format": 2}, 400),
        ({**manifest, "files": {"points.mdb": {"size": 1, "sum": "", "block_bytes": 3}}}, 400),
        ({}, 400),
        ([], 400),
    ):
        answer = source.post(f"{PARTIAL}/create", json=wrong)
        assert answer.status_code == status, answer.text
        assert answer.json()["status"]["error"]
    assert source.post(f"{C}/shards/9/snapshot/partial/create", json=manifest).status_code == 404


def test_shards_that_do_not_go_together_are_refused(nodes: Nodes, clients: Clients) -> None:
    source, follower = clients
    follower.delete(C)
    other = {"vectors": {"size": 4, "distance": "Dot"}, "shard_number": 1}
    follower.put(C, json=other).raise_for_status()
    refused = follow(follower, nodes[0])
    assert (refused.status_code, "sharded differently" in refused.text) == (400, True)
    follower.delete(C)
    other = {"vectors": {"size": 3, "distance": "Dot"}, "shard_number": 2}
    follower.put(C, json=other).raise_for_status()
    refused = follow(follower, nodes[0])
    assert (refused.status_code, "not compatible" in refused.text) == (400, True)
    assert contents(follower) == []
    assert len(contents(source)) == POINTS


@pytest.mark.parametrize(
    ("peer_url", "status"),
    [
        ("http://169.254.169.254/latest", 403),
        ("http://[fd00:ec2::254]/", 403),
        ("file:///etc/passwd", 400),
        ("ftp://example.com", 400),
        ("c-1.snapshot", 400),
        ("http://", 400),
        ("", 422),
        ("http://127.0.0.1:1", 400),
        ("{source}/nowhere", 400),
    ],
)
def test_not_every_url_is_asked(nodes: Nodes, clients: Clients, peer_url: str, status: int) -> None:
    answer = follow(clients[1], nodes[0], peer_url=peer_url.replace("{source}", nodes[0].url))
    assert answer.status_code == status, answer.text
    assert contents(clients[1]) == []


def test_a_wrong_key_or_a_collection_that_is_not_there_is_told(nodes: Nodes, clients: Clients) -> None:
    source, follower = clients
    refused = follow(follower, nodes[0], api_key="wrong")
    assert (refused.status_code, "401" in refused.text) == (400, True)
    source.delete(C)
    refused = follow(follower, nodes[0])
    assert (refused.status_code, "404" in refused.text) == (400, True)


def test_urls_may_be_switched_off(nodes: Nodes, tmp_path: Path) -> None:
    off = {"VECRAFT__SERVICE__ENABLE_SNAPSHOT_URL_RECOVERY": "false"}
    with LiveNode(tmp_path, environment=off) as node, httpx.Client(base_url=node.url, timeout=60) as client:
        client.put(C, json={"vectors": {"size": 4, "distance": "Dot"}}).raise_for_status()
        refused = follow(client, nodes[0])
        assert (refused.status_code, "disabled in the configuration" in refused.text) == (403, True)


@contextmanager
def waiting_peer(answer: bytes) -> Iterator[tuple[str, threading.Event, threading.Event]]:
    """A node that has been ``asked``, and answers when it is let ``go``."""
    asked, go = threading.Event(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.set()
            self.rfile.read(int(self.headers["Content-Length"]))
            go.wait(60)
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked, go
    finally:
        go.set()
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_shard_follows_one_at_a_time(nodes: Nodes, clients: Clients) -> None:
    source, follower = clients
    manifest = follower.get(f"{PARTIAL}/manifest").json()["result"]
    made = source.post(f"{PARTIAL}/create", json=manifest).content
    with waiting_peer(made) as (url, asked, go), ThreadPoolExecutor(1) as pool:
        first = pool.submit(follow, follower, nodes[0], peer_url=url)
        assert asked.wait(30)
        with httpx.Client(base_url=nodes[1].url, timeout=60) as other:
            busy = {"status": "already_in_progress", "time": 0.0}
            for answer in (
                follow(other, nodes[0]),
                other.post(f"{PARTIAL}/recover", files={"snapshot": made}),
            ):
                assert (answer.status_code, answer.json()) == (503, busy)
            told = other.get("/telemetry?details_level=3").json()["result"]["collections"]["collections"]
            assert [shard["partial_snapshot"]["is_recovering"] for shard in told[0]["shards"]] == [
                True,
                False,
            ]
            assert follow(other, nodes[0], shard=1).json()["result"] is True
            assert 0 < len(contents(other)) < POINTS
        go.set()
        assert first.result().json()["result"] is True
    assert contents(follower) == contents(source)
    assert all(told["recovery_timestamp"] > 0 for told in partial_telemetry(follower))


def test_without_waiting_it_goes_on_all_the_same(nodes: Nodes, clients: Clients) -> None:
    source, follower = clients
    for shard in (0, 1):
        body = {"peer_url": nodes[0].url, "api_key": "secret"}
        path = f"{C}/shards/{shard}/snapshot/partial/recover_from?wait=false"
        assert follower.post(path, json=body).status_code == 202
    wait_for(lambda: contents(follower) == contents(source), what="the follower to be there")
    wait_for(lambda: not any(told["is_recovering"] for told in partial_telemetry(follower)), what="the end")


def test_reads_are_answered_while_it_follows(nodes: Nodes, clients: Clients) -> None:
    """Every write puts the same number in all points of a shard: none is missing, and none is of another."""
    source, follower = clients
    assert followed(follower, nodes[0]) == [True, True]
    failures: list[str] = []
    done = threading.Event()

    def read() -> None:
        with httpx.Client(base_url=nodes[1].url, timeout=60) as reader:
            while not done.is_set():
                answer = reader.post(f"{C}/points/scroll", json={"limit": 1000})
                found = answer.json()["result"]["points"] if answer.status_code == 200 else answer.text
                if len(found) != POINTS or answer.status_code != 200:
                    failures.append(f"{answer.status_code} {str(found)[:200]}")
                query = {"query": [1, 1, 1, 1], "limit": 3}
                answer = reader.post(f"{C}/points/query", json=query)
                if answer.status_code != 200 or len(answer.json()["result"]["points"]) != 3:
                    failures.append(answer.text)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for turn in range(5):
        put(source, range(POINTS), turn=turn)
        assert followed(follower, nodes[0]) == [True, True]
    done.set()
    for reader in readers:
        reader.join()
    assert failures == []
    assert contents(follower) == contents(source)
