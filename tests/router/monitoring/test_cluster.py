"""What metrics and telemetry tell of a cluster, and of collections whose shards are elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from consensus.commands import CreateShardKey, StartTransfer, shard_ref
from consensus.state import ReplicaState, TransferMethod
from router.cluster.status import ClusterOptions, ClusterReport
from router.monitoring.inventory import CollectionEntry, Inventory
from router.monitoring.metrics import Requests, render
from router.monitoring.telemetry import Process, telemetry
from tests.router.cluster.fakes import STATUS, ClusterLog, ClusterNode

# As the monitoring of Qdrant's users expects them (reference 4.1).
CLUSTER_ONLY = {
    "cluster_peers_total": "gauge",
    "cluster_term": "counter",
    "cluster_commit": "counter",
    "cluster_pending_operations_total": "gauge",
    "cluster_voter": "gauge",
    "cluster_last_update_timestamp_seconds": "counter",
    "cluster_working_state": "gauge",
}


def report(log: ClusterLog, **status: Any) -> ClusterReport:
    return ClusterReport(1, replace(STATUS, **status), log.state.peers, log.state.metadata, ClusterOptions())


async def entries(log: ClusterLog) -> list[CollectionEntry]:
    """Of a node that holds exactly its own replicas."""
    node = ClusterNode()
    await node.reconcile(log.state)
    node.shards = {
        (name, shard_id): shard
        for (name, shard_id), shard in node.shards.items()
        if log.peer_id in log.shard(shard_id, name).replicas
    }
    return await Inventory(log, node).collections()


def text_of(collections: list[CollectionEntry], cluster: ClusterReport | None, prefix: str = "") -> str:
    return render(
        version="1.19.0",
        collections=collections,
        requests=Requests(),
        prefix=prefix,
        cluster=cluster,
    ).decode()


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


# --- metrics ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "vecraft_"])
def test_a_member_has_the_families_of_a_cluster_by_name_and_type(prefix: str) -> None:
    lines = text_of([], report(ClusterLog()), prefix).splitlines()
    for name, kind in CLUSTER_ONLY.items():
        assert f"# TYPE {prefix}{name} {kind}" in lines
        assert any(line.startswith((f"{prefix}{name} ", f"{prefix}{name}{{")) for line in lines)


def test_the_families_hold_what_the_status_says() -> None:
    lines = text_of([], report(ClusterLog())).splitlines()  # the parser renames counters
    for line in (
        "cluster_enabled 1.0",
        "cluster_peers_total 3.0",
        "cluster_term 4.0",
        'cluster_commit{peer_id="1"} 17.0',
        "cluster_pending_operations_total 1.0",
        "cluster_voter 1.0",
        "cluster_last_update_timestamp_seconds 1700000000.25",
        'cluster_working_state{state="working"} 1.0',
        'cluster_working_state{state="stopped"} 0.0',
    ):
        assert line in lines


@pytest.mark.parametrize("status", [{"stopped": True}, {"error": "disk full"}])
def test_a_member_that_stopped_says_so(status: dict[str, Any]) -> None:
    found = samples(text_of([], report(ClusterLog(), **status)))
    assert found["cluster_working_state", (("state", "working"),)] == 0
    assert found["cluster_working_state", (("state", "stopped"),)] == 1
    assert not any(name.startswith("cluster_last_update") for name, _ in found)


def test_a_node_on_its_own_has_none_of_them() -> None:
    names = {name for name, _ in samples(text_of([], None))}
    assert not names & CLUSTER_ONLY.keys()
    assert samples(text_of([], None))["cluster_enabled", ()] == 0


async def test_replicas_are_counted_over_all_shards_wherever_they_are() -> None:
    log = ClusterLog()
    log.add_collection(shards=((2,), (1, 2, 3)))
    found = samples(text_of(await entries(log), report(log)))
    assert found["collection_active_replicas_min", ()] == 1
    assert found["collection_active_replicas_max", ()] == 3
    assert found["collection_dead_replicas", ()] == 0


async def test_a_replica_that_is_not_active_makes_its_shard_count_as_dead() -> None:
    log = ClusterLog()
    log.add_collection(shards=((1, 2), (2, 3)))
    log.set_replica(1, 3, ReplicaState.PARTIAL)
    found = samples(text_of(await entries(log), report(log)))
    assert found["collection_dead_replicas", ()] == 1
    assert found["collection_active_replicas_min", ()] == 1


async def test_a_shard_that_is_being_split_does_not_count() -> None:
    log = ClusterLog()
    log.add_collection(shards=((1, 2), (2,)))
    log.set_replica(1, 2, ReplicaState.RESHARDING)
    found = samples(text_of(await entries(log), report(log)))
    assert found["collection_active_replicas_min", ()] == 2


async def test_transfers_are_counted_by_direction_as_this_node_sees_them() -> None:
    log = ClusterLog()
    log.add_collection(shards=((1, 2), (2,), (2,)))
    for shard_id, source, target in ((0, 1, 3), (1, 2, 1), (2, 2, 3)):
        ref = shard_ref(log.collection(), log.shard(shard_id))
        log.apply(StartTransfer(ref, source, target, TransferMethod.SNAPSHOT))
    found = samples(text_of(await entries(log), report(log)))
    assert found["collection_shard_transfer_outgoing", (("id", "c"),)] == 1
    assert found["collection_shard_transfer_incoming", (("id", "c"),)] == 1


# --- inventory -------------------------------------------------------------------------------------


async def test_only_replicas_of_this_node_are_described() -> None:
    log = ClusterLog()
    log.add_collection(shards=((1, 2), (2, 3)))
    (entry,) = await entries(log)
    assert [(shard.id, shard.local, shard.info is None) for shard in entry.shards] == [
        (0, True, False),
        (1, False, True),
    ]
    assert len(entry.infos) == 1


async def test_a_replica_that_is_not_open_yet_does_not_fail_the_rest() -> None:
    log = ClusterLog()
    log.add_collection(shards=((1,), (1,)))
    node = ClusterNode()
    await node.reconcile(log.state)
    del node.shards["c", 0]
    (entry,) = await Inventory(log, node).collections()
    assert [shard.info is None for shard in entry.shards] == [True, False]
    assert samples(text_of([entry], report(log)))["collection_dead_replicas", ()] == 1


# --- telemetry -------------------------------------------------------------------------------------


def told(
    collections: list[CollectionEntry],
    cluster: ClusterReport | None,
    level: int,
    *,
    anonymize: bool = False,
) -> Any:
    return telemetry(
        process=Process(id="p", version="1.19.0", started=datetime(2026, 1, 2, tzinfo=UTC), search_threads=2),
        collections=collections,
        requests=Requests(),
        level=level,
        anonymize=anonymize,
        cluster=cluster,
    )


@pytest.mark.parametrize(
    ("level", "keys"),
    [
        (0, {"enabled", "resharding_enabled"}),
        (1, {"enabled", "resharding_enabled", "status", "metadata"}),
        (2, {"enabled", "resharding_enabled", "status", "metadata", "config", "peers"}),
        (3, {"enabled", "resharding_enabled", "status", "metadata", "config", "peers", "peer_metadata"}),
    ],
)
def test_the_cluster_tells_more_with_each_level(level: int, keys: set[str]) -> None:
    assert told([], report(ClusterLog()), level)["cluster"].keys() == keys


def test_the_cluster_is_shown_in_the_shape_of_the_reference() -> None:
    shown = told([], report(ClusterLog()), 3)["cluster"]
    assert shown["status"].keys() == {
        "number_of_peers", "term", "commit", "pending_operations", "role", "is_voter", "peer_id",
        "consensus_thread_status",
    }  # fmt: skip
    assert shown["config"] == {
        "grpc_timeout_ms": 60_000,
        "p2p": {"connection_pool_size": 2},
        "consensus": {"max_message_queue_size": 100, "tick_period_ms": 100, "bootstrap_timeout_sec": 15},
    }
    assert shown["peers"]["2"] == {"uri": "http://node-2:6335/"}
    assert shown["peer_metadata"]["2"] == {"version": "1.19.0"}


def test_anonymous_telemetry_names_no_peer_and_no_metadata() -> None:
    log = ClusterLog()
    log.state = replace(log.state, metadata={"secret": 1})
    shown = told([], report(log), 3, anonymize=True)["cluster"]
    assert "secret" not in str(shown)
    assert "node-" not in str(shown)


async def test_a_shard_tells_its_key_and_its_replicas_everywhere() -> None:
    log = ClusterLog()
    log.add_collection(custom=True)
    log.apply(CreateShardKey("c", "vip", ((2, 1),)))
    log.set_replica(0, 2, ReplicaState.DEAD)
    (shard,) = told(await entries(log), report(log), 3)["collections"]["collections"][0]["shards"]
    assert shard["key"] == "vip"
    assert shard["local"]["status"] == "green"
    assert shard["remote"] == [{"shard_id": 0, "peer_id": 2}]
    assert shard["replicate_states"] == {"1": "Active", "2": "Dead"}


async def test_transfers_are_told_with_the_senders_comment() -> None:
    log = ClusterLog()
    log.add_collection()
    log.apply(StartTransfer(shard_ref(log.collection(), log.shard(0)), 1, 3, TransferMethod.SNAPSHOT))
    (transfer,) = log.collection().transfers
    cluster = replace(report(log), comments={("uuid-c", transfer): "proxifying (0.1s)"})
    (collection,) = told(await entries(log), cluster, 3)["collections"]["collections"]
    assert collection["transfers"] == [
        {
            "shard_id": 0,
            "from": 1,
            "to": 3,
            "sync": True,
            "method": "snapshot",
            "comment": "proxifying (0.1s)",
        }
    ]
