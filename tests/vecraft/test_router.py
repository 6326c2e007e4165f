"""A router as a process, over one node: what it serves, what it refuses, what it does without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from qdrant_client import QdrantClient, models

from tests.live import LiveNode, wait_for
from tests.ports import free_port
from tests.vecraft.test_clustered import count, create, fill, member

pytestmark = pytest.mark.slow

KEY = "a-key-that-nobody-guesses"


def routes(directory: Path, node: LiveNode, *arguments: str, **environment: str) -> LiveNode:
    return LiveNode(
        directory,
        arguments=("--router", "--bootstrap", node.arguments[1], *arguments),
        environment={f"VECRAFT__{name}": value for name, value in environment.items()},
    )


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveNode, LiveNode]]:
    """A node, and a router of its cluster."""
    directory = tmp_path_factory.mktemp("pair")
    with member(directory / "node") as node, routes(directory / "router", node) as router:
        wait_for(lambda: httpx.get(f"{router.url}/readyz").status_code == 200, what="the router")
        yield node, router


def get(node: LiveNode, path: str) -> Any:
    answer = httpx.get(f"{node.url}{path}", timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def test_what_is_created_through_a_router_is_searched_through_it_at_once(
    pair: tuple[LiveNode, LiveNode],
) -> None:
    node, router = pair
    for number in range(5):
        create(router, f"c{number}")
        fill(router, f"c{number}", 10)
        assert count(router, f"c{number}") == count(node, f"c{number}") == 10


def test_what_is_created_through_a_node_is_searched_through_a_router_at_once(
    pair: tuple[LiveNode, LiveNode],
) -> None:
    node, router = pair
    for number in range(10):
        create(node, f"d{number}")
        assert count(router, f"d{number}") == 0


def test_qdrants_client_understands_a_router(pair: tuple[LiveNode, LiveNode]) -> None:
    """It is shown as Qdrant shows a node that has no vote and holds nothing; it is none of the peers."""
    node, router = pair
    client = QdrantClient(url=router.url, prefer_grpc=False)
    status = client.http.distributed_api.cluster_status().result
    own, theirs = status.peer_id, get(node, "/cluster")
    assert set(status.peers) == set(theirs["peers"])
    assert str(own) not in status.peers
    assert (status.raft_info.role, status.raft_info.is_voter) == (None, False)
    assert status.raft_info.leader == theirs["peer_id"]
    assert status.consensus_thread_status.consensus_thread_status == "working"
    create(router, "shown")
    shown = client.http.distributed_api.collection_cluster_info("shown").result
    assert (shown.peer_id, shown.local_shards) == (own, [])
    assert {shard.peer_id for shard in shown.remote_shards} == {theirs["peer_id"]}
    assert client.get_collection("shown").status == models.CollectionStatus.GREEN
    assert get(router, "/cluster/peers") == get(node, "/cluster/peers")
    assert set(get(router, "/cluster/telemetry")["cluster"]["peers"]) == set(status.peers)
    assert set(get(router, "/quotas")["peers"]) == set(status.peers)


def test_grpc_is_served_as_rest_is(pair: tuple[LiveNode, LiveNode]) -> None:
    from protos.qdrant.collections_pb2 import ListCollectionsRequest, ListCollectionsResponse

    _, router = pair
    create(router, "over-grpc")
    with grpc.insecure_channel(f"127.0.0.1:{router.grpc_port}") as channel:
        method = channel.unary_unary(
            "/qdrant.Collections/List",
            request_serializer=ListCollectionsRequest.SerializeToString,
            response_deserializer=ListCollectionsResponse.FromString,
        )
        found = method(ListCollectionsRequest(), timeout=10)
    assert "over-grpc" in [each.name for each in found.collections]


def test_a_router_runs_without_faiss_and_leaves_nothing_on_its_disk(pair: tuple[LiveNode, LiveNode]) -> None:
    _, router = pair
    create(router, "light")
    fill(router, "light", 10)
    assert router.process is not None
    maps = Path(f"/proc/{router.process.pid}/maps").read_text()
    assert not [name for name in ("faiss", "lmdb", "scipy") if f"/{name}" in maps]
    assert {path.name for path in router.directory.iterdir()} <= {"node.log", ".qdrant-initialized"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/collections/kept/snapshots"),
        ("POST", "/collections/kept/shards/0/snapshots"),
        ("GET", "/collections/kept/shards/0/snapshot"),
        ("POST", "/snapshots"),
        ("POST", "/cluster/backups"),
        ("GET", "/cluster/backups"),
    ],
)
def test_what_needs_files_of_shards_is_refused_with_where_to_ask(
    pair: tuple[LiveNode, LiveNode], method: str, path: str
) -> None:
    _, router = pair
    if "kept" not in [each["name"] for each in get(router, "/collections")["collections"]]:
        create(router, "kept")
    answer = httpx.request(method, f"{router.url}{path}", timeout=10)
    assert answer.status_code == 400, answer.text
    assert "This node is a router" in answer.json()["status"]["error"]


def test_an_upload_of_a_snapshot_is_refused_before_it_is_on_disk(pair: tuple[LiveNode, LiveNode]) -> None:
    _, router = pair
    answer = httpx.post(
        f"{router.url}/collections/new/snapshots/upload", files={"snapshot": b"x" * (1 << 20)}, timeout=10
    )
    assert answer.status_code == 400, answer.text
    assert "This node is a router" in answer.json()["status"]["error"]
    assert not (router.directory / "snapshots").exists()


def test_a_node_tells_how_many_routers_follow_it_and_forgets_one_that_was_killed(tmp_path: Path) -> None:
    with member(tmp_path / "node") as node, routes(tmp_path / "router", node) as router:
        wait_for(lambda: _following(node) == 1, what="the router to follow")
        before = get(node, "/cluster/peers")
        router.kill()
        wait_for(lambda: _following(node) == 0, what="the router to be forgotten")
        assert get(node, "/cluster/peers") == before
        create(node, "c")  # nobody waits for it
        router.start()
        assert count(router, "c") == 0
        router.stop()


def _following(node: LiveNode) -> int:
    lines = httpx.get(f"{node.url}/metrics").text.splitlines()
    return int(float(next(line for line in lines if line.startswith("vecraft_routers_following")).split()[1]))


def test_a_router_asks_for_keys_as_the_nodes_do(tmp_path: Path) -> None:
    keys = {"SERVICE__API_KEY": KEY, "SERVICE__ENFORCE_INTERNAL_AUTH": "true"}
    with (
        member(tmp_path / "node", **keys) as node,
        routes(tmp_path / "router", node, **keys) as router,
    ):
        assert httpx.get(f"{router.url}/collections").status_code == 401
        assert httpx.get(f"{router.url}/collections", headers={"api-key": KEY}).status_code == 200
        stranger = routes(
            tmp_path / "stranger",
            node,
            SERVICE__API_KEY="another-key-altogether",
            CLUSTER__CONSENSUS__BOOTSTRAP_TIMEOUT_SEC="1",
        ).launch()
        assert stranger.wait() == 1
        assert "API key" in stranger.log()


def test_a_node_with_shards_is_not_made_a_router_by_mistake(tmp_path: Path) -> None:
    with member(tmp_path / "other") as other:
        with member(tmp_path / "node") as node:
            node.stop()
        again = routes(tmp_path / "node", other).launch()
        assert again.wait() == 1
        assert "belongs to a node with shards" in again.log()


def test_a_router_that_finds_no_cluster_ends_with_a_reason(tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    router = LiveNode(
        tmp_path,
        arguments=("--router", "--bootstrap", nobody),
        environment={"VECRAFT__CLUSTER__CONSENSUS__BOOTSTRAP_TIMEOUT_SEC": "1"},
    ).launch()
    assert router.wait() == 1
    assert "no cluster to follow was found within 1 s" in router.log()
