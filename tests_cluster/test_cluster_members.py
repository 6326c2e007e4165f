"""Peers leave and come: removed ones stop, lost ones are replaced, a lone survivor goes on, and listeners
listen."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.kubernetes_api import kubernetes_api
from tests.live import LiveNode
from tests.ports import free_port
from tests_cluster.cluster import Cluster, clustered
from tests_cluster.view import View
from vecraft.cli import main

pytestmark = pytest.mark.slow

NODES = 3


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with clustered(tmp_path, NODES) as made:
        yield made


def test_a_removed_peer_stops_and_its_replicas_are_made_anew_elsewhere(cluster: Cluster, view: View) -> None:
    view.create("kept", replicas=12)
    view.put(cluster[0], "kept", range(200), 1)
    victim = view.leader()
    peer_id = view.peer_id(victim)
    others = [node for node in cluster if node is not victim]
    path = f"/cluster/peer/{peer_id}"
    refused = view.request(others[0], "DELETE", path)
    assert refused.status_code == 400
    assert f"Cannot remove peer {peer_id} as there are shards on it" in refused.text
    assert view.call(others[0], "DELETE", path, force="true") is True
    cluster.wait_for(
        lambda: view.status(victim)["consensus_thread_status"]["consensus_thread_status"] == "stopped",
        what="the removed peer to stop",
    )
    assert all(peer_id != int(peer) for node in others for peer in view.status(node)["peers"])
    victim.kill()
    view.wait_joined(NODES - 1)
    states = view.wait_active("kept", replicas=12)
    assert {peer for _, peer in states} == {view.peer_id(node) for node in others}
    assert view.assert_replicas_equal("kept").keys() == set(range(200))


def test_a_peer_without_shards_can_be_removed_and_join_again_as_a_new_one(
    cluster: Cluster, view: View
) -> None:
    victim = view.follower()
    peer_id = view.peer_id(victim)
    other = next(node for node in cluster if node is not victim)
    assert view.call(other, "DELETE", f"/cluster/peer/{peer_id}") is True
    victim.kill()
    shutil.rmtree(victim.storage)
    victim.arguments = ("--uri", victim.member.peer_uri, "--bootstrap", other.member.peer_uri)
    view.forget(victim)
    victim.launch()
    view.wait_joined(NODES)
    assert view.peer_id(victim) != peer_id
    view.create("again", replicas=12)
    view.put(victim, "again", range(50), 1)
    assert len(view.values(other, "again")) == 50


def test_a_pod_that_is_scaled_away_is_emptied_and_comes_back_as_a_new_peer(
    cluster: Cluster, view: View, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its old storage: what a claim holds that Kubernetes kept."""
    view.create("kept", replicas=12)
    view.create("everywhere", replication_factor=NODES, replicas=6 * NODES)
    view.put(cluster[0], "kept", range(200), 1)
    last = cluster[2]
    last.stop()
    last.arguments = (*last.arguments, "--rejoin")
    last.launch()
    view.wait_active("kept", replicas=12)
    peer_id = view.peer_id(last)
    with kubernetes_api(tmp_path / "kubernetes") as api:
        for name, value in api.pod(2).items():
            monkeypatch.setenv(name, value)
        stop = ["pod", "stop", "--account", str(api.account), "--url", last.url]
        assert main(stop) == 0
        assert str(peer_id) in view.status(cluster[0])["peers"]
        api.replicas = 2
        assert main(stop) == 0
    assert last.wait() == 103, last.log()
    view.wait_joined(NODES - 1)
    assert view.assert_replicas_equal("kept").keys() == set(range(200))
    view.forget(last)
    last.launch()
    view.wait_joined(NODES)
    assert view.peer_id(last) != peer_id
    view.create("again", replicas=12)


def test_a_node_that_lost_its_storage_takes_the_place_of_its_old_peer(cluster: Cluster, view: View) -> None:
    view.create("kept", replicas=12)
    view.put(cluster[0], "kept", range(200), 1)
    victim = view.follower()
    lost, other = view.peer_id(victim), next(node for node in cluster if node is not victim)
    victim.kill()
    shutil.rmtree(victim.storage)
    victim.arguments = ("--uri", victim.member.peer_uri, "--bootstrap", other.member.peer_uri)
    view.forget(victim)
    victim.start()
    view.wait_joined(NODES)
    assert view.peer_id(victim) != lost
    view.wait_active("kept", replicas=12)
    assert len(view.values(victim, "kept")) == 200


def test_a_node_at_the_uri_of_one_that_runs_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    """The URI leads to that one, so it is there by mistake."""
    taken = cluster[1].member
    second = LiveNode(
        tmp_path / "second",
        environment={"VECRAFT__CLUSTER__ENABLED": "true", "VECRAFT__CLUSTER__P2P__PORT": str(free_port())},
        arguments=("--uri", taken.peer_uri, "--bootstrap", cluster[0].member.peer_uri),
    )
    assert second.launch().wait() == 101, second.log()


def test_the_last_survivor_goes_on_alone_with_reinit_and_others_may_join_it(
    cluster: Cluster, view: View
) -> None:
    view.create("saved", replication_factor=3, replicas=18)
    view.put(cluster[0], "saved", range(200), 1)
    survivor, *lost = cluster
    peer_id = view.peer_id(survivor)
    for node in cluster:
        node.kill()
    survivor.arguments = ("--uri", survivor.member.peer_uri, "--reinit")
    survivor.launch()
    view.wait_joined(1)
    assert view.peer_id(survivor) == view.status(survivor)["peer_id"] == peer_id
    view.wait_active("saved", replicas=6)
    assert len(view.values(survivor, "saved")) == 200
    view.put(survivor, "saved", range(200, 300), 2)
    survivor.stop()
    survivor.arguments = ("--uri", survivor.member.peer_uri)
    survivor.launch()
    newcomer = lost[0]
    shutil.rmtree(newcomer.storage)
    view.forget(newcomer)
    newcomer.arguments = ("--uri", newcomer.member.peer_uri, "--bootstrap", survivor.member.peer_uri)
    newcomer.launch()
    view.wait_joined(2)
    view.wait_active("saved", replicas=12)
    assert view.assert_replicas_equal("saved").keys() == set(range(300))


def test_a_listener_is_sent_every_write_and_neither_read_from_nor_waited_for(
    cluster: Cluster, view: View
) -> None:
    listener = cluster.add(environment={"VECRAFT__STORAGE__NODE_TYPE": "Listener"}).start()
    view.wait_joined(NODES + 1)
    peer_id = view.peer_id(listener)
    view.create_quietly("heard", shard_number=2, replication_factor=NODES + 1)

    def listening() -> bool:
        states = view.settled("heard") or {}
        own = {state for (_, peer), state in states.items() if peer == peer_id}
        return len(states) == 2 * (NODES + 1) and own == {"Listener"}

    cluster.wait_for(listening, what="the listener's replicas to be listeners")
    view.put(cluster[0], "heard", range(100), 1)
    assert len(view.values(listener, "heard")) == 100  # by asking the others
    held = {point for shard in (0, 1) for point in view.content(cluster[0], "heard", shard)}
    assert held == set(range(100))
    cluster.wait_for(
        lambda: {p for shard in (0, 1) for p in view.content(listener, "heard", shard)} == held,
        what="the listener to have every write",
    )
    listener.pause()
    view.put(cluster[0], "heard", range(100, 150), 2)
    listener.resume()
    cluster.wait_for(
        lambda: sum(len(view.content(listener, "heard", shard)) for shard in (0, 1)) == 150,
        what="the listener to catch up",
    )
