"""Replicas are added, moved and dropped while clients write, and a move can be called off."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests_cluster.cluster import Cluster, clustered
from tests_cluster.history import Recorder
from tests_cluster.network import Network
from tests_cluster.view import View

pytestmark = pytest.mark.slow

NODES = 3
METHODS = ("stream_records", "snapshot", "wal_delta")
CLIENTS = 5
SLOW_KBIT_PER_S = 800
BULKY = {"text": "x" * 500}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """In namespaces, so that a link can be slow."""
    directory = tmp_path_factory.mktemp("changes")
    with Network(NODES + 1) as network, clustered(directory, NODES, network=network) as made:
        yield made


def spare(view: View, name: str, shard_id: int) -> int:
    """A peer without a replica of the shard."""
    holders = view.holders(name, shard_id)
    return next(peer for node in view.running() if (peer := view.peer_id(node)) not in holders)


@pytest.mark.parametrize("method", METHODS)
async def test_a_shard_is_moved_under_load(cluster: Cluster, view: View, method: str) -> None:
    """From each of its peers to the one that has none: so the primary moves, too."""
    name = f"move-{method}"
    reads = {"consistency": "majority"}
    async with Recorder(cluster.urls, name, seed=1, read_query=reads) as recorder:
        await recorder.create_collection(shard_number=2, replication_factor=2, write_consistency_factor=1)
        await asyncio.to_thread(view.wait_active, name, replicas=4)
        async with recorder.running(CLIENTS):
            for _ in range(2):
                await asyncio.to_thread(_move, view, name, 0, method)
        await recorder.read_all()
    recorder.assert_linearizable()
    view.assert_replicas_equal(name)
    view.drop(name)


def _move(view: View, name: str, shard_id: int, method: str) -> None:
    source, target = view.holders(name, shard_id)[0], spare(view, name, shard_id)
    body = {"shard_id": shard_id, "from_peer_id": source, "to_peer_id": target, "method": method}
    wanted = view.wait_active(name)
    view.change(view.running()[0], name, move_shard=body)
    del wanted[shard_id, source]
    view.wait_states(name, {**wanted, (shard_id, target): "Active"}, seconds=60)


def test_a_replica_is_dropped_and_the_last_one_is_not(cluster: Cluster, view: View) -> None:
    view.create("drop", shard_number=1)
    view.put(cluster[0], "drop", range(100), 1)
    first, second = view.holders("drop", 0)
    view.change(cluster[1], "drop", drop_replica={"shard_id": 0, "peer_id": first})
    view.wait_states("drop", {(0, second): "Active"})
    body = {"drop_replica": {"shard_id": 0, "peer_id": second}}
    refused = view.request(cluster[2], "POST", "/collections/drop/cluster", body)
    assert refused.status_code == 400
    assert f"Shard 0 must have at least one active replica after removing {second}" in refused.text
    for node in cluster:
        assert len(view.values(node, "drop")) == 100


def test_a_move_that_is_aborted_leaves_everything_as_it_was(cluster: Cluster, view: View) -> None:
    """The link is so slow that the move would take many seconds."""
    view.create("abort", shard_number=1, replication_factor=1)
    points = [{"id": i, "vector": [float(i)] * 4, "payload": BULKY} for i in range(3_000)]
    for start in range(0, len(points), 500):
        body = {"points": points[start : start + 500]}
        view.call(cluster[0], "PUT", "/collections/abort/points", body, wait="true")
    (source,) = view.holders("abort", 0)
    target = spare(view, "abort", 0)
    network, index = cluster.network, view.node_of(source).member.index
    assert network is not None
    ends = {"shard_id": 0, "from_peer_id": source, "to_peer_id": target}
    other = next(node for node in cluster if node.member.index != index)
    network[index].slow(kbit_per_s=SLOW_KBIT_PER_S)
    try:
        view.change(other, "abort", move_shard={**ends, "method": "stream_records"})
        (listed,) = view.collection(other, "abort")["shard_transfers"]
        assert (listed["from"], listed["to"], listed["sync"]) == (source, target, False)
        view.change(other, "abort", abort_transfer=ends)
        view.wait_states("abort", {(0, source): "Active"})
    finally:
        network[index].full_speed()
    missing = view.request(other, "POST", "/collections/abort/cluster", {"abort_transfer": ends})
    assert missing.status_code == 404
    assert view.assert_replicas_equal("abort").keys() == set(range(3_000))
    view.change(other, "abort", move_shard={**ends, "method": "stream_records"})
    view.wait_states("abort", {(0, target): "Active"})
    assert view.assert_replicas_equal("abort").keys() == set(range(3_000))


def test_a_node_that_joins_later_is_given_replicas_by_every_method(cluster: Cluster, view: View) -> None:
    """It is the last test here: from now on there are four nodes."""
    view.create("later", replicas=12)
    view.put(cluster[0], "later", range(500), 1)
    newcomer = cluster.add().start()
    view.wait_joined(NODES + 1)
    states = view.wait_active("later", replicas=12)
    assert len(view.values(newcomer, "later")) == 500
    peer_id = view.peer_id(newcomer)
    assert peer_id not in {peer for _, peer in states}
    for shard_id, method in enumerate(METHODS):
        source = view.holders("later", shard_id)[-1]
        ends = {"shard_id": shard_id, "from_peer_id": source, "to_peer_id": peer_id, "method": method}
        view.change(newcomer, "later", replicate_shard=ends)
        states = {**states, (shard_id, peer_id): "Active"}
        view.wait_states("later", states)
    view.put(newcomer, "later", range(100), 2)
    assert view.assert_replicas_equal("later").keys() == set(range(500))
    assert len(view.content(newcomer, "later", 0)) > 0
