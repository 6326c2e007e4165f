"""Collections of several nodes: where shards go, who is waited for, changes that others make."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest
from qdrant_client.http import models
from structlog.testing import capture_logs

from consensus.commands import AddCollection, DropCollection, PlacedShard
from consensus.state import ReplicaState, Transfer, TransferMethod
from node.client.asking import POLL_S_MAX
from protos.collections import (
    CollectionDefaults,
    CreateAlias,
    Distance,
    VectorParams,
    decode_create,
    decode_field_index,
    new_config,
)
from protos.errors import BadRequest, NotFound, ShardUnavailable, StandaloneMode
from protos.operations import UpdateResult, UpdateStatus
from protos.shard import ShardStatus
from router.collections import CollectionOperations, SchemaOptions
from router.collections.operations import OPENING_TIMEOUT_S
from router.collections.placing import ShardKeyPlan, shard_key_command
from router.collections.reconciling import RETRY_S
from router.collections.settling import SETTLING_S, UNREACHABLE_S
from router.points import WriteOptions
from router.queries.requests import ReadOptions
from tests.router.fake_cluster import LOST_ANSWER, FakeCluster, Front, upsert
from tests.router.fakes import FakeLog, FakeNode
from tests.router.virtual_time import run_virtually

DENSE: dict[str, Any] = {"vectors": {"size": 2, "distance": "Dot"}}
CUSTOM = {**DENSE, "sharding_method": "custom"}
WAIT = SchemaOptions(wait=True)
A, P = ReplicaState.ACTIVE, ReplicaState.PARTIAL


def run(test: Coroutine[Any, Any, None]) -> None:
    run_virtually(test)


def _placements(cluster: FakeCluster, name: str = "c") -> list[tuple[int, ...]]:
    return [tuple(shard.replicas) for _, shard in sorted(cluster.log.state.collections[name].shards.items())]


# --- creation --------------------------------------------------------------------------------------


def test_a_collection_has_a_shard_per_peer_spread_evenly() -> None:
    async def test() -> None:
        cluster = FakeCluster(4)
        await Front(cluster).collections.create("c", decode_create({**DENSE, "replication_factor": 2}))
        placed = _placements(cluster)
        assert len(placed) == 4
        assert Counter(peer for holders in placed for peer in holders) == dict.fromkeys(range(1, 5), 2)
        leads = Counter(shard.primary for shard in cluster.log.state.collections["c"].shards.values())
        assert max(leads.values()) == 1

    run(test())


def test_a_default_number_of_shards_per_node_counts_the_nodes() -> None:
    async def test() -> None:
        cluster = FakeCluster(3)
        defaults = CollectionDefaults(shard_number_per_node=2)
        await Front(cluster, defaults=defaults).collections.create("c", decode_create(DENSE))
        assert len(_placements(cluster)) == 6

    run(test())


def test_small_collections_are_dealt_out_by_chance() -> None:
    async def test() -> None:
        firsts = set()
        for seed in range(20):
            cluster = FakeCluster(3)
            front = Front(cluster, rng=random.Random(seed))
            await front.collections.create("c", decode_create({**DENSE, "shard_number": 1}))
            firsts.add(_placements(cluster)[0])
        assert firsts == {(1,), (2,), (3,)}

    run(test())


def test_more_replicas_than_peers_are_capped() -> None:
    async def test() -> None:
        cluster = FakeCluster(2)
        await Front(cluster).collections.create("c", decode_create({**DENSE, "replication_factor": 5}))
        assert all(sorted(holders) == [1, 2] for holders in _placements(cluster))

    run(test())


def test_creation_waits_until_the_other_nodes_have_followed() -> None:
    async def test() -> None:
        cluster = FakeCluster(3)
        cluster.behind.add(3)
        front = Front(cluster)
        creation = asyncio.create_task(front.collections.create("c", decode_create(DENSE)))
        await asyncio.sleep(1)
        assert not creation.done()
        cluster.catch_up()
        assert await creation is True
        assert asyncio.get_running_loop().time() < SETTLING_S

    run(test())


@pytest.mark.parametrize(("timeout_ms", "waited_s"), [(None, SETTLING_S), (1000, 0.8)])
def test_a_node_that_stays_behind_is_not_waited_for_beyond_bounds(
    timeout_ms: int | None, waited_s: float
) -> None:
    async def test() -> None:
        cluster = FakeCluster(3)
        cluster.behind.add(2)
        body = decode_create(DENSE)
        assert await Front(cluster).collections.create("c", body, timeout_ms=timeout_ms) is True
        assert asyncio.get_running_loop().time() == pytest.approx(waited_s)

    run(test())


def test_a_node_that_is_down_is_soon_given_up() -> None:
    async def test() -> None:
        cluster = FakeCluster(3)
        cluster.down.add(2)
        assert await Front(cluster).collections.create("c", decode_create(DENSE)) is True
        assert UNREACHABLE_S <= asyncio.get_running_loop().time() < UNREACHABLE_S + POLL_S_MAX + 0.01

    run(test())


def test_aliases_and_vector_names_are_known_everywhere_when_their_call_returns() -> None:
    async def test() -> None:
        cluster = FakeCluster(3)
        collections = Front(cluster).collections
        await collections.create("c", decode_create(DENSE))
        for change in (
            lambda: collections.change_aliases([CreateAlias("c", "a")]),
            lambda: collections.create_vector_name("c", "v", VectorParams(2, Distance.DOT), WAIT),
        ):
            cluster.behind.add(3)
            call = asyncio.create_task(change())
            await asyncio.sleep(1)
            assert not call.done()
            cluster.catch_up()
            await call

    run(test())


def test_points_are_copied_into_a_new_collection_whatever_becomes_of_a_call() -> None:
    async def test() -> None:
        cluster = FakeCluster(3)
        front = Front(cluster)
        body = {**DENSE, "replication_factor": 2, "shard_number": 2}
        await front.collections.create("old", decode_create(body))
        await front.points.apply("old", upsert(*range(50)), WriteOptions(wait=True))
        for peer in (1, 2, 3):
            cluster.fail(peer, LOST_ANSWER)
        await front.collections.create("new", decode_create({**body, "init_from": {"collection": "old"}}))
        assert await front.searches.count("new", None, ReadOptions(), exact=True) == 50
        assert set(cluster.applied.values()) == {1}

    run(test())


# --- changes of the schema --------------------------------------------------------------------------


def test_schema_changes_go_to_the_primaries() -> None:
    async def test() -> None:
        cluster = FakeCluster(3)
        front = Front(cluster)
        await front.collections.create("c", decode_create({**DENSE, "replication_factor": 2}))
        stale = cluster.primary("c", 0)
        cluster.leads["c", 0] = next(peer for peer in cluster.shard("c", 0).replicas if peer != stale)
        request = decode_field_index({"field_name": "city", "field_schema": "keyword"})
        result = await front.collections.create_index("c", request, WAIT)
        assert result == UpdateResult(UpdateStatus.COMPLETED, 22)
        assert sorted(cluster.settled) == sorted(
            (cluster.primary("c", shard_id), shard_id, 2) for shard_id in range(3)
        )

    run(test())


def test_a_schema_change_waits_for_a_primary_beyond_its_callers_patience() -> None:
    async def test() -> None:
        cluster = FakeCluster(2)
        front = Front(cluster)
        await front.collections.create("c", decode_create({**DENSE, "shard_number": 1}))
        cluster.down.add(cluster.primary("c", 0))
        request = decode_field_index({"field_name": "city", "field_schema": "keyword"})
        options = SchemaOptions(wait=True, timeout_ms=1000)
        assert await front.collections.create_index("c", request, options) == UpdateResult(
            UpdateStatus.WAIT_TIMEOUT
        )
        cluster.down.clear()
        await front.collections.close()
        assert [config_version for _, _, config_version in cluster.settled] == [2]

    run(test())


# --- shard keys ---------------------------------------------------------------------------------------


async def _custom(cluster: FakeCluster, **params: Any) -> Front:
    front = Front(cluster)
    await front.collections.create("c", decode_create({**CUSTOM, **params}))
    return front


def test_keys_take_the_collections_numbers_unless_told_otherwise() -> None:
    async def test() -> None:
        cluster = FakeCluster(4)
        front = await _custom(cluster, shard_number=2, replication_factor=3)
        assert await front.collections.create_shard_key("c", "a") is True
        assert [len(holders) for holders in _placements(cluster)] == [3, 3]
        await front.collections.create_shard_key("c", 7, shards_number=1, replication_factor=2)
        assert [len(holders) for holders in _placements(cluster)] == [3, 3, 2]
        assert [cluster.shard("c", shard_id).wanted for shard_id in range(3)] == [None, None, 2]
        assert front.collections.shard_keys("c") == ["a", 7]

    run(test())


def test_a_placement_is_used_in_turn_and_kept_to() -> None:
    async def test() -> None:
        cluster = FakeCluster(4)
        front = await _custom(cluster, replication_factor=2)
        await front.collections.create_shard_key("c", "a", shards_number=3, placement=[4, 2, 3])
        assert _placements(cluster) == [(4, 2), (3, 4), (2, 3)]
        await front.collections.create_shard_key("c", "b", placement=[1])
        assert _placements(cluster)[3] == (1,)
        assert cluster.shard("c", 3).wanted == 1

    run(test())


def test_a_key_may_begin_as_one_partial_replica() -> None:
    async def test() -> None:
        cluster = FakeCluster(3)
        front = await _custom(cluster, replication_factor=2)
        await front.collections.create_shard_key("c", "a", initial_state=P)
        shard = cluster.shard("c", 0)
        assert list(shard.replicas.values()) == [P]
        assert shard.wanted == 1

    run(test())


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ({"placement": [9]}, "Peer 9 does not exist"),
        ({"placement": []}, "placement must not be empty"),
        ({"initial_state": ReplicaState.DEAD}, "Initial state cannot be Dead, only Active or Partial"),
        ({"shards_number": 0}, "placement must not be empty"),
    ],
)
def test_impossible_keys_are_refused(how: dict[str, Any], text: str) -> None:
    async def test() -> None:
        front = await _custom(FakeCluster(2))
        with pytest.raises(BadRequest, match=text):
            await front.collections.create_shard_key("c", "a", **how)
        assert front.collections.shard_keys("c") == []

    run(test())


def test_keys_are_of_custom_sharded_collections_and_are_made_once() -> None:
    async def test() -> None:
        front = await _custom(FakeCluster(2))
        collections = front.collections
        await collections.create("auto", decode_create(DENSE))
        with pytest.raises(BadRequest, match="Shard Key cannot be created with Auto sharding method"):
            await collections.create_shard_key("auto", "a")
        with pytest.raises(BadRequest, match="Shard Key cannot be deleted with Auto sharding method"):
            await collections.delete_shard_key("auto", "a")
        await collections.create_shard_key("c", "a")
        with pytest.raises(BadRequest, match='Sharding key "a" already exists for collection c'):
            await collections.create_shard_key("c", "a")
        with pytest.raises(BadRequest, match="Sharding key 5 does not exist"):
            await collections.delete_shard_key("c", 5)
        with pytest.raises(NotFound):
            await collections.create_shard_key("x", "a")

    run(test())


def test_a_new_key_is_usable_and_a_dropped_one_gone() -> None:
    async def test() -> None:
        cluster = FakeCluster(3)
        front = await _custom(cluster, replication_factor=2)
        await front.collections.create_shard_key("c", "a")
        await front.points.apply("c", upsert(1, shard_keys=("a",)), WriteOptions(wait=True))
        assert await front.searches.count("c", None, ReadOptions(), exact=True) == 1
        assert await front.collections.delete_shard_key("c", "a") is True
        assert cluster.copies == {}
        assert await front.searches.count("c", None, ReadOptions(), exact=True) == 0

    run(test())


async def test_a_node_on_its_own_changes_no_keys() -> None:
    collections = CollectionOperations(FakeLog(), FakeNode())
    await collections.create("c", decode_create(CUSTOM))
    with pytest.raises(StandaloneMode):
        await collections.create_shard_key("c", "a")
    with pytest.raises(StandaloneMode):
        await collections.delete_shard_key("c", "a")


def test_keys_avoid_peers_that_hold_more() -> None:
    async def test() -> None:
        cluster = FakeCluster(3)
        front = await _custom(cluster)
        await front.collections.create_shard_key("c", "a", shards_number=2, placement=[1, 2])
        state = cluster.log.state
        command = shard_key_command(state, state.collections["c"], "b", ShardKeyPlan(), [1, 2, 3])
        assert command.placements == ((3,),)

    run(test())


# --- what is shown ------------------------------------------------------------------------------------


def test_the_distribution_tells_where_replicas_are_and_go() -> None:
    async def test() -> None:
        cluster = FakeCluster(3)
        front = Front(cluster)
        body = {**DENSE, "shard_number": 1, "replication_factor": 2}
        await front.collections.create("c", decode_create(body))
        cluster.edit("c", 0, replicas={1: A, 2: A, 3: P}, primary=2)
        await front.points.apply("c", upsert(1, 2), WriteOptions(wait=True))
        transfer = Transfer(0, 1, 3, 1, TransferMethod.STREAM_RECORDS)
        collection = cluster.log.state.collections["c"]
        cluster.put(msgspec.structs.replace(collection, transfers=(transfer,)))
        front.client.comments[0] = "Transferring records (1/2), started 1s ago"
        cluster.asked.clear()
        shown = msgspec.to_builtins(await front.collections.cluster_info("c"))
        assert shown == {
            "peer_id": 1,
            "shard_count": 1,
            "local_shards": [{"shard_id": 0, "points_count": 2, "state": "Active"}],
            "remote_shards": [
                {"shard_id": 0, "peer_id": 2, "state": "Active"},
                {"shard_id": 0, "peer_id": 3, "state": "Partial"},
            ],
            "shard_transfers": [
                {
                    "shard_id": 0,
                    "from": 1,
                    "to": 3,
                    "sync": True,
                    "method": "stream_records",
                    "comment": "Transferring records (1/2), started 1s ago",
                }
            ],
        }
        models.CollectionClusterInfo.model_validate(shown)
        assert set(cluster.asked) == {1}  # others are not asked how many points they have
        front.client.comments.clear()
        assert (await front.collections.cluster_info("c")).shard_transfers[0].comment is None

    run(test())


def test_info_asks_one_replica_of_each_shard() -> None:
    async def test() -> None:
        cluster = FakeCluster(3)
        front = Front(cluster)
        body = {**DENSE, "shard_number": 3, "replication_factor": 2}
        await front.collections.create("c", decode_create(body))
        await front.points.apply("c", upsert(*range(30)), WriteOptions(wait=True))
        cluster.asked.clear()
        info = await front.collections.info("c")
        assert (info.status, info.points_count) == (ShardStatus.GREEN, 30)
        assert cluster.asked.total() == 3
        cluster.down.add(2)
        info = await front.collections.info("c")
        assert (info.status, info.points_count) == (ShardStatus.GREEN, 30)
        cluster.down.add(3)
        assert (await front.collections.info("c")).status is ShardStatus.RED

    run(test())


# --- changes of others ----------------------------------------------------------------------------------


async def _added_by_another(cluster: FakeCluster, name: str, *holders: int) -> None:
    config = new_config(decode_create(DENSE), CollectionDefaults(), peers=1)
    await cluster.log.propose(AddCollection(name, f"uuid of {name}", config, (PlacedShard(0, holders),), 0))


def test_a_collection_that_another_node_makes_is_opened_here() -> None:
    async def test() -> None:
        cluster = FakeCluster(2)
        cluster.behind.add(1)
        front = Front(cluster)
        front.collections.start()
        await _added_by_another(cluster, "c", 1)
        await front.points.apply("c", upsert(1), WriteOptions(wait=True))
        assert cluster.points("c", 0, 1) == [1]
        await cluster.log.propose(DropCollection("c"))
        await asyncio.sleep(0.01)
        assert cluster.copies == {}
        await front.collections.close()

    run(test())


def test_a_node_that_has_just_started_does_not_deny_a_collection() -> None:
    """What it had put into no snapshot before, it learns only when a leader says that it was agreed on."""

    async def test() -> None:
        cluster = FakeCluster(2)
        cluster.agreed.clear()
        front = Front(cluster)
        front.collections.start()
        for ask in (front.collections.resolve, front.collections.exists):
            with pytest.raises(ShardUnavailable, match="has just started"):
                ask("c")
        assert front.collections.opened_now("c") is None
        waiting = asyncio.create_task(front.collections.opened("c"))
        await asyncio.sleep(OPENING_TIMEOUT_S / 2)
        assert not waiting.done()
        await _added_by_another(cluster, "c", 2)
        cluster.agreed.set()
        assert (await waiting).name == "c"
        assert not front.collections.exists("d")
        with pytest.raises(NotFound):
            await front.collections.opened("d")
        await front.collections.close()

    run(test())


def test_a_node_that_finds_no_leader_says_that_it_does_not_know() -> None:
    async def test() -> None:
        cluster = FakeCluster(2)
        cluster.agreed.clear()
        front = Front(cluster)
        front.collections.start()
        with pytest.raises(ShardUnavailable, match="has just started"):
            await front.collections.opened("c")
        assert asyncio.get_running_loop().time() == pytest.approx(OPENING_TIMEOUT_S)
        await _added_by_another(cluster, "known", 2)
        assert (await front.collections.opened("known")).name == "known"
        await front.collections.close()

    run(test())


def test_a_collection_that_this_node_holds_nothing_of_is_usable_at_once() -> None:
    async def test() -> None:
        cluster = FakeCluster(2)
        front = Front(cluster)
        await _added_by_another(cluster, "c", 2)
        await front.points.apply("c", upsert(1), WriteOptions(wait=True))
        assert await front.searches.count("c", None, ReadOptions(), exact=True) == 1
        assert asyncio.get_running_loop().time() == 0.0

    run(test())


def test_following_goes_on_after_a_failure() -> None:
    async def test() -> None:
        cluster = FakeCluster(2)
        cluster.behind.add(1)
        front = Front(cluster)
        front.node.fail_to_reconcile = 2
        front.collections.start()
        with capture_logs() as logs:
            await _added_by_another(cluster, "c", 1)
            await front.collections.opened("c")
        assert [entry["event"] for entry in logs] == ["reconciliation_failed"] * 2
        assert asyncio.get_running_loop().time() == pytest.approx(2 * RETRY_S)
        await front.collections.close()

    run(test())


def test_a_node_that_does_not_follow_says_that_it_is_not_ready() -> None:
    async def test() -> None:
        cluster = FakeCluster(2)
        front = Front(cluster)
        await _added_by_another(cluster, "c", 1)
        with pytest.raises(ShardUnavailable, match="still being opened"):
            await front.collections.opened("c")

    run(test())
