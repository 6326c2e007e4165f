"""The process in cluster mode: how it starts, what it refuses, with which status it ends."""

from __future__ import annotations

import json
import resource
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live import LiveNode, wait_for
from tests.ports import free_port

pytestmark = pytest.mark.slow

FILE_BYTES_MAX = 200_000


def member(
    directory: Path, *arguments: str, port: int | None = None, uri: bool = True, **environment: str
) -> LiveNode:
    """A node in cluster mode; ``environment`` without the prefix."""
    port = port or free_port()
    variables = {"CLUSTER__ENABLED": "true", "CLUSTER__P2P__PORT": str(port), **environment}
    named = ("--uri", f"http://127.0.0.1:{port}") if uri else ()
    return LiveNode(
        directory,
        arguments=(*named, *arguments),
        environment={f"VECRAFT__{name}": value for name, value in variables.items()},
    )


def identity(node: LiveNode) -> Any:
    return json.loads((node.storage / "cluster/identity.json").read_text())


def create(node: LiveNode, name: str, **options: Any) -> None:
    body = {"vectors": {"size": 2, "distance": "Dot"}, **options}
    answer = httpx.put(f"{node.url}/collections/{name}", json=body, timeout=10)
    assert answer.status_code == 200, answer.text


def fill(node: LiveNode, name: str, count: int) -> None:
    points = [{"id": i, "vector": [float(i), 1.0]} for i in range(count)]
    url = f"{node.url}/collections/{name}/points?wait=true"
    assert httpx.put(url, json={"points": points}, timeout=10).status_code == 200


def count(node: LiveNode, name: str) -> int:
    url = f"{node.url}/collections/{name}/points/count"
    return int(httpx.post(url, json={"exact": True}, timeout=10).json()["result"]["count"])


def test_a_first_peer_founds_a_cluster_and_is_the_same_peer_after_a_restart(tmp_path: Path) -> None:
    with member(tmp_path) as node:
        create(node, "kept")
        fill(node, "kept", 10)
        before = identity(node)
        node.stop()
        node.start()
        wait_for(lambda: count(node, "kept") == 10, what="the points")
        after = identity(node)
        assert (after["peer_id"], after["cluster_id"]) == (before["peer_id"], before["cluster_id"])
        assert after["incarnation"] == before["incarnation"] + 1


def test_a_chosen_peer_id_is_taken(tmp_path: Path) -> None:
    with member(tmp_path, CLUSTER__PEER_ID="77") as node:
        assert identity(node)["peer_id"] == 77


def test_the_first_peer_needs_a_uri_and_says_so(tmp_path: Path) -> None:
    node = member(tmp_path, uri=False).launch()
    assert node.wait() == 1
    assert "--uri" in node.log()


@pytest.mark.parametrize("flag", ["--uri", "--bootstrap"])
def test_a_uri_that_is_none_is_refused_with_the_flag_that_gave_it(tmp_path: Path, flag: str) -> None:
    node = member(tmp_path, flag, "ftp://host", uri=False).launch()
    assert node.wait() == 1
    assert f"{flag}: Wrong input: 'ftp://host' is not the URI of a peer" in node.log().replace("\\'", "'")


def test_a_refused_bootstrap_ends_with_status_101(tmp_path: Path) -> None:
    """The URI is the first peer's."""
    with member(tmp_path / "first") as first:
        uri = first.arguments[1]
        other = member(
            tmp_path / "second",
            *("--uri", uri, "--bootstrap", uri.replace("127.0.0.1", "localhost")),
            uri=False,
        ).launch()
        try:
            assert other.wait() == 101, other.log()
        finally:
            other.kill()
        assert "refused this peer" in other.log()
        assert first.is_alive()


def test_all_of_a_cluster_cannot_be_told_to_forget_it(tmp_path: Path) -> None:
    with member(tmp_path) as node:
        own, before = node.arguments[1], identity(node)
        node.stop()
    again = member(tmp_path, "--bootstrap", own, "--bootstrap", "http://other:6335", "--reinit")
    again.arguments = (*node.arguments, *again.arguments[2:])
    again.launch()
    assert again.wait() == 1
    assert "--reinit with a list of peers that names this one is refused" in again.log()
    assert identity(node)["cluster_id"] == before["cluster_id"]


def test_a_bootstrap_that_nobody_answers_ends_with_a_reason(tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    node = member(tmp_path, "--bootstrap", nobody, CLUSTER__CONSENSUS__BOOTSTRAP_TIMEOUT_SEC="1").launch()
    assert node.wait() == 1
    assert "no cluster to be of was found within 1.0 s" in node.log()
    assert f"{nobody} did not let this peer join" in node.log()


def test_a_node_that_waits_to_join_ends_cleanly_when_it_is_told_to(tmp_path: Path) -> None:
    node = member(tmp_path, "--bootstrap", f"http://127.0.0.1:{free_port()}").launch()
    wait_for(lambda: (node.storage / "cluster/identity.json").exists(), what="the node to begin")
    assert node.process is not None
    node.process.send_signal(signal.SIGTERM)
    assert node.wait(5) == 0, node.log()


def test_a_taken_peer_port_is_said_and_ends_the_start(tmp_path: Path) -> None:
    with member(tmp_path / "first") as first:
        taken = int(first.arguments[1].rpartition(":")[2])
        second = member(tmp_path / "second", port=taken).launch()
        assert second.wait() == 1
        assert "the peer port cannot be opened" in second.log()


def test_a_node_that_ran_alone_keeps_its_collections_and_its_id_in_a_cluster(tmp_path: Path) -> None:
    with LiveNode(tmp_path) as alone:
        create(alone, "kept", shard_number=3)
        fill(alone, "kept", 50)
        peer_id = httpx.get(f"{alone.url}/collections/kept/cluster").json()["result"]["peer_id"]
        alone.stop()
    with member(tmp_path) as node:
        wait_for(lambda: count(node, "kept") == 50, what="the points")
        assert identity(node)["peer_id"] == peer_id
        node.stop()


def test_the_storage_of_a_cluster_is_not_opened_alone(tmp_path: Path) -> None:
    with member(tmp_path) as node:
        create(node, "kept")
        node.stop()
    alone = LiveNode(tmp_path).launch()
    assert alone.wait() == 1
    assert "belongs to peer" in alone.log()
    assert "cluster.enabled is not set" in alone.log()


def test_collections_of_a_node_that_ran_alone_cannot_be_taken_into_another_cluster(tmp_path: Path) -> None:
    with LiveNode(tmp_path) as alone:
        create(alone, "kept")
        alone.stop()
    node = member(tmp_path, "--bootstrap", f"http://127.0.0.1:{free_port()}").launch()
    assert node.wait() == 1
    assert "cannot be taken into another cluster" in node.log()


def test_a_metadata_log_that_fails_ends_the_process_with_a_status_of_its_own(tmp_path: Path) -> None:
    """Files may not grow beyond a size that the log reaches soon."""
    node = member(tmp_path)
    node._preexec = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, FILE_BYTES_MAX))
    with node:
        assert node.process is not None
        for number in range(FILE_BYTES_MAX // 50_000 + 1):
            if node.process.poll() is not None:
                break
            body = {"vectors": {"size": 2, "distance": "Dot"}, "metadata": {"text": "x" * 50_000}}
            try:
                httpx.put(f"{node.url}/collections/c{number}?timeout=1", json=body, timeout=20)
            except httpx.TransportError:
                break
        assert node.wait() == 102
        assert "the metadata log has failed" in node.log()


def test_while_a_node_is_drained_its_answers_end_their_connections(tmp_path: Path) -> None:
    """It may leave when it is empty, and then nobody must be left who asks it."""
    with member(tmp_path) as node, httpx.Client(base_url=node.url) as client:
        path = f"/cluster/peer/{identity(node)['peer_id']}/drain"
        for change, expected in ((client.put, "close"), (client.delete, None)):
            assert change(path).status_code == 200

            def told(expected: str | None = expected) -> bool:
                answer = client.get("/readyz")
                assert answer.status_code == 200  # it serves as ever
                return answer.headers.get("connection") == expected

            wait_for(told, what="the answers to end their connections, or no more")
