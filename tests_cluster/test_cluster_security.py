"""A cluster whose peers know each other by certificates, and whose callers by keys and tokens."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from router.auth.access import Match
from router.auth.claims import Claims, CollectionClaim
from router.auth.tokens import mint
from tests.certificates import Authority
from tests.live import wait_for
from tests_cluster.cluster import Cluster, joined

API = "the key of a cluster in a test, long enough"
NODES, REPLACEMENTS = 3, 4


class Caller:
    """Of the nodes' REST ports. ``key``: shown with each request."""

    def __init__(self, cluster: Cluster, key: str = API) -> None:
        self._urls = [cluster[index].url for index in range(NODES)]
        self._key = key
        self._pool = urllib3.PoolManager(retries=False, timeout=30)

    def __call__(self, node: int, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        answer = self._pool.request(
            method,
            f"{self._urls[node]}{path}",
            body=None if body is None else json.dumps(body),
            headers={"api-key": self._key, "content-type": "application/json"},
        )
        return answer.status, json.loads(answer.data) if answer.data[:1] == b"{" else answer.data.decode()

    def ok(self, node: int, method: str, path: str, body: Any = None) -> Any:
        status, told = self(node, method, path, body)
        assert status == 200, told
        return told["result"]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "tls")


@pytest.fixture
def cluster(tmp_path: Path, authority: Authority) -> Iterator[Cluster]:
    environment = {
        "QDRANT__CLUSTER__ENABLED": "true",
        "QDRANT__CLUSTER__P2P__ENABLE_TLS": "true",
        "QDRANT__TLS__CERT": authority.settings.cert,
        "QDRANT__TLS__KEY": authority.settings.key,
        "QDRANT__TLS__CA_CERT": authority.settings.ca_cert,
        "QDRANT__TLS__CERT_TTL": "1",
        "QDRANT__SERVICE__API_KEY": API,
        "QDRANT__SERVICE__JWT_RBAC": "true",
        "QDRANT__SERVICE__ENFORCE_INTERNAL_AUTH": "true",
        "QDRANT__AUDIT__ENABLED": "true",
    }
    with Cluster(tmp_path / "nodes", NODES, arguments=joined, environment=environment) as running:
        yield running


def _joined(call: Caller) -> bool:
    return all(len(call.ok(node, "GET", "/cluster")["peers"]) == NODES for node in range(NODES))


def _collection(call: Caller) -> None:
    wait_for(lambda: _joined(call), what="all to have joined")
    config = {"vectors": {"size": 2, "distance": "Dot"}, "shard_number": 2, "replication_factor": 2}
    call.ok(0, "PUT", "/collections/c", config)


def test_no_request_fails_while_the_peers_certificates_change(cluster: Cluster, authority: Authority) -> None:
    call = Caller(cluster)
    _collection(call)
    over, written, failures = threading.Event(), [0] * NODES, list[str]()

    def write(node: int) -> None:
        own = Caller(cluster)
        while not over.is_set():
            point = {"id": written[node] * NODES + node, "vector": [1, 2], "payload": {"node": node}}
            status, told = own(node, "PUT", "/collections/c/points?wait=true", {"points": [point]})
            if status != 200:
                failures.append(f"{status} {told}")
            written[node] += 1

    threads = [threading.Thread(target=write, args=(node,)) for node in range(NODES)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(REPLACEMENTS):
            before = list(written)
            authority.issue()
            wait_for(_later(written, before), what="writes to go on")
        # Connections that are made with the newest certificates, to nodes that began with older ones.
        over.set()
        for thread in threads:
            thread.join()
        cluster[2].kill()
        authority.issue()
        cluster[2].start()
        wait_for(lambda: call(2, "GET", "/collections/c")[0] == 200, what="the node to be back")
    finally:
        over.set()
    assert failures == []
    counted = call.ok(2, "POST", "/collections/c/points/count", {"exact": True})["count"]
    assert counted == sum(written)


def _later(written: list[int], before: list[int]) -> Callable[[], bool]:
    return lambda: all(now >= then + 10 for now, then in zip(written, before))


def test_every_node_refuses_what_is_revoked_and_records_what_it_was_asked(cluster: Cluster) -> None:
    call = Caller(cluster)
    _collection(call)
    claim = CollectionClaim("c", "rw", (Match("org", "acme"),))
    tenant = Caller(cluster, mint(API, Claims(subject="ann", jti="ann-1", access=(claim,))))
    own = {"id": 1, "vector": [1, 2], "payload": {"org": "acme"}}
    tenant.ok(0, "PUT", "/collections/c/points?wait=true", {"points": [own]})
    call.ok(0, "PUT", "/collections/c/points?wait=true", {"points": [{"id": 2, "vector": [3, 4]}]})
    for node in range(NODES):
        points = tenant.ok(node, "POST", "/collections/c/points/query", {"query": [1, 1], "limit": 9})[
            "points"
        ]
        assert [point["id"] for point in points] == [1]
        status, _ = tenant(node, "PUT", "/collections/c/points?wait=true", {"points": [{**own, "id": 2}]})
        assert status == 403
    call.ok(1, "PUT", "/keys/revoked/ann-1", {"note": "left"})
    for node in range(NODES):
        wait_for(lambda: tenant(node, "GET", "/collections") == (403, "RevokedToken"), what="a refusal")  # noqa: B023
    asked = {"filters": {"subject": "ann"}, "limit": 1000}
    entries = call.ok(2, "POST", "/audit/logs", asked)["entries"]
    assert [entry["timestamp"] for entry in entries] == sorted(
        (entry["timestamp"] for entry in entries), reverse=True
    )
    assert sum(entry["method"] == "query_points" for entry in entries) == NODES
    assert entries[0]["error"] == "RevokedToken"


def test_the_peer_port_speaks_to_peers_alone(cluster: Cluster) -> None:
    member = cluster[0].member
    with socket.create_connection((member.host, member.peer_port), timeout=10) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
        connection.settimeout(10)
        try:
            answer = connection.recv(9)
        except ConnectionError:
            answer = b""
    assert answer[3:4] != b"\x04"  # HTTP/2's settings, with which a server in plain text would begin
