"""A cluster under Prometheus: its metrics are right by promtool; alerts fire when a node dies, and end when
it is back."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.promtool import QDRANT_NAMES, check_metrics
from tests_cluster.cluster import Cluster, clustered
from tests_cluster.history import vector_of
from tests_cluster.prometheus import Prometheus
from tests_cluster.view import View

pytestmark = pytest.mark.slow

NODES, SHARDS = 3, 4


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with clustered(tmp_path_factory.mktemp("monitoring"), NODES) as made, View(made) as view:
        view.wait_joined(NODES)
        view.create("watched", shard_number=SHARDS, replication_factor=NODES, replicas=SHARDS * NODES)
        view.put(made[0], "watched", range(100), 1)
        yield made


def test_promtool_finds_nothing_in_the_metrics_of_members_but_names_of_qdrant(cluster: Cluster) -> None:
    for node in cluster:
        for query in ("", "?per_collection=true"):
            text = httpx.get(f"{node.url}/metrics{query}").raise_for_status().text
            assert check_metrics(text) <= QDRANT_NAMES


def test_followers_are_told_by_their_primaries_and_nowhere_else(cluster: Cluster) -> None:
    lags = [
        line
        for node in cluster
        for line in httpx.get(f"{node.url}/metrics?per_collection=true").text.splitlines()
        if line.startswith("vecraft_replica_lag_operations{")
    ]
    assert len(lags) == SHARDS * (NODES - 1)
    assert len({line.split(" ")[0] for line in lags}) == len(lags)


def test_alerts_fire_when_a_node_dies_and_end_when_it_is_back(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> None:
    targets = [f"{node.host}:{node.port}" for node in cluster]
    with Prometheus(tmp_path_factory.mktemp("prometheus"), targets) as watching, View(cluster) as view:
        cluster.wait_for(lambda: set(watching.scraped().values()) == {"up"}, what="scrapes of all nodes")
        assert not watching.firing("VecraftNodeDown")
        cluster[2].kill()
        (down,) = cluster.wait_for(lambda: watching.firing("VecraftNodeDown"), what="the alert")
        assert (down["instance"], down["severity"]) == (targets[2], "critical")
        view.put(cluster[0], "watched", range(100, 200), 2)
        for name in ("VecraftReplicaDead", "VecraftShardUnderReplicated"):
            (short,) = cluster.wait_for(lambda name=name: watching.firing(name), what=name)
            assert short["severity"] == "warning"
        cluster[2].start()
        for name in ("VecraftNodeDown", "VecraftReplicaDead", "VecraftShardUnderReplicated"):
            cluster.wait_for(
                lambda name=name: not watching.firing(name), seconds=60, what=f"the end of {name}"
            )


def test_a_quota_set_on_one_node_counts_on_all_and_everybodys_usage_is_told(cluster: Cluster) -> None:
    quota = {"enabled": True, "max_disk_usage_percent": 1}
    with View(cluster) as view:
        assert view.call(cluster[0], "PUT", "/quotas", quota, wait="true") is True
        for node in cluster:
            cluster.wait_for(
                lambda node=node: view.call(node, "GET", "/quotas")["config"]["max_disk_usage_percent"] == 1,
                what="the quota on every node",
            )
            told = view.call(node, "GET", "/quotas")["peers"]
            assert {int(peer) for peer in told} == {view.peer_id(each) for each in cluster}
            assert all(peer["exceeded"] for peer in told.values())
            points = {"points": [{"id": 1, "vector": vector_of(1)}]}
            refused = view.request(node, "PUT", "/collections/watched/points", points, wait="true")
            assert refused.status_code == 507, refused.text
        assert view.call(cluster[1], "PUT", "/quotas", {"enabled": False}, wait="true") is True
        cluster.wait_for(
            lambda: not any(view.call(node, "GET", "/quotas")["config"]["enabled"] for node in cluster),
            what="no quota on any node",
        )
        view.put(cluster[2], "watched", range(10), 3)
