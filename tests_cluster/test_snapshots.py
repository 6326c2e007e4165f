"""Snapshots in a cluster: what comes back where there are several replicas, under writes, and by kill -9."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests_cluster.cluster import Cluster, ClusterNode, clustered
from tests_cluster.faults import restore
from tests_cluster.history import DIM
from tests_cluster.view import View

pytestmark = pytest.mark.slow

NODES = 3
IDS = range(240)
ENVIRONMENT = {"STORAGE__OPTIMIZERS__FLUSH_INTERVAL_SEC": "1"}
KILLS = 6


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with clustered(tmp_path_factory.mktemp("snapshots"), NODES, environment=ENVIRONMENT) as made:
        yield made


@pytest.fixture
def view(cluster: Cluster) -> Iterator[View]:
    restore(cluster)
    with View(cluster) as found:
        found.wait_joined(NODES)
        yield found


def snapshot(view: View, node: ClusterNode, name: str) -> str:
    """Where it lies, for the node that made it."""
    made = view.call(node, "POST", f"/collections/{name}/snapshots")
    return f"file://{node.directory}/snapshots/{name}/{made['name']}"


def recover(view: View, node: ClusterNode, name: str, location: str, **body: object) -> None:
    path = f"/collections/{name}/snapshots/recover"
    assert view.call(node, "PUT", path, {"location": location, **body}) is True


def test_every_nodes_snapshot_brings_a_dropped_collection_back(cluster: Cluster, view: View) -> None:
    """Whichever node the shards were on, and come to be on."""
    view.create("whole", replication_factor=1)
    view.put(cluster[0], "whole", IDS, 7)
    before = view.values(cluster[1], "whole")
    assert len(before) == len(IDS)
    locations = [(node, snapshot(view, node, "whole")) for node in cluster]
    view.drop("whole")
    for node, location in locations:
        recover(view, node, "whole", location)
    view.wait_active("whole")
    for node in cluster:
        assert view.values(node, "whole") == before
    view.put(cluster[2], "whole", range(10), 8)
    assert view.values(cluster[0], "whole") == before | dict.fromkeys(range(10), 8)


def test_other_replicas_are_filled_from_the_one_that_was_restored(cluster: Cluster, view: View) -> None:
    view.create("filled", shard_number=2, replication_factor=3)
    view.put(cluster[0], "filled", IDS, 1)
    location = snapshot(view, cluster[1], "filled")
    view.put(cluster[0], "filled", range(100, 400), 2)
    view.delete(cluster[2], "filled", range(50))
    recover(view, cluster[1], "filled", location, priority="snapshot")
    view.wait_active("filled", replicas=6)
    for node in cluster:
        assert view.values(node, "filled") == dict.fromkeys(IDS, 1)
    view.assert_replicas_equal("filled")


def test_a_snapshot_is_recovered_on_a_node_whose_replicas_are_dead(cluster: Cluster, view: View) -> None:
    view.create("dead", shard_number=1, replication_factor=2)
    view.put(cluster[0], "dead", IDS, 1)
    holder = view.node_of(view.holders("dead", 0)[0])
    other = next(node for node in cluster if node is not holder)
    location = snapshot(view, holder, "dead")
    holder.kill()
    view.put(other, "dead", IDS, 2)
    holder.start()
    recover(view, holder, "dead", location)
    view.wait_active("dead", replicas=2)
    assert view.values(other, "dead") == dict.fromkeys(IDS, 1)


def test_replicas_that_know_better_are_left_alone(cluster: Cluster, view: View) -> None:
    view.create("better", shard_number=2, replication_factor=3)
    view.put(cluster[0], "better", IDS, 1)
    location = snapshot(view, cluster[0], "better")
    view.put(cluster[0], "better", IDS, 2)
    recover(view, cluster[0], "better", location, priority="replica")
    for node in cluster:
        assert view.values(node, "better") == dict.fromkeys(IDS, 2)


def test_what_is_left_of_a_cluster_can_still_be_copied(cluster: Cluster, view: View) -> None:
    """Two of three nodes are gone: nothing can be agreed on, and the third still makes snapshots."""
    view.create("left", shard_number=1, replication_factor=3)
    view.put(cluster[0], "left", IDS, 1)
    snapshot(view, cluster[2], "left")  # so it knows that all replicas have what was written
    for node in (cluster[0], cluster[1]):
        node.kill()
    made = view.call(cluster[2], "POST", "/collections/left/snapshots", timeout_s=60)
    assert made["size"] > 0
    assert "copied_without_the_cluster" in cluster[2].log()
    for node in (cluster[0], cluster[1]):
        node.start()
    view.wait_joined(NODES)


@contextmanager
def writing(view: View, node: ClusterNode, name: str) -> Iterator[list[int]]:
    """Points 1000.. written one after another meanwhile; those acknowledged, in order."""
    acknowledged: list[int] = []
    ended = threading.Event()

    def write() -> None:
        with httpx.Client(base_url=node.url, timeout=30) as client:
            number = 1000
            while not ended.is_set():
                point = {"id": number, "vector": [1.0] * DIM, "payload": {"value": number}}
                path = f"/collections/{name}/points?wait=true"
                if client.put(path, json={"points": [point]}).status_code == 200:
                    acknowledged.append(number)
                    number += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield acknowledged
    finally:
        ended.set()
        thread.join()


def test_a_snapshot_under_writes_holds_what_was_acknowledged_before(cluster: Cluster, view: View) -> None:
    """Of one shard it is a state as of one moment: everything up to some write, nothing after it."""
    view.create("busy", shard_number=1, replication_factor=3)
    with writing(view, cluster[0], "busy") as acknowledged:
        cluster.wait_for(lambda: len(acknowledged) > 30, what="some writes")
        known = acknowledged[-1]
        location = snapshot(view, cluster[1], "busy")
        cluster.wait_for(lambda: acknowledged[-1] > known + 30, what="more writes")
        recover(view, cluster[1], "busy", location)
    view.wait_active("busy", replicas=3)
    found = sorted(view.values(cluster[2], "busy"))
    old = [number for number, following in zip(found, [*found[1:], None]) if following == number + 1]
    assert found[0] == 1000
    assert known in found
    assert set(range(1000, known + 1)) <= set(found), old


def test_killed_at_any_moment_all_shards_are_old_or_all_are_new(cluster: Cluster, view: View) -> None:
    rng = random.Random(1)
    node = cluster[0]
    view.create("killed", shard_number=3, replication_factor=1)
    view.put(node, "killed", IDS, 1)
    owned = [shard for shard in range(3) if view.peer_id(node) in view.holders("killed", shard)]
    for shard in set(range(3)) - set(owned):
        move = {
            "shard_id": shard,
            "from_peer_id": view.holders("killed", shard)[0],
            "to_peer_id": view.peer_id(node),
        }
        view.change(node, "killed", move_shard=move)
        cluster.wait_for(
            lambda shard=shard: view.holders("killed", shard) == [view.peer_id(node)], what="the move"
        )
    view.wait_active("killed")
    location = snapshot(view, node, "killed")
    new = view.values(node, "killed")
    for round_ in range(KILLS):
        value = 100 + round_
        view.put(node, "killed", IDS, value)
        caller = threading.Thread(target=_try, args=(node, "killed", location))
        caller.start()
        threading.Event().wait(rng.uniform(0.0, 0.8))
        node.kill()
        caller.join()
        node.start()
        view.wait_joined(NODES)
        view.wait_active("killed")
        found = view.values(node, "killed")
        assert found in (new, dict.fromkeys(IDS, value)), f"round {round_}"
        cluster.wait_for(lambda: nothing_ready(node), what="nothing left")
        left = [path for path in (node.directory / "snapshots/tmp").rglob("*") if path.is_file()]
        assert left == []


def nothing_ready(node: ClusterNode) -> bool:
    directory = node.storage / "restoring"
    return not directory.exists() or not list(directory.iterdir())


def _try(node: ClusterNode, name: str, location: str) -> None:
    url = f"{node.url}/collections/{name}/snapshots/recover"
    with contextlib.suppress(httpx.TransportError):  # it is killed
        httpx.put(url, json={"location": location}, timeout=60)
