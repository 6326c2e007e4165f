"""What stands behind the cluster's endpoints, with and without a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from consensus.commands import (
    AbortResharding,
    ChangeAliases,
    Command,
    MoveReady,
    MoveWhole,
    PromotePrimary,
    SetClusterMetadata,
    StartTransfer,
    shard_ref,
)
from consensus.commands import StartResharding as ReshardingStarted
from consensus.events import Outdated
from consensus.state import TransferMethod
from node.client.cluster import SendFailures
from protos.collections import CreateAlias
from protos.errors import (
    BadInput,
    BadRequest,
    InvalidField,
    NotFound,
    ServiceError,
    StandaloneMode,
    Timeout,
    VecraftError,
)
from router.cluster import ClusterOperations, ClusterOptions
from router.cluster.operations import METADATA_DEPTH_MAX, METADATA_WRITES_MAX
from router.cluster.requests import (
    AbortReshardingOf,
    CreateShardingKey,
    Drive,
    DriveResharding,
    DropShardingKey,
    MoveShard,
    ReplicateShard,
    StartResharding,
)
from tests.router.cluster.fakes import STATUS, ClusterLog, FakeCluster, FakeShardKeys, json_of


class World:
    def __init__(self, options: ClusterOptions | None = None) -> None:
        self.log, self.cluster, self.keys = ClusterLog(), FakeCluster(), FakeShardKeys()
        self.log.add_collection()
        self.operations = ClusterOperations(self.log, self.cluster, self.keys, options)
        self.alone = ClusterOperations(self.log, None, self.keys, options)


@pytest.fixture
async def world() -> World:
    return World()


# --- status ----------------------------------------------------------------------------------------


async def test_a_member_shows_the_peers_and_the_state_of_agreement(world: World) -> None:
    world.cluster.failures = {
        "http://node-3:6335": SendFailures(2, "connection refused", 1.5),
        "http://node-2:6335": SendFailures(),
    }
    assert json_of(world.operations.status()) == {
        "status": "enabled",
        "peer_id": 1,
        "peers": {
            "1": {"uri": "http://node-1:6335/"},
            "2": {"uri": "http://node-2:6335/"},
            "3": {"uri": "http://node-3:6335/"},
        },
        "raft_info": {
            "term": 4,
            "commit": 17,
            "pending_operations": 1,
            "leader": 2,
            "role": "Follower",
            "is_voter": True,
        },
        "consensus_thread_status": {
            "consensus_thread_status": "working",
            "last_update": "2023-11-14T22:13:20.250000Z",
        },
        "message_send_failures": {
            "http://node-3:6335/": {
                "count": 2,
                "latest_error": "connection refused",
                "latest_error_timestamp": "1970-01-01T00:00:01.500000Z",
            }
        },
    }


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"stopped": True}, {"consensus_thread_status": "stopped"}),
        (
            {"stopped": True, "error": "disk full"},
            {"consensus_thread_status": "stopped_with_err", "err": "disk full"},
        ),
    ],
)
async def test_a_removed_peer_and_a_failed_one_tell_that_they_stopped(
    world: World, change: dict[str, Any], shown: dict[str, str]
) -> None:
    world.cluster.raft = replace(STATUS, **change)
    assert json_of(world.operations.status())["consensus_thread_status"] == shown


async def test_a_leader_that_is_not_known_is_null(world: World) -> None:
    world.cluster.raft = replace(STATUS, leader=None, role=None)
    info = json_of(world.operations.status())["raft_info"]
    assert (info["leader"], info["role"]) == (None, None)


async def test_a_node_on_its_own_shows_disabled(world: World) -> None:
    assert json_of(world.alone.status()) == {"status": "disabled"}
    assert world.alone.report() is None


# --- a node on its own -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda alone: alone.recover(),
        lambda alone: alone.remove_peer(2, force=True),
        lambda alone: alone.remove_peer(99),
        lambda alone: alone.drain_peer(1, draining=True),
        lambda alone: alone.set_metadata("k", 1),
        lambda alone: alone.change_collection("c", DriveResharding(drive=Drive.FINISH_RESHARDING)),
        lambda alone: alone.change_collection("unknown", DropShardingKey(shard_key="a")),
        lambda alone: alone.telemetry(None, level=0),
    ],
)
async def test_cluster_operations_need_a_cluster(
    world: World, call: Callable[[ClusterOperations], Any]
) -> None:
    with pytest.raises(StandaloneMode):
        await call(world.alone)


async def test_metadata_and_members_are_not_read_without_a_cluster(world: World) -> None:
    with pytest.raises(StandaloneMode):
        world.alone.members()
    with pytest.raises(StandaloneMode):
        world.alone.metadata_keys()
    with pytest.raises(StandaloneMode):
        world.alone.metadata("k")


async def test_shards_on_a_peer_are_told_before_the_missing_cluster(world: World) -> None:
    with pytest.raises(BadRequest, match="Cannot remove peer 1 as there are shards on it"):
        await world.alone.remove_peer(1)


# --- members ---------------------------------------------------------------------------------------


async def test_recovering_catches_up_with_the_cluster(world: World) -> None:
    assert await world.operations.recover()
    assert world.cluster.caught_up == 1
    world.cluster.catch_up_failure = Timeout("No barrier within 10 s")
    with pytest.raises(Timeout):
        await world.operations.recover()


async def test_a_peer_with_shards_is_removed_by_force_only(world: World) -> None:
    with pytest.raises(BadRequest, match="Cannot remove peer 3 as there are shards on it"):
        await world.operations.remove_peer(3)
    assert await world.operations.remove_peer(3, force=True)
    assert 3 not in world.log.state.peers
    assert world.log.shard(1).replicas.keys() == {2}


async def test_an_unknown_peer_cannot_be_removed(world: World) -> None:
    with pytest.raises(BadRequest, match="Peer 99 does not exist"):
        await world.operations.remove_peer(99)


async def test_a_member_that_removes_itself_hears_that_it_is_done(world: World) -> None:
    """Its log ends with the removal, so the proposal itself is never answered."""
    world.log.failure = Timeout("The metadata log stopped: this peer was removed from the cluster.")
    assert await world.operations.remove_peer(1, force=True)


async def test_a_removal_of_unknown_outcome_is_told_as_such(world: World) -> None:
    def lost(_: Command) -> None:
        raise Timeout("No agreement within 10 s; it may yet be reached")

    world.log.before = lost
    with pytest.raises(Timeout):
        await world.operations.remove_peer(3, force=True)


async def test_an_operation_that_takes_too_long_times_out_and_goes_on(world: World) -> None:
    go_on = asyncio.Event()
    propose = world.log.propose

    async def slow(command: Command) -> Any:
        await go_on.wait()
        return await propose(command)

    world.log.propose = slow  # type: ignore[method-assign]
    with pytest.raises(Timeout, match=r"Operation 'Remove peer' timed out after 0\.01s"):
        await world.operations.remove_peer(3, force=True, timeout_ms=10)
    go_on.set()
    await world.operations.close()
    assert 3 not in world.log.state.peers


# --- metadata keys ---------------------------------------------------------------------------------


async def test_metadata_keys_hold_any_json_value(world: World) -> None:
    assert world.operations.metadata_keys() == []
    assert world.operations.metadata("k") is None
    assert await world.operations.set_metadata("k", {"a": [1, None]}, wait=True)
    assert await world.operations.set_metadata("a", False, wait=True)
    assert world.operations.metadata_keys() == ["a", "k"]
    assert world.operations.metadata("k") == {"a": [1, None]}
    assert await world.operations.set_metadata("k", None, wait=True)
    assert world.operations.metadata_keys() == ["a"]


async def test_without_wait_a_write_is_answered_before_it_is_agreed_on(world: World) -> None:
    go_on = asyncio.Event()
    propose = world.log.propose

    async def slow(command: Command) -> Any:
        await go_on.wait()
        return await propose(command)

    world.log.propose = slow  # type: ignore[method-assign]
    assert await world.operations.set_metadata("k", 1)
    assert world.operations.metadata("k") is None
    go_on.set()
    await world.operations.close()
    assert world.operations.metadata("k") == 1


async def test_writes_that_nobody_waits_for_are_bounded(world: World) -> None:
    go_on = asyncio.Event()

    async def slow(command: Command) -> Any:
        await go_on.wait()
        return ()

    world.log.propose = slow  # type: ignore[method-assign]
    for number in range(METADATA_WRITES_MAX):
        await world.operations.set_metadata("k", number)
    one_more = asyncio.create_task(world.operations.set_metadata("k", "more"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not one_more.done()
    go_on.set()
    assert await one_more
    await world.operations.close()


async def test_a_refused_write_is_told_even_without_wait(world: World) -> None:
    def refuse(_: Command) -> None:
        raise BadInput("the operation has more bytes than the metadata log takes")

    world.log.before = refuse
    with pytest.raises(BadInput, match="more bytes"):
        await world.operations.set_metadata("k", 1)


async def test_a_value_too_deep_for_some_member_is_refused(world: World) -> None:
    value: Any = 1
    for _ in range(METADATA_DEPTH_MAX - 1):
        value = [value]
    assert await world.operations.set_metadata("k", value, wait=True)
    with pytest.raises(BadInput, match="nested deeper"):
        await world.operations.set_metadata("k", {"a": value}, wait=True)
    assert world.log.commands == [SetClusterMetadata("k", value)]


# --- replica sets and shard keys -------------------------------------------------------------------


MOVE = MoveShard(shard_id=0, from_peer_id=1, to_peer_id=3)


async def test_a_transfer_has_begun_when_the_call_returns(world: World) -> None:
    world.log.apply(ChangeAliases((CreateAlias(collection_name="c", alias_name="other"),)))
    assert await world.operations.change_collection("other", MOVE)
    (transfer,) = world.log.collection().transfers
    assert (transfer.source, transfer.target, transfer.sync) == (1, 3, False)


async def test_the_settings_choose_the_method() -> None:
    world = World(ClusterOptions(transfer_method=TransferMethod.WAL_DELTA))
    await world.operations.change_collection("c", ReplicateShard(shard_id=0, from_peer_id=1, to_peer_id=3))
    assert world.log.collection().transfers[0].method is TransferMethod.WAL_DELTA


async def test_a_plan_that_is_outdated_is_made_anew(world: World) -> None:
    """The shard's term moves on between looking at the state and applying the command."""

    def promote(command: Command) -> None:
        if isinstance(command, StartTransfer) and world.log.shard(0).term == 1:
            world.log.apply(PromotePrimary(shard_ref(world.log.collection(), world.log.shard(0)), 2))

    world.log.before = promote
    assert await world.operations.change_collection("c", MOVE)
    assert world.log.shard(0).term == 2
    assert len(world.log.collection().transfers) == 1


async def test_a_state_that_never_stands_still_ends_the_trying(world: World) -> None:
    def promote(command: Command) -> None:
        shard = world.log.shard(0)
        world.log.apply(PromotePrimary(shard_ref(world.log.collection(), shard), 3 - shard.primary))

    world.log.before = promote
    with pytest.raises(Outdated):
        await world.operations.change_collection("c", MOVE)


@pytest.mark.parametrize(
    ("name", "change", "kind"),
    [
        ("unknown", MOVE, NotFound),
        ("c", MoveShard(shard_id=0, from_peer_id=1, to_peer_id=1), InvalidField),
        ("c", StartResharding(direction="up"), BadRequest),
    ],
)
async def test_a_wrong_change_proposes_nothing(
    world: World, name: str, change: Any, kind: type[VecraftError]
) -> None:
    with pytest.raises(kind):
        await world.operations.change_collection(name, change)
    assert world.log.commands == []


async def test_a_resharding_that_is_asked_for_without_a_name_gets_one() -> None:
    world = World(ClusterOptions(resharding_enabled=True))
    await world.operations.change_collection("c", StartResharding(direction="up"))
    await world.operations.change_collection("c", AbortReshardingOf())
    started, aborted = world.log.commands
    assert isinstance(started, ReshardingStarted)
    assert isinstance(aborted, AbortResharding)
    assert aborted.operation == started.operation == str(UUID(started.operation))


async def test_who_drives_a_resharding_waits_for_its_stages() -> None:
    world = World(ClusterOptions(resharding_enabled=True))
    await world.operations.change_collection("c", StartResharding(direction="up"))
    drive = DriveResharding(drive=Drive.COMMIT_READ_HASH_RING)
    with pytest.raises(Timeout):
        await world.operations.change_collection("c", drive, timeout_ms=50)
    waiting = asyncio.create_task(world.operations.change_collection("c", drive))
    await asyncio.sleep(0)
    collection = world.log.state.collections["c"]
    for move in collection.resharding.moves:  # type: ignore[union-attr]
        ends = ("c", collection.uuid, collection.resharding.uuid, move.source, move.target)  # type: ignore[union-attr]
        await world.log.propose(MoveReady(*ends, move.session))
    for move in collection.resharding.moves:  # type: ignore[union-attr]
        ends = ("c", collection.uuid, collection.resharding.uuid, move.source, move.target)  # type: ignore[union-attr]
        step = world.log.state.collections["c"].buckets_step
        await world.log.propose(MoveWhole(*ends, move.session, step))
    assert await asyncio.wait_for(waiting, 5)


async def test_who_drives_a_resharding_hears_that_it_was_aborted() -> None:
    world = World(ClusterOptions(resharding_enabled=True))
    await world.operations.change_collection("c", StartResharding(direction="up"))
    drive = DriveResharding(drive=Drive.FINISH_RESHARDING)
    waiting = asyncio.create_task(world.operations.change_collection("c", drive))
    await asyncio.sleep(0)
    await world.operations.change_collection("c", AbortReshardingOf())
    with pytest.raises(BadRequest, match="was aborted"):
        await asyncio.wait_for(waiting, 5)


async def test_shard_keys_are_the_collections_business(world: World) -> None:
    key = CreateShardingKey(shard_key="a", shards_number=2, placement=(1, 3))
    assert await world.operations.change_collection("c", key, timeout_ms=7)
    assert world.keys.created == [
        (
            "c",
            "a",
            {
                "shards_number": 2,
                "replication_factor": None,
                "placement": (1, 3),
                "initial_state": None,
                "timeout_ms": 7,
            },
        )
    ]
    assert await world.operations.change_collection("c", DropShardingKey(shard_key=5))
    assert world.keys.deleted == [("c", 5, None)]


async def test_a_failing_log_is_told(world: World) -> None:
    def fail(_: Command) -> None:
        raise ServiceError("No leader took the operation within 10 s")

    world.log.before = fail
    with pytest.raises(ServiceError, match="No leader"):
        await world.operations.change_collection("c", MOVE)
