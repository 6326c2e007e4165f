"""From a user's request to a command, and what is refused before there is one."""

from __future__ import annotations

import pytest

from consensus.commands import (
    AbortTransfer,
    Command,
    CreateShardKey,
    DropReplica,
    RestartTransfer,
    StartTransfer,
    shard_ref,
)
from consensus.state import ReplicaState, ShardKey, TransferMethod
from protos.errors import BadInput, BadRequest, InvalidField, NotFound, VecraftError
from router.cluster.planning import TransferOptions, plan
from router.cluster.requests import (
    AbortReshardingOf,
    AbortShardTransfer,
    ClusterChange,
    CreateShardingKey,
    DropShardReplica,
    MoveShard,
    ReplicaChange,
    ReplicatePoints,
    ReplicateShard,
    RestartShardTransfer,
    StartResharding,
    check,
)
from tests.router.cluster.fakes import ClusterLog


@pytest.fixture
def log() -> ClusterLog:
    log = ClusterLog()
    log.add_collection()
    return log


def planned(log: ClusterLog, change: ReplicaChange, options: TransferOptions | None = None) -> Command:
    return plan(log.state, "c", change, options or TransferOptions())


def start(log: ClusterLog, *, shard: int = 0, source: int = 1, target: int = 3, sync: bool = True) -> None:
    kind = ReplicateShard if sync else MoveShard
    log.apply(planned(log, kind(shard_id=shard, from_peer_id=source, to_peer_id=target)))


@pytest.mark.parametrize(("kind", "sync"), [(MoveShard, False), (ReplicateShard, True)])
def test_a_move_takes_the_source_away_and_a_replication_does_not(
    log: ClusterLog, kind: type[MoveShard | ReplicateShard], sync: bool
) -> None:
    command = planned(log, kind(shard_id=0, from_peer_id=1, to_peer_id=3))
    ref = shard_ref(log.collection(), log.shard(0))
    assert command == StartTransfer(ref, 1, 3, TransferMethod.SNAPSHOT, sync=sync, by_user=True)


def test_the_method_is_the_requests_then_the_settings_then_snapshot(log: ClusterLog) -> None:
    def method(asked: TransferMethod | None, options: TransferOptions) -> TransferMethod:
        change = MoveShard(shard_id=0, from_peer_id=1, to_peer_id=3, method=asked)
        command = planned(log, change, options)
        assert isinstance(command, StartTransfer)
        return command.method

    configured = TransferOptions(TransferMethod.STREAM_RECORDS)
    assert method(None, TransferOptions()) is TransferMethod.SNAPSHOT
    assert method(None, configured) is TransferMethod.STREAM_RECORDS
    assert method(TransferMethod.WAL_DELTA, configured) is TransferMethod.WAL_DELTA


def test_abort_and_restart_name_the_transfer_as_it_stands(log: ClusterLog) -> None:
    start(log)
    (transfer,) = log.collection().transfers
    ends = {"shard_id": 0, "from_peer_id": 1, "to_peer_id": 3}
    assert planned(log, AbortShardTransfer(**ends)) == AbortTransfer("c", "uuid-c", transfer, "user request")
    restart = RestartShardTransfer(**ends, method=TransferMethod.STREAM_RECORDS)
    assert planned(log, restart) == RestartTransfer("c", "uuid-c", transfer, TransferMethod.STREAM_RECORDS)


def test_a_replica_is_dropped_in_the_life_it_has(log: ClusterLog) -> None:
    command = planned(log, DropShardReplica(shard_id=0, peer_id=2))
    ref = shard_ref(log.collection(), log.shard(0))
    assert command == DropReplica(ref, 2, log.shard(0).epoch_of(2), by_user=True)


ENDS = {"shard_id": 0, "from_peer_id": 1, "to_peer_id": 3}


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        (MoveShard(shard_id=7, from_peer_id=1, to_peer_id=3), BadRequest, "Shard 7 of c does not exist"),
        (MoveShard(shard_id=0, from_peer_id=1, to_peer_id=9), BadRequest, "Peer 9 does not exist"),
        (MoveShard(shard_id=0, from_peer_id=8, to_peer_id=3), BadRequest, "Peer 8 does not exist"),
        (MoveShard(**ENDS, to_shard_id=1), BadRequest, "cannot be transferred into shard 1"),
        (
            MoveShard(**ENDS, method=TransferMethod.RESHARDING_STREAM_RECORDS),
            BadRequest,
            "used by resharding only",
        ),
        (
            AbortShardTransfer(**ENDS),
            NotFound,
            "Shard transfer 1 -> 3 for collection c:0 does not exist",
        ),
        (
            RestartShardTransfer(**ENDS, method=TransferMethod.SNAPSHOT),
            NotFound,
            "Shard transfer 1 -> 3 for collection c:0 does not exist",
        ),
        (DropShardReplica(shard_id=7, peer_id=1), BadRequest, "Shard 7 of c does not exist"),
        (DropShardReplica(shard_id=0, peer_id=9), BadRequest, "Peer 9 does not exist"),
        (
            ReplicatePoints(from_shard_key="a", to_shard_key="b"),
            BadRequest,
            "only with custom sharding",
        ),
        (
            StartResharding(direction="up"),
            BadRequest,
            "resharding is only supported in Qdrant Cloud",
        ),
        (AbortReshardingOf(), BadRequest, "resharding is not in progress for collection c"),
    ],
)
def test_what_no_command_can_name_is_refused(
    log: ClusterLog, change: ReplicaChange, kind: type[VecraftError], text: str
) -> None:
    with pytest.raises(kind) as caught:
        planned(log, change)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (ReplicateShard(shard_id=0, from_peer_id=3, to_peer_id=1), "Shard 0 is not active on peer 3"),
        (DropShardReplica(shard_id=0, peer_id=3), "Peer 3 has no replica of shard 0"),
    ],
)
def test_the_rest_is_refused_when_it_is_applied(log: ClusterLog, change: ReplicaChange, text: str) -> None:
    with pytest.raises(BadRequest, match=text):
        log.apply(planned(log, change))


def test_a_shard_in_a_transfer_is_busy(log: ClusterLog) -> None:
    start(log)
    with pytest.raises(BadRequest, match="Shard 0 is already involved in transfer 1 -> 3"):
        start(log)


def test_the_last_active_replica_cannot_be_dropped(log: ClusterLog) -> None:
    log.set_replica(0, 2, ReplicaState.DEAD)
    with pytest.raises(BadRequest, match="Shard 0 must have at least one active replica after removing 1"):
        log.apply(planned(log, DropShardReplica(shard_id=0, peer_id=1)))


def test_a_restart_with_the_same_method_is_refused(log: ClusterLog) -> None:
    start(log)
    again = RestartShardTransfer(**ENDS, method=TransferMethod.SNAPSHOT)
    with pytest.raises(BadRequest, match="its configuration did not change"):
        log.apply(planned(log, again))


# --- replicate points ------------------------------------------------------------------------------


def with_keys(**keys: tuple[tuple[int, ...], ...]) -> ClusterLog:
    log = ClusterLog()
    log.add_collection(custom=True)
    for key, placements in keys.items():
        log.apply(CreateShardKey("c", key, placements))
    return log


def replicate(log: ClusterLog, source: ShardKey = "all", target: ShardKey = "vip") -> StartTransfer:
    change = ReplicatePoints(from_shard_key=source, to_shard_key=target, filter=b'{"must":[]}')
    command = planned(log, change, TransferOptions(TransferMethod.SNAPSHOT))
    assert isinstance(command, StartTransfer)
    return command


def test_points_are_streamed_from_the_primary_of_one_key_to_the_replica_of_another() -> None:
    log = with_keys(all=((2, 1),), vip=((3,),))
    command = replicate(log)
    assert (command.source, command.target, command.method) == (2, 3, TransferMethod.STREAM_RECORDS)
    assert (command.shard.shard_id, command.to_shard_id, command.sync) == (0, 1, True)
    assert command.filter == b'{"must":[]}'
    log.apply(command)
    assert [transfer.to_shard_id for transfer in log.collection().transfers] == [1]


@pytest.mark.parametrize(
    ("source", "target", "kind", "text"),
    [
        ("two", "vip", BadRequest, "from a shard key with exactly one shard, it has 2"),
        ("all", "two", BadRequest, "to a shard key with exactly one shard, it has 2"),
        ("vip", "all", BadRequest, "exactly one replica"),
        ("none", "vip", BadInput, 'Shard key "none" not found'),
    ],
)
def test_points_go_from_one_shard_to_one_replica(
    source: str, target: str, kind: type[VecraftError], text: str
) -> None:
    log = with_keys(all=((2, 1),), vip=((3,),), two=((1,), (2,)))
    with pytest.raises(kind) as caught:
        replicate(log, source, target)
    assert text in str(caught.value)


def test_a_source_key_that_is_still_being_filled_has_nothing_to_give() -> None:
    log = with_keys(vip=((3,),))
    log.apply(CreateShardKey("c", "all", ((1,),), ReplicaState.PARTIAL))
    with pytest.raises(BadRequest, match="not active on any peer"):
        replicate(log)


# --- what no state could make right ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "path", "text"),
    [
        (
            MoveShard(shard_id=0, from_peer_id=1, to_peer_id=1),
            "to_peer_id",
            'cannot transfer shard to itself, "to_peer_id" must be different than',
        ),
        (
            ReplicatePoints(from_shard_key="a", to_shard_key="a"),
            "to_shard_key",
            '"to_shard_key" must be different than',
        ),
        (CreateShardingKey(shard_key="a", shards_number=0), "shards_number", "must be 1 or larger"),
        (CreateShardingKey(shard_key="a", shards_number=2**40), "shards_number", "must be 1024 or smaller"),
        (CreateShardingKey(shard_key="a", replication_factor=0), "replication_factor", "must be 1 or larger"),
    ],
)
def test_constraints_are_told_with_the_field(change: ClusterChange, path: str, text: str) -> None:
    with pytest.raises(InvalidField) as caught:
        check(change)
    assert (caught.value.path, text in caught.value.text) == (path, True)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (CreateShardingKey(shard_key="a", placement=()), "placement must not be empty"),
        (
            CreateShardingKey(shard_key="a", initial_state=ReplicaState.DEAD),
            "Initial state cannot be Dead, only Active or Partial",
        ),
    ],
)
def test_a_shard_key_needs_a_place_and_a_sound_beginning(change: ClusterChange, text: str) -> None:
    with pytest.raises(BadRequest, match=text):
        check(change)


def test_a_string_key_and_a_number_are_different_keys() -> None:
    check(ReplicatePoints(from_shard_key="1", to_shard_key=1))


def test_an_unknown_collection_is_not_found() -> None:
    with pytest.raises(NotFound, match="Collection `c` doesn't exist!"):
        planned(ClusterLog(), AbortReshardingOf())
