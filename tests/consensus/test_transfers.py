"""Shard transfers in the cluster state: their life, their ends, and reports that come late."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from consensus.commands import (
    AbortTransfer,
    CreateShardKey,
    DropReplica,
    EvictReplica,
    FinishTransfer,
    PromotePrimary,
    RegisterPeer,
    RestartTransfer,
    StartTransfer,
)
from consensus.events import Outdated, TransferAborted, TransferFinished, TransferStarted
from consensus.replica_sets import wanted_replicas
from consensus.state import ClusterState, ReplicaState, TransferMethod
from protos.errors import NotFound
from tests.consensus.material import (
    ACTIVE,
    DEAD,
    PARTIAL,
    STREAM,
    cluster,
    do,
    finish,
    ref,
    refusal,
    shard,
    start,
    step,
    transfer,
)


@pytest.mark.parametrize(
    ("method", "receiver"),
    [
        (TransferMethod.STREAM_RECORDS, ReplicaState.PARTIAL),
        (TransferMethod.SNAPSHOT, ReplicaState.RECOVERY),
        (TransferMethod.WAL_DELTA, ReplicaState.RECOVERY),
        (TransferMethod.RESHARDING_STREAM_RECORDS, ReplicaState.RESHARDING),
    ],
)
def test_a_transfer_makes_a_replica_and_fills_it(method: TransferMethod, receiver: ReplicaState) -> None:
    state = cluster((1,))
    state, events = step(state, StartTransfer(ref(state), 1, 2, method))
    assert shard(state).replicas == {1: ACTIVE, 2: receiver}
    assert TransferStarted("c", transfer(state)) in events
    done = transfer(state)
    state, events = step(state, finish(state))
    assert TransferFinished("c", done) in events
    assert shard(state).replicas == {1: ACTIVE, 2: ACTIVE}
    assert state.collections["c"].transfers == ()


def test_a_move_takes_the_source_away_and_the_lead_along() -> None:
    state = cluster((1, 3))
    state = do(state, start(state, 1, 2, sync=False))
    state = do(state, finish(state))
    assert shard(state).replicas == {2: ACTIVE, 3: ACTIVE}
    assert (shard(state).primary, shard(state).term) == (2, 2)


def test_a_move_to_a_listener_keeps_a_source_that_is_the_last_in_sync() -> None:
    state = do(cluster((1,)), RegisterPeer(2, "http://2:6335", node_type="Listener"))
    state = do(state, start(state, 1, 2, sync=False))
    state = do(state, finish(state))
    assert shard(state).replicas == {1: ACTIVE, 2: ReplicaState.LISTENER}


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ({"source": 9}, "Peer 9 does not exist"),
        ({"target": 9}, "Peer 9 does not exist"),
        ({"source": 3}, "Shard 0 is not active on peer 3"),
        ({"target": 1}, 'cannot transfer shard to itself, "to_peer_id" must be different than 1'),
        ({"target": 2}, "Shard 0 is already active on peer 2"),
        ({"to_shard_id": 7}, "Shard 7 of c does not exist"),
    ],
)
def test_a_transfer_that_cannot_be_is_refused(command: dict[str, int], text: str) -> None:
    state = cluster((1, 2))
    error = refusal(state, replace(start(state, 1, 4), **command))
    assert str(error) == f"Bad request: {text}"


@pytest.mark.parametrize(("source", "target"), [(1, 4), (2, 3), (1, 3)])
def test_a_replica_takes_part_in_one_transfer_of_its_shard(source: int, target: int) -> None:
    state = cluster((1, 2))
    state = do(state, start(state, 1, 3))
    error = refusal(state, start(state, source, target))
    assert str(error) == "Bad request: Shard 0 is already involved in transfer 1 -> 3"


def test_transfers_between_other_replicas_of_the_shard_go_on_together() -> None:
    state = cluster((1, 2))
    state = do(state, start(state, 1, 3))
    state = do(state, start(state, 2, 4))
    assert len(state.collections["c"].transfers) == 2


def test_an_aborted_transfer_leaves_a_dead_replica_that_knows_what_failed() -> None:
    state = cluster((1,))
    state = do(state, start(state, 1, 2))
    aborted = transfer(state)
    state, events = step(state, AbortTransfer("c", "u", aborted, "user request"))
    assert TransferAborted("c", aborted, "user request") in events
    assert shard(state).replicas == {1: ACTIVE, 2: DEAD}
    assert shard(state).failed == {2: STREAM}
    state = do(state, start(state, 1, 2))
    state = do(state, finish(state))
    assert shard(state).failed == {}


def test_an_aborted_move_leaves_nothing_behind() -> None:
    state = cluster((1,))
    state = do(state, start(state, 1, 2, sync=False))
    state = do(state, AbortTransfer("c", "u", transfer(state)))
    assert shard(state).replicas == {1: ACTIVE}


def test_a_report_about_an_earlier_transfer_changes_nothing() -> None:
    state = cluster((1, 2))
    state = do(state, EvictReplica(ref(state), 2, 0))
    state = do(state, start(state, 1, 2))
    late, old = finish(state), transfer(state)
    state = do(state, AbortTransfer("c", "u", old))
    assert isinstance(refusal(state, late), NotFound)
    state = do(state, start(state, 1, 2))
    for command in (
        late,
        AbortTransfer("c", "u", old),
        RestartTransfer("c", "u", old, TransferMethod.SNAPSHOT),
    ):
        assert isinstance(refusal(state, command), Outdated)
    assert str(refusal(state, replace(late, uuid="x"))).endswith("was created anew")


def test_a_transfer_finished_under_an_earlier_term_is_outdated() -> None:
    """The new primary has not waited for that replica; it finishes the transfer itself."""
    state = cluster((1, 2))
    state = do(state, start(state, 1, 3))
    late = finish(state)
    state = do(state, PromotePrimary(ref(state), 2))
    assert isinstance(refusal(state, late), Outdated)
    assert shard(do(state, finish(state))).replicas[3] is ACTIVE


def test_a_transfer_that_is_not_there_cannot_be_ended() -> None:
    state = cluster((1, 2))
    moved = do(state, start(state, 1, 3))
    text = "Not found: Shard transfer 1 -> 3 for collection c:0 does not exist"
    for command in (
        AbortTransfer("c", "u", transfer(moved)),
        FinishTransfer("c", "u", transfer(moved), 1),
        RestartTransfer("c", "u", transfer(moved), TransferMethod.SNAPSHOT),
    ):
        assert str(refusal(state, command)) == text


def test_a_transfer_restarts_with_another_method_and_epoch() -> None:
    state = cluster((1,))
    state = do(state, start(state, 1, 2))
    late = finish(state)
    error = refusal(state, RestartTransfer("c", "u", transfer(state), STREAM))
    assert str(error).endswith("from 1 to 2, its configuration did not change")
    state = do(state, RestartTransfer("c", "u", transfer(state), TransferMethod.SNAPSHOT))
    assert shard(state).replicas[2] is ReplicaState.RECOVERY
    assert (transfer(state).method, transfer(state).epoch) == (TransferMethod.SNAPSHOT, 2)
    assert isinstance(refusal(state, late), Outdated)


@pytest.mark.parametrize("peer", [1, 2, 3])
def test_a_restarted_peer_cancels_transfers_from_to_and_under_it(peer: int) -> None:
    """Peer 1 leads, 2 is the source, 3 the target; a leader's word does not outlive its process."""
    state = cluster((1, 2))
    state = do(state, start(state, 2, 3))
    late = finish(state)
    state, events = step(state, RegisterPeer(peer, f"http://{peer}:6335", incarnation=1))
    assert TransferAborted("c", late.transfer, "Source or target peer restarted") in events
    assert shard(state).replicas == {1: ACTIVE, 2: ACTIVE, 3: DEAD}
    assert shard(state).failed == {}
    assert isinstance(refusal(state, late), NotFound)


def test_a_source_that_fails_ends_its_transfer() -> None:
    state = cluster((1, 2))
    state = do(state, start(state, 2, 3))
    for command in (EvictReplica(ref(state), 2, 0), DropReplica(ref(state), 2, 0)):
        after = do(state, command)
        assert after.collections["c"].transfers == ()
        assert shard(after).replicas[3] is DEAD


def test_a_lost_primary_ends_the_transfer_it_was_the_source_of() -> None:
    state = cluster((1, 2))
    state = do(state, start(state, 1, 3))
    state = do(state, PromotePrimary(ref(state), 2, lost=True))
    assert state.collections["c"].transfers == ()
    assert shard(state).replicas == {1: DEAD, 2: ACTIVE, 3: DEAD}


def test_a_replica_that_a_user_adds_is_wanted() -> None:
    state = cluster((1,))
    by_user = do(state, replace(start(state, 1, 2), by_user=True))
    assert wanted_replicas(by_user.collections["c"], shard(by_user)) == 2
    for command in (start(state, 1, 2), replace(start(state, 1, 2, sync=False), by_user=True)):
        after = do(state, command)
        assert wanted_replicas(after.collections["c"], shard(after)) == 1


def keyed() -> ClusterState:
    """Shard 0 is key a's on peer 1; shard 1, still to be filled for the first time, key b's on peer 2."""
    state = cluster(custom=True)
    state = do(state, CreateShardKey("c", "a", ((1,),)))
    return do(state, CreateShardKey("c", "b", ((2,),), initial_state=PARTIAL))


def test_points_of_one_shard_fill_another() -> None:
    state = keyed()
    state = do(state, StartTransfer(ref(state), 1, 2, STREAM, to_shard_id=1, filter=b"{}"))
    assert (transfer(state).target_shard_id, transfer(state).filter) == (1, b"{}")
    state = do(state, finish(state))
    assert shard(state, 0).replicas == {1: ACTIVE}
    assert shard(state, 1).replicas == {2: ACTIVE}


def test_filling_a_shard_for_the_first_time_can_be_tried_again() -> None:
    state = keyed()
    state = do(state, StartTransfer(ref(state), 1, 2, STREAM, to_shard_id=1))
    state = do(state, AbortTransfer("c", "u", transfer(state)))
    assert shard(state, 1).replicas == {2: PARTIAL}
    state = do(state, StartTransfer(ref(state), 1, 2, STREAM, to_shard_id=1))
    assert shard(do(state, finish(state)), 1).replicas == {2: ACTIVE}


def test_a_replica_in_sync_stays_so_while_points_of_another_shard_come_in() -> None:
    state = cluster((1,), (2,))
    state = do(state, StartTransfer(ref(state), 1, 2, STREAM, to_shard_id=1))
    assert shard(state, 1).replicas == {2: ACTIVE}
    state = do(state, AbortTransfer("c", "u", transfer(state)))
    assert shard(state, 1).replicas == {2: ACTIVE}
    error = refusal(state, StartTransfer(ref(state), 1, 3, STREAM, to_shard_id=1))
    assert str(error) == "Bad request: Peer 3 has no replica of shard 1"
