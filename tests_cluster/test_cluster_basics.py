"""A cluster of three: every node takes every request, shards are spread, keys divide points, a restart loses
nothing."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from tests_cluster.cluster import Cluster, ClusterNode, clustered
from tests_cluster.history import DIM, vector_of
from tests_cluster.view import View

pytestmark = pytest.mark.slow

NODES = 3


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with clustered(tmp_path_factory.mktemp("basics"), NODES) as made:
        yield made


def test_every_node_takes_writes_and_shows_those_of_the_others(cluster: Cluster, view: View) -> None:
    view.create("each", replicas=12)
    for index, node in enumerate(cluster):
        view.put(node, "each", range(100 * index, 100 * index + 100), index)
    expected = {point: point // 100 for point in range(300)}
    for node in cluster:
        assert view.values(node, "each") == expected
        assert view.call(node, "POST", "/collections/each/points/count", {"exact": True}) == {"count": 300}
    assert view.assert_replicas_equal("each").keys() == expected.keys()


@pytest.mark.parametrize("ordering", ["weak", "medium", "strong"])
def test_an_acknowledged_write_is_read_through_every_other_node(
    cluster: Cluster, view: View, ordering: str
) -> None:
    view.create(ordering)
    path, numbers = f"/collections/{ordering}/points", itertools.count()
    for consistency in ("1", "2", "majority", "quorum", "all"):
        for writer, reader in itertools.permutations(cluster, 2):
            number = next(numbers)
            point = {"id": 1, "vector": vector_of(number), "payload": {"value": number}}
            view.call(writer, "PUT", path, {"points": [point]}, wait="true", ordering=ordering)
            body = {"ids": [1], "with_payload": True, "with_vector": True}
            (found,) = view.call(reader, "POST", path, body, consistency=consistency)
            assert (found["payload"], found["vector"]) == ({"value": number}, vector_of(number))


def test_a_token_shows_a_write_that_was_not_waited_for_on_every_node(cluster: Cluster, view: View) -> None:
    view.create("tokens")
    known = ""
    for number, (writer, reader) in enumerate(list(itertools.permutations(cluster, 2)) * 10):
        point = {"id": number % 7, "vector": vector_of(number), "payload": {"value": number}}
        url = f"{writer.url}/collections/tokens/points"
        headers = {"x-vecraft-token": known} if known else {}
        answer = httpx.put(url, json={"points": [point]}, headers=headers)
        assert answer.status_code == 200, answer.text
        known = answer.headers["x-vecraft-token"]
        found = httpx.post(
            f"{reader.url}/collections/tokens/points",
            json={"ids": [number % 7], "with_payload": True},
            headers={"x-vecraft-token": known},
        )
        assert found.status_code == 200, found.text
        assert found.json()["result"][0]["payload"] == {"value": number}


def test_searches_find_the_same_whatever_node_is_asked(cluster: Cluster, view: View) -> None:
    view.create("search")
    view.put(cluster[0], "search", range(500), 0)
    query = {"query": [1.0, 2.0, 3.0, 4.0], "limit": 20, "params": {"exact": True}}
    answers = [view.call(node, "POST", "/collections/search/points/query", query) for node in cluster]
    assert answers[0] == answers[1] == answers[2]
    assert [point["id"] for point in answers[0]["points"]] == list(range(499, 479, -1))


def test_writes_by_filter_reach_every_shard_and_every_replica(cluster: Cluster, view: View) -> None:
    view.create("filtered")
    view.put(cluster[0], "filtered", range(100), 1)
    view.put(cluster[0], "filtered", range(100, 200), 2)
    only = {"must": [{"key": "value", "match": {"value": 1}}]}
    path = "/collections/filtered/points"
    view.call(cluster[1], "POST", f"{path}/payload", {"payload": {"value": 3}, "filter": only}, wait="true")
    seen_by_another = view.values(cluster[2], "filtered")
    assert seen_by_another == {point: 3 if point < 100 else 2 for point in range(200)}
    only["must"][0]["match"] = {"value": 2}
    view.call(cluster[2], "POST", f"{path}/delete", {"filter": only}, wait="true")
    assert view.assert_replicas_equal("filtered").keys() == set(range(100))


def test_replicas_of_a_shard_are_on_different_peers_and_the_peers_hold_as_many(view: View) -> None:
    view.create("spread", replicas=12)
    states = view.wait_active("spread", replicas=12)
    assert Counter(shard for shard, _ in states) == dict.fromkeys(range(6), 2)
    assert set(Counter(peer for _, peer in states).values()) == {4}


def test_collections_and_aliases_made_on_one_node_are_at_once_on_the_others(
    cluster: Cluster, view: View
) -> None:
    """Creating waits for the other peers, as far as they answer."""
    for maker, user in itertools.permutations(cluster, 2):
        name = f"made{maker.member.index}{user.member.index}"
        body = {"vectors": {"size": DIM, "distance": "Dot"}}
        view.call(maker, "PUT", f"/collections/{name}", body)
        view.put(user, name, range(10), 1)
        action = {"create_alias": {"collection_name": name, "alias_name": f"alias-{name}"}}
        view.call(user, "POST", "/collections/aliases", {"actions": [action]})
        wait_status(cluster, view, maker, f"/collections/alias-{name}", 200)
        view.drop(name)
        wait_status(cluster, view, user, f"/collections/{name}", 404)


def wait_status(cluster: Cluster, view: View, node: ClusterNode, path: str, status: int) -> None:
    cluster.wait_for(
        lambda: view.request(node, "GET", path).status_code == status, what=f"{path} to be answered {status}"
    )


def test_points_are_divided_by_shard_key(cluster: Cluster, view: View) -> None:
    view.create("keys", sharding_method="custom", shard_number=2, replicas=0)
    for number, key in enumerate(("canada", "germany", 7)):
        view.call(cluster[number], "PUT", "/collections/keys/shards", {"shard_key": key})
    states = view.wait_active("keys", replicas=12)
    assert len({shard for shard, _ in states}) == 6
    for number, key in enumerate(("canada", "germany", 7)):
        view.put(cluster[0], "keys", range(100 * number, 100 * number + 50), number, shard_key=key)
    for node in cluster:
        assert len(view.values(node, "keys")) == 150
        assert set(view.values(node, "keys", shard_key="germany").values()) == {1}
        assert set(view.values(node, "keys", shard_key=["canada", 7]).values()) == {0, 2}
        listed = view.call(node, "GET", "/collections/keys/shards")["shard_keys"]
        assert sorted(str(found["key"]) for found in listed) == ["7", "canada", "germany"]
    view.assert_replicas_equal("keys")
    view.call(cluster[2], "POST", "/collections/keys/shards/delete", {"shard_key": "canada"})
    assert view.wait_active("keys", replicas=8)
    assert len(view.values(cluster[1], "keys")) == 100


def test_writes_to_a_collection_with_shard_keys_must_name_one_that_exists(
    cluster: Cluster, view: View
) -> None:
    view.create("strict", sharding_method="custom", shard_number=1, replicas=0)
    view.call(cluster[0], "PUT", "/collections/strict/shards", {"shard_key": "a"})
    point = {"id": 1, "vector": [1.0] * DIM}
    for body, text in (
        ({"points": [point]}, "Shard key not specified"),
        ({"points": [point], "shard_key": "b"}, 'Shard key \\"b\\" not found'),
    ):
        answer = view.request(cluster[1], "PUT", "/collections/strict/points", body, wait="true")
        assert answer.status_code == 400
        assert text in answer.text
    again = view.request(cluster[2], "PUT", "/collections/strict/shards", {"shard_key": "a"})
    assert (again.status_code, "already exists" in again.text) == (400, True)


@pytest.mark.parametrize("order", list(itertools.permutations(range(NODES))), ids=str)
def test_nodes_that_come_back_in_any_order_serve_what_they_had(
    cluster: Cluster, view: View, order: tuple[int, ...]
) -> None:
    """All are down at once; the second to come back makes a majority."""
    name = "order" + "".join(map(str, order))
    view.create(name)
    view.put(cluster[0], name, range(100), 1)
    for node in cluster:
        node.kill() if node.member.index % 2 else node.stop()
    first, second, third = (cluster[index] for index in order)
    for node in (first, second):
        node.launch()
        cluster.wait_for(lambda: view.answers(node), what="the node to answer")  # noqa: B023
    view.leader(among=(first, second))
    majority_s = time.monotonic()
    view.wait_served(name, first, since_s=majority_s)
    third.launch()
    view.wait_joined(NODES)
    view.wait_active(name, replicas=12)
    assert set(range(100)) <= view.values(third, name, limit=1_000).keys()
    view.assert_replicas_equal(name)
    view.drop(name)


def test_a_restarted_node_tells_the_leader_in_less_than_three_seconds(cluster: Cluster, view: View) -> None:
    node = view.follower()
    node.stop()
    started_s = time.monotonic()
    node.launch()
    cluster.wait_for(lambda: view.answers(node) and view.status(node)["raft_info"]["leader"], what="a leader")
    assert time.monotonic() - started_s < 3.0


def test_a_node_that_is_told_to_end_ends_in_less_than_five_seconds(cluster: Cluster, view: View) -> None:
    view.create("ending")
    view.put(cluster[0], "ending", range(100), 1)
    node = view.leader()
    started_s = time.monotonic()
    node.stop()
    assert time.monotonic() - started_s < 5.0
