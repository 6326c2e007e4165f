"""A node that was away while the others went on: it comes back, catches up by itself, and differs in
nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests_cluster.cluster import Cluster, ClusterNode, clustered
from tests_cluster.history import DIM
from tests_cluster.view import PROBES, View

pytestmark = pytest.mark.slow

NODES = 3
ENVIRONMENT = {
    "STORAGE__WAL__WAL_CAPACITY_MB": "1",
    "STORAGE__OPTIMIZERS__FLUSH_INTERVAL_SEC": "1",
}
# What the others write meanwhile: the log still has it, or reaches no more so far back.
WRITES = {"few": 100, "many": 6_000}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with clustered(tmp_path_factory.mktemp("recovery"), NODES, environment=ENVIRONMENT) as made:
        yield made


def wait_dead(cluster: Cluster, view: View, name: str, peer_id: int) -> None:
    """Every replica of the peer is given up by the others."""

    def dead() -> bool:
        states = view.states(view.running()[0], name)
        return {state for (_, peer), state in states.items() if peer == peer_id} == {"Dead"}

    cluster.wait_for(dead, what=f"the replicas of peer {peer_id} to be dead")


@pytest.mark.parametrize(("role", "amount"), [("leader", "few"), ("follower", "many")])
def test_a_node_that_was_away_recovers_what_it_missed(
    cluster: Cluster, view: View, role: str, amount: str
) -> None:
    """New points, changed ones, deleted ones: none may be missing, none resurrected."""
    name, count = f"away-{role}-{amount}", WRITES[amount]
    view.create(name, replicas=12)
    view.put(cluster[0], name, range(300), 1)
    victim = view.leader() if role == "leader" else view.follower()
    peer_id = view.peer_id(victim)
    victim.kill()
    other = view.running()[0]
    view.wait_served(name, other)
    view.put(other, name, range(200, 200 + count), 2)
    view.delete(other, name, range(100))
    wait_dead(cluster, view, name, peer_id)
    victim.launch()
    view.wait_joined(NODES)
    view.wait_active(name, replicas=12, seconds=60)
    expected = {point: 2 if 200 <= point < 200 + count else 1 for point in range(100, max(300, 200 + count))}
    expected = dict.fromkeys(PROBES, 0) | expected
    assert view.values(victim, name) == expected
    view.assert_replicas_equal(name)
    view.drop(name)


def test_a_node_that_was_away_learns_of_collections_made_and_dropped_meanwhile(
    cluster: Cluster, view: View
) -> None:
    view.create("dropped")
    victim = view.follower()
    victim.stop()
    view.drop("dropped")
    other = view.running()[0]
    view.create_quietly("made")  # with replicas on the peer that is away, too
    view.wait_served("made", other, within_s=10.0)
    view.put(other, "made", range(50), 1)
    victim.launch()
    view.wait_joined(NODES)
    view.wait_active("made", replicas=12)
    assert view.request(victim, "GET", "/collections/dropped").status_code == 404
    assert set(range(50)) <= view.values(victim, "made").keys()
    view.assert_replicas_equal("made")
    cluster.wait_for(lambda: not (victim.storage / "collections/dropped").exists(), what="files to go")


def test_indexes_and_vector_names_made_while_a_node_is_down_are_there_when_it_is_back(
    cluster: Cluster, view: View
) -> None:
    name = "schema"
    view.create(name, vectors={"first": {"size": DIM, "distance": "Dot"}}, replicas=12)
    points = [{"id": i, "vector": {"first": [1.0] * DIM}, "payload": {"n": i, "old": i}} for i in range(100)]
    path = f"/collections/{name}"
    view.call(cluster[0], "PUT", f"{path}/points", {"points": points}, wait="true")
    view.call(cluster[0], "PUT", f"{path}/index", index("old"), wait="true")
    victim = view.follower()
    peer_id = view.peer_id(victim)
    victim.kill()
    other = view.running()[0]
    view.wait_served(name, other, vector={"first": [1.0] * DIM})
    view.call(other, "PUT", f"{path}/index", index("n"), wait="true")
    view.call(other, "DELETE", f"{path}/index/old", wait="true")
    second = {"dense": {"size": 2, "distance": "Dot"}}
    view.call(other, "PUT", f"{path}/vectors/second", second, wait="true")
    more = [{"id": i, "vector": {"second": [1.0, float(i)]}, "payload": {"n": i}} for i in range(100, 200)]
    view.call(other, "PUT", f"{path}/points", {"points": more}, wait="true")
    wait_dead(cluster, view, name, peer_id)
    victim.launch()
    view.wait_joined(NODES)
    view.wait_active(name, replicas=12)
    schema = view.call(victim, "GET", path)["payload_schema"]
    assert schema.keys() == {"n"}
    assert schema["n"]["points"] == 200  # the probes have none
    query = {"query": [0.0, 1.0], "using": "second", "limit": 1}
    assert view.call(victim, "POST", f"{path}/points/query", query)["points"][0]["id"] == 199
    held = view.assert_replicas_equal(name)
    assert len(held) == 200 + len(PROBES)
    assert local_count(view, victim, name, {"key": "n", "range": {"gte": 150}}) == sum(
        1
        for shard in shards_on(view, name, peer_id)
        for point in view.content(victim, name, shard)
        if 150 <= point < 200
    )


def index(field: str) -> dict[str, str]:
    return {"field_name": field, "field_schema": "integer"}


def shards_on(view: View, name: str, peer_id: int) -> list[int]:
    return [shard for shard, peer in view.states(view.running()[0], name) if peer == peer_id]


def local_count(view: View, node: ClusterNode, name: str, condition: object) -> int:
    """By the node's own replicas, which evaluate the filter with the index they have."""
    body = {"filter": {"must": [condition]}, "exact": True}
    return sum(
        view.call(node, "POST", f"/collections/{name}/shards/{shard}/points/count", body)["count"]
        for shard in shards_on(view, name, view.peer_id(node))
    )


def test_shards_whose_files_were_deleted_while_the_node_was_down_are_filled_again(
    cluster: Cluster, view: View
) -> None:
    view.create("lost", replicas=12)
    view.put(cluster[0], "lost", range(300), 1)
    victim = view.follower()
    victim.stop()
    shutil.rmtree(victim.storage / "collections/lost")
    victim.launch()
    cluster.wait_for(lambda: view.answers(victim), what="the node to be back")
    view.call(victim, "POST", "/cluster/recover")
    view.wait_joined(NODES)
    cluster.wait_for(lambda: _holds_all(view, victim, "lost"), seconds=60, what="the shards to be filled")
    view.wait_active("lost", replicas=12, seconds=60)
    assert view.assert_replicas_equal("lost").keys() == set(range(300))


def _holds_all(view: View, node: ClusterNode, name: str) -> bool:
    """Do all replicas of the node answer? Until it has reported their loss they count as active."""
    paths = (
        f"/collections/{name}/shards/{shard}/points/count"
        for shard in shards_on(view, name, view.peer_id(node))
    )
    answers = [view.request(node, "POST", path, {"exact": True}) for path in paths]
    return all(answer.status_code == 200 for answer in answers)


def test_the_others_serve_without_a_node_in_recovery_mode_and_fill_it_when_it_is_out_of_it(
    cluster: Cluster, view: View
) -> None:
    view.create("withheld", replicas=12)
    view.put(cluster[0], "withheld", range(100), 1)
    victim = view.follower()
    victim.stop()
    configured = victim.directory / "config" / "local.yaml"
    configured.parent.mkdir()
    configured.write_text("storage: {recovery_mode: memory was short}")
    victim.launch()
    cluster.wait_for(lambda: view.answers(victim), what="the node to be back")
    wait_dead(cluster, view, "withheld", view.peer_id(victim))
    assert view.request(victim, "GET", "/readyz").status_code == 503
    view.put(cluster[0], "withheld", range(100, 150), 1)
    assert view.values(victim, "withheld") == dict.fromkeys(range(150), 1)  # by the replicas of others
    cluster.wait_for(
        lambda: not any(view.collection(node, "withheld")["shard_transfers"] for node in view.running()),
        what="the node to call off what the leader began before it was told",
    )
    configured.unlink()
    victim.stop()
    victim.launch()
    view.wait_joined(NODES)
    view.wait_active("withheld", replicas=12, seconds=60)
    assert view.assert_replicas_equal("withheld").keys() == set(range(150))
    view.drop("withheld")
