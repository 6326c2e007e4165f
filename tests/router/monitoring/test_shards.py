"""What metrics tell of shards: replicas in sync, lag, divergence, the threads that answer reads."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.parser import text_string_to_metric_families

from consensus.commands import AbortResharding, StartResharding
from consensus.state import ReplicaState
from node.client import SearchLoad
from protos.shard import FollowerInfo, ReplicationInfo, ShardInfo, ShardStatus
from router.cluster.status import ClusterOptions, ClusterReport
from router.monitoring.inventory import CollectionEntry, ShardEntry
from router.monitoring.machine import Disk
from router.monitoring.metrics import NodeFigures, Requests, render
from tests.router.cluster.fakes import STATUS, ClusterLog

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def info(replication: ReplicationInfo | None = None, status: ShardStatus = ShardStatus.GREEN) -> ShardInfo:
    return ShardInfo(status, 0, {}, 0, 0, {}, 0, replication=replication)


def samples(
    log: ClusterLog,
    infos: dict[tuple[str, int], ShardInfo | None],
    *,
    node: NodeFigures | None = None,
    leader: int | None = 2,
    per_collection: bool = False,
) -> Samples:
    """``infos``: of the shards on this node."""
    entries = [
        CollectionEntry(
            state,
            [
                ShardEntry(shard, infos.get((name, shard)), local=(name, shard) in infos)
                for shard in sorted(state.shards)
            ],
            1,
        )
        for name, state in sorted(log.state.collections.items())
    ]
    report = ClusterReport(1, replace(STATUS, leader=leader), log.state.peers, {}, ClusterOptions())
    text = render(
        version="1",
        collections=entries,
        requests=Requests(),
        prefix="",
        per_collection=per_collection,
        cluster=report,
        node=node,
    ).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def two_collections() -> ClusterLog:
    log = ClusterLog()
    log.add_collection("one", ((1, 2, 3), (2, 3, 1)))
    log.add_collection("two", ((3, 1, 2),))
    return log


LED = ReplicationInfo(
    term=1,
    logged=10,
    committed=8,
    applied=9,
    followers=[FollowerInfo(2, True, 8, 5), FollowerInfo(3, False, 4, 1)],
)
FOLLOWED = ReplicationInfo(term=1, logged=3, committed=3, applied=2)


def test_a_healthy_cluster_lacks_nothing() -> None:
    found = samples(two_collections(), {})
    for name in ("shards_under_replicated", "shards_without_primary", "shards_failed"):
        assert found[f"vecraft_{name}", ()] == 0
    assert found["vecraft_shard_in_sync_replicas", ()] == 1 + 2
    assert found["vecraft_cluster_has_leader", ()] == 1
    assert not any(name.startswith("vecraft_replica_lag") for name, _ in found)


def test_shards_that_lack_replicas_are_counted_and_the_worst_is_told() -> None:
    log = two_collections()
    state = log.collection("one")
    params = replace(state.config.params, replication_factor=3)
    state = replace(state, config=replace(state.config, params=params))
    log.put(replace(log.state, collections={**log.state.collections, "one": state}))
    log.set_replica(0, 2, ReplicaState.DEAD, "one")
    log.set_replica(0, 3, ReplicaState.DEAD, "one")
    log.set_replica(1, 2, ReplicaState.DEAD, "one")  # its primary
    found = samples(log, {})
    assert found["vecraft_shards_under_replicated", ()] == 2
    assert found["vecraft_shards_without_primary", ()] == 1
    assert found["vecraft_shard_in_sync_replicas", ()] == 1
    by_shard = samples(log, {}, per_collection=True)
    of = {dict(labels)["shard"]: value for (name, labels), value in by_shard.items() if "in_sync" in name}
    assert by_shard["vecraft_shard_in_sync_replicas", (("collection", "one"), ("shard", "1"))] == 2
    assert by_shard["vecraft_shard_in_sync_replicas", (("collection", "two"), ("shard", "0"))] == 3
    assert of.keys() == {"0", "1"}


def test_collections_are_counted_from_the_start_of_a_resharding_until_copies_are_cleaned_up() -> None:
    log = two_collections()
    assert samples(log, {})["vecraft_collections_resharding", ()] == 0
    log.apply(StartResharding("two", "uuid-two", "op", "up", 1, (1, 2, 3)))
    assert samples(log, {})["vecraft_collections_resharding", ()] == 1
    log.apply(AbortResharding("two", "uuid-two", "op"))
    assert samples(log, {})["vecraft_collections_resharding", ()] == 0
    log.apply(StartResharding("one", "uuid-one", "down", "down", 2, ()))
    log.apply(AbortResharding("one", "uuid-one", "down"))
    assert samples(log, {})["vecraft_collections_resharding", ()] == 1  # what was copied is there still


def test_no_more_replicas_are_missed_than_there_are_peers_for() -> None:
    log = ClusterLog(peers=1)
    log.add_collection("one", ((1,),))
    state = log.collection("one")
    params = replace(state.config.params, replication_factor=2)
    state = replace(state, config=replace(state.config, params=params))
    log.put(replace(log.state, collections={"one": state}))
    assert samples(log, {})["vecraft_shards_under_replicated", ()] == 0


def test_lag_and_divergence_are_told_by_the_primary_alone() -> None:
    infos: dict[tuple[str, int], ShardInfo | None] = {
        ("one", 0): info(LED),
        ("one", 1): info(FOLLOWED),
        ("two", 0): info(FOLLOWED),
    }
    found = samples(two_collections(), infos)
    assert found["vecraft_replica_lag_operations", ()] == 6
    assert found["vecraft_replica_divergence_operations", ()] == 4  # not in sync does not count
    by_shard = samples(two_collections(), infos, per_collection=True)
    shard = (("collection", "one"), ("shard", "0"))
    lags = {labels: value for (name, labels), value in by_shard.items() if "lag" in name}
    assert lags == {
        (shard[0], ("peer", "2"), shard[1]): 2,
        (shard[0], ("peer", "3"), shard[1]): 6,
    }
    assert by_shard["vecraft_replica_divergence_operations", shard] == 4


@pytest.mark.parametrize("broken", [None, info(status=ShardStatus.RED)])
def test_a_shard_here_that_cannot_be_asked_or_is_red_has_failed(broken: ShardInfo | None) -> None:
    assert (
        samples(two_collections(), {("one", 0): broken, ("one", 1): info()})["vecraft_shards_failed", ()] == 1
    )


def test_a_member_that_knows_no_leader_says_so() -> None:
    assert samples(two_collections(), {}, leader=None)["vecraft_cluster_has_leader", ()] == 0


def test_threads_disk_and_what_the_node_counts_are_told() -> None:
    registry = CollectorRegistry(auto_describe=False)
    Counter("vecraft_things", "things", ["kind"], registry=registry).labels("a").inc(3)
    Histogram("vecraft_seconds", "seconds", buckets=(1, 2), registry=registry).observe(1.5)
    node = NodeFigures(registry, SearchLoad(threads=4, busy=3, waiting=7), Disk(100, 40))
    found = samples(ClusterLog(), {}, node=node)
    assert found["vecraft_search_pool_threads", ()] == 4
    assert found["vecraft_search_pool_busy_threads", ()] == 3
    assert found["vecraft_search_pool_waiting", ()] == 7
    assert (found["vecraft_disk_size_bytes", ()], found["vecraft_disk_free_bytes", ()]) == (100, 40)
    assert found["vecraft_things_total", (("kind", "a"),)] == 3
    assert found["vecraft_seconds_bucket", (("le", "2.0"),)] == 1
    assert not any(name.endswith("_created") for name, _ in found)


def test_a_prefix_goes_before_every_name_of_ours() -> None:
    registry = CollectorRegistry(auto_describe=False)
    Counter("vecraft_things", "things", registry=registry)
    text = render(
        version="1",
        collections=[],
        requests=Requests(),
        prefix="q_",
        node=NodeFigures(registry, SearchLoad(1, 0, 0), Disk(2, 1)),
    ).decode()
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(line.startswith("q_") for line in samples)
    assert "q_vecraft_things_total 0.0" in samples
