"""What the launcher makes of the nodes' answers, and what it shows of that."""

from __future__ import annotations

import io
from typing import Any

from msgspec.structs import replace
from rich.console import Console

from vecraft.cluster.launcher import is_whole
from vecraft.cluster.showing import changes, headline, tables
from vecraft.cluster.watching import (
    ClusterStatus,
    CollectionStatus,
    NodeStatus,
    Report,
    collection_status,
    how_it_ended,
    node_status,
)


def cluster(peer_id: int = 1, *, leader: int | None = 1, thread: str = "working") -> dict[str, Any]:
    return {
        "status": "enabled",
        "peer_id": peer_id,
        "peers": {"1": {"uri": "http://a:6335/"}, "2": {"uri": "http://b:6335/"}},
        "raft_info": {"term": 3, "commit": 9, "leader": leader, "role": "Follower", "is_voter": True},
        "consensus_thread_status": {"consensus_thread_status": thread},
    }


def view(local: dict[int, int], remote: dict[int, str]) -> dict[str, Any]:
    return {
        "shard_count": 2,
        "local_shards": [{"shard_id": i, "points_count": n, "state": "Active"} for i, n in local.items()],
        "remote_shards": [{"shard_id": i, "peer_id": 2, "state": state} for i, state in remote.items()],
        "shard_transfers": [{"shard_id": 0}],
    }


def report(**collections: dict[str, Any] | None) -> Report:
    return Report(cluster(), ready=True, collections=collections)


def node(name: str = "node1", *, peer_id: int = 1, condition: str = "ready") -> NodeStatus:
    return NodeStatus(
        name=name,
        url="http://127.0.0.1:6333",
        condition=condition,
        peer_id=peer_id,
        role="Leader" if peer_id == 1 else "Follower",
        leader=1,
        term=3,
        commit=9,
        peers=2,
        shards=4,
        memory_bytes=100 * 2**20,
    )


def collection(**replicas: int) -> CollectionStatus:
    return CollectionStatus(name="wordnet", shards=6, replicas=replicas, points=1000, transfers=0)


WHOLE = ClusterStatus((node(), node("node2", peer_id=2)), (collection(Active=12),), 1)


def test_a_node_that_is_ready_says_who_it_is_and_how_far() -> None:
    found = node_status("node1", "http://x", report(c=view({0: 5, 1: 6}, {})), memory_bytes=7)
    assert (found.condition, found.peer_id, found.role, found.leader) == ("ready", 1, "Follower", 1)
    assert (found.term, found.commit, found.peers, found.shards, found.memory_bytes) == (3, 9, 2, 2, 7)


def test_a_node_whose_agreement_has_stopped_is_not_shown_as_ready() -> None:
    stopped = Report(cluster(thread="stopped"), ready=True, collections={})
    assert node_status("node1", "http://x", stopped, None).condition == "consensus stopped"


def test_points_are_counted_once_per_shard_whoever_holds_it() -> None:
    reports = [report(c=view({0: 10}, {1: "Active"})), report(c=view({0: 9, 1: 20}, {}))]
    found = collection_status("c", reports)
    assert (found.points, found.shards, found.transfers) == (30, 2, 1)


def test_replica_states_are_counted_over_all_nodes() -> None:
    found = collection_status("c", [report(c=view({0: 1, 1: 1}, {0: "Active", 1: "Dead"}))])
    assert found.replicas == {"Active": 3, "Dead": 1}


def test_a_collection_that_no_node_can_tell_of_is_shown_empty() -> None:
    assert collection_status("c", [report(c=None)]).replicas == {}


def test_a_cluster_is_whole_when_all_are_ready_and_agree() -> None:
    assert is_whole(WHOLE)


def test_a_cluster_is_not_whole_before_each_node_knows_each_other() -> None:
    lonely = replace(WHOLE.nodes[1], peers=1)
    undecided = replace(WHOLE.nodes[1], leader=None)
    starting = replace(WHOLE.nodes[1], condition="starting")
    other = replace(WHOLE.nodes[1], leader=2)
    for second in (lonely, undecided, starting, other):
        assert not is_whole(replace(WHOLE, nodes=(WHOLE.nodes[0], second)))


def test_the_first_look_tells_everything_and_the_same_again_nothing() -> None:
    assert len(changes(None, WHOLE)) == 3
    assert changes(WHOLE, WHOLE) == []


def test_counters_that_always_grow_are_no_change() -> None:
    grown = replace(WHOLE.nodes[0], commit=10, memory_bytes=2**30)
    later = replace(
        WHOLE, nodes=(grown, WHOLE.nodes[1]), collections=(replace(collection(Active=12), points=5),)
    )
    assert changes(WHOLE, later) == []


def test_a_node_that_ends_a_new_state_and_a_collection_that_goes_are_told() -> None:
    ended = NodeStatus(name="node2", url="", condition=how_it_ended(-9))
    later = ClusterStatus((WHOLE.nodes[0], ended), (collection(Active=10, Dead=2),), 1)
    assert changes(WHOLE, later) == [
        "node2: ended by signal 9",
        "collection wordnet: 6 shards, replicas: 10 Active, 2 Dead",
    ]
    assert changes(WHOLE, replace(WHOLE, collections=())) == ["collection wordnet: gone"]


def test_the_table_names_the_leading_node_and_every_state() -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(tables(replace(WHOLE, collections=(collection(Active=10, Partial=2),))))
    text = console.export_text()
    assert "2 nodes, node1 leads" in text
    assert "10 Active, 2 Partial" in text
    assert "100 MiB" in text


def test_nodes_that_disagree_on_the_leader_are_both_shown() -> None:
    split = replace(WHOLE, nodes=(WHOLE.nodes[0], replace(WHOLE.nodes[1], leader=2)))
    assert headline(split) == "2 nodes, node1 or node2 leads"
    assert headline(ClusterStatus((), ())) == "0 nodes, no leader"
