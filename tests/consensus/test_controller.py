"""The controller's rules, one by one: from a state and reports to the next steps."""

from __future__ import annotations

from msgspec.structs import replace

from consensus.commands import (
    AbortTransfer,
    AddReplica,
    ChangeCollection,
    Command,
    DrainPeer,
    DropReplica,
    EvictReplica,
    FinishTransfer,
    ListenReplica,
    PromotePrimary,
    RegisterPeer,
    ReplicaReady,
    StartTransfer,
)
from consensus.controller import Limits, plan
from consensus.replica_sets import every_shard
from consensus.reports import PeerReport, ReplicaReport, Reports
from consensus.state import ClusterState, TransferMethod
from protos.collections import CollectionParamsDiff, UpdateCollection
from tests.consensus.material import STREAM, cluster, do, finish, ref, shard, start, transfer

NOW_MS = 1_000_000
DELTA = TransferMethod.WAL_DELTA


def all_well(state: ClusterState) -> Reports:
    """Every peer has just reported, and all its replicas are as the state says."""
    peers = {}
    for peer in state.peers.values():
        replicas = {
            (collection.uuid, shard.id): ReplicaReport(epoch=shard.epoch_of(peer.id), term=shard.term)
            for collection, shard in every_shard(state)
            if peer.id in shard.replicas
        }
        peers[peer.id] = PeerReport(NOW_MS, peer.incarnation, replicas)
    return Reports(0, peers)


def silent(reports: Reports, silent_ms: int, *peers: int) -> Reports:
    quiet = {peer: replace(reports.peers[peer], heard_ms=NOW_MS - silent_ms) for peer in peers}
    return Reports(0, {**reports.peers, **quiet})


def says(reports: Reports, peer: int, report: ReplicaReport) -> Reports:
    told = replace(reports.peers[peer], replicas={("u", 0): report})
    return Reports(0, {**reports.peers, peer: told})


def steps(state: ClusterState, reports: Reports | None = None, limits: Limits | None = None) -> list[Command]:
    return plan(state, reports or all_well(state), NOW_MS, limits)


def settle(state: ClusterState, rounds: int = 20) -> tuple[ClusterState, list[Command]]:
    """Carry out what is planned, transfers included, until nothing is left to do."""
    done: list[Command] = []
    for _ in range(rounds):
        planned = steps(state)
        state = do(state, *planned)
        if not planned and not state.collections["c"].transfers:
            return state, done
        done += planned
        for one in state.collections["c"].transfers:
            state = do(state, FinishTransfer("c", "u", one, shard(state, one.target_shard_id).term))
    raise AssertionError(done)


def test_a_healthy_cluster_is_left_alone() -> None:
    assert steps(cluster((1, 2), (2, 3), factor=2)) == []


def test_a_lost_primary_is_replaced_by_the_live_replica_that_leads_least() -> None:
    state = cluster((1, 2, 3), (2, 1, 3), factor=3, peers=3)
    reports = silent(all_well(state), 5_000, 1)
    assert steps(state, reports) == [PromotePrimary(ref(state, 0), 3, lost=True)]
    assert steps(state, silent(all_well(state), 1_000, 1)) == []


def test_primaries_of_one_lost_peer_are_spread() -> None:
    state = cluster((1, 2, 3), (1, 2, 3), factor=3, peers=3)
    promoted = steps(state, silent(all_well(state), 5_000, 1))
    assert {step.peer_id for step in promoted if isinstance(step, PromotePrimary)} == {2, 3}


def test_nobody_is_promoted_who_is_not_in_sync_live_sound_and_reporting() -> None:
    state = cluster((1, 2), factor=2, peers=2)
    well = all_well(state)
    both = silent(well, 5_000, 1, 2)
    damaged = says(silent(well, 5_000, 1), 2, ReplicaReport(healthy=False))
    restarted = Reports(0, {**silent(well, 5_000, 1).peers, 2: PeerReport(NOW_MS, incarnation=1)})
    evicted = do(state, EvictReplica(ref(state), 2, 0))
    for reports in (both, damaged, restarted):
        assert steps(state, reports) == []
    assert steps(evicted, silent(all_well(evicted), 5_000, 1)) == []


def test_a_new_leader_waits_before_it_takes_silence_for_loss() -> None:
    state = cluster((1, 2), factor=2, peers=2)
    fresh = Reports(since_ms=NOW_MS - 1_000, peers={2: all_well(state).peers[2]})
    assert steps(state, fresh) == []


def test_a_primary_that_lost_its_files_is_replaced() -> None:
    state = cluster((1, 2), factor=2, peers=2)
    reports = says(all_well(state), 1, ReplicaReport(healthy=False))
    assert steps(state, reports) == [PromotePrimary(ref(state), 2, lost=True)]


def test_a_follower_that_is_lost_or_damaged_is_evicted() -> None:
    state = cluster((1, 2), factor=2, peers=2)
    evicted = [EvictReplica(ref(state), 2, 0)]
    assert steps(state, silent(all_well(state), 40_000, 2)) == evicted
    assert steps(state, says(all_well(state), 2, ReplicaReport(healthy=False))) == evicted
    assert steps(state, silent(all_well(state), 5_000, 2)) == []


def test_a_dead_replica_is_recovered_from_its_log_and_then_in_full() -> None:
    state = cluster((1, 2), factor=2, peers=2)
    state = do(state, EvictReplica(ref(state), 2, 0))
    assert steps(state) == [StartTransfer(ref(state), 1, 2, DELTA)]
    assert steps(state, silent(all_well(state), 5_000, 2)) == []
    state = do(state, *steps(state))
    assert steps(state) == []
    state = do(state, AbortTransfer("c", "u", transfer(state), "no log left"))
    assert steps(state) == [StartTransfer(ref(state), 1, 2, STREAM)]
    assert steps(state, limits=Limits(recover=False)) == []


def test_a_replica_that_is_not_to_be_opened_is_evicted_and_not_recovered() -> None:
    state = cluster((1, 2), factor=2, peers=2)
    withheld = ReplicaReport(healthy=False, recoverable=False)
    assert steps(state, says(all_well(state), 2, withheld)) == [EvictReplica(ref(state), 2, 0)]
    state = do(state, EvictReplica(ref(state), 2, 0))
    withheld = replace(withheld, epoch=shard(state).epoch_of(2))
    assert steps(state, says(all_well(state), 2, withheld)) == []
    assert steps(state) == [StartTransfer(ref(state), 1, 2, DELTA)]


def test_recovery_copies_rather_from_a_follower() -> None:
    state = cluster((1, 2, 3), factor=3, peers=3)
    state = do(state, EvictReplica(ref(state), 3, 0))
    assert steps(state) == [StartTransfer(ref(state), 2, 3, DELTA)]


def test_a_peer_takes_part_in_so_many_transfers_of_a_collection() -> None:
    state = cluster((1, 2), (1, 2), factor=2, peers=2)
    state = do(state, EvictReplica(ref(state, 0), 2, 0), EvictReplica(ref(state, 1), 2, 0))
    assert len(steps(state)) == 1
    assert len(steps(state, limits=Limits(incoming_transfers=2))) == 1
    assert len(steps(state, limits=Limits(incoming_transfers=2, outgoing_transfers=2))) == 2


def test_a_newcomer_is_filled_and_taken_in_when_the_primary_vouches_for_it() -> None:
    state = cluster((1,), factor=2, peers=2)
    state = do(state, AddReplica(ref(state), 2))
    vouched = says(all_well(state), 1, ReplicaReport(term=1, ready={2: 1}))
    assert steps(state, vouched) == [ReplicaReady(ref(state), 2, 1)]
    assert steps(state) == [StartTransfer(ref(state), 1, 2, STREAM)]
    state = do(state, *steps(state))
    vouched = says(all_well(state), 1, ReplicaReport(term=1, ready={2: 2}))
    assert steps(state, vouched) == [FinishTransfer("c", "u", transfer(state), 1)]


def test_a_primarys_word_about_another_term_or_epoch_counts_for_nothing() -> None:
    state = cluster((1,), factor=2, peers=2)
    state = do(state, start(state, 1, 2))
    for report in (ReplicaReport(term=2, ready={2: 1}), ReplicaReport(term=1, ready={2: 7})):
        assert steps(state, says(all_well(state), 1, report)) == []


def factor(wanted: int) -> ChangeCollection:
    return ChangeCollection("c", UpdateCollection(params=CollectionParamsDiff(replication_factor=wanted)))


def test_the_replication_factor_is_followed_up_and_down() -> None:
    state, _ = settle(do(cluster((1,), (2,), peers=4), factor(3)))
    assert all(len(shard(state, number).replicas) == 3 for number in (0, 1))
    state, done = settle(do(state, factor(1)))
    assert all(len(shard(state, number).replicas) == 1 for number in (0, 1))
    assert all(isinstance(step, DropReplica) for step in done)


def test_following_the_factor_can_be_switched_off() -> None:
    few, many = cluster((1,), factor=2), cluster((1, 2), factor=1)
    assert steps(few, limits=Limits(add_missing=False)) == []
    assert steps(many, limits=Limits(drop_excess=False)) == []


def test_there_are_never_more_replicas_than_peers() -> None:
    assert steps(cluster((1, 2), factor=5, peers=2)) == []


def test_what_a_user_asked_for_is_not_undone() -> None:
    state = cluster((1,), factor=1)
    state = do(state, replace(start(state, 1, 2), by_user=True))
    assert steps(state) == []
    state = do(state, finish(state))
    assert steps(state) == []
    state = do(state, DropReplica(ref(state), 2, 1, by_user=True))
    assert steps(state) == []


def test_a_move_under_way_is_neither_a_replica_more_nor_one_missing() -> None:
    state = cluster((1,), factor=1)
    state = do(state, start(state, 1, 2, sync=False))
    assert steps(state) == []


def test_a_drained_peer_hands_over_its_lead_and_gives_its_replicas_away() -> None:
    state, done = settle(do(cluster((1, 2), (1,), factor=2, peers=3), DrainPeer(1)))
    assert all(set(shard(state, number).replicas) == {2, 3} for number in (0, 1))
    handed = ref(cluster((1, 2), (1,), factor=2, peers=3))
    assert done[0] == PromotePrimary(handed, 2)
    assert [type(step) for step in done].count(DropReplica) == 2


def test_without_room_elsewhere_a_drained_peer_keeps_the_last_replica() -> None:
    state = do(cluster((1, 2), factor=2, peers=2), DrainPeer(1))
    state, _ = settle(state)
    assert set(shard(state).replicas) == {2}
    assert settle(do(state, DrainPeer(2)))[1]  # peer 1 takes no part any more, yet somebody has to
    state, _ = settle(do(cluster((1,), peers=1), DrainPeer(1)))
    assert set(shard(state).replicas) == {1}


def test_a_drained_primary_is_not_left_with_listeners_only() -> None:
    state = do(cluster((1,), peers=3), RegisterPeer(2, "http://2:6335", node_type="Listener"))
    state = do(state, start(state, 1, 2))
    state, _ = settle(do(state, finish(state), DrainPeer(1)))
    assert set(shard(state).replicas) == {3}


def test_active_replicas_of_a_listener_node_become_listeners_after_handing_over() -> None:
    state = do(cluster((1, 2), factor=2), RegisterPeer(1, "http://1:6335", node_type="Listener"))
    assert steps(state) == [PromotePrimary(ref(state), 2)]
    state = do(state, *steps(state))
    assert steps(state) == [ListenReplica(ref(state), 1, 0)]
    state = do(state, *steps(state))
    assert steps(state) == []
    back = do(state, RegisterPeer(1, "http://1:6335"))
    assert steps(back) == [StartTransfer(ref(back), 2, 1, DELTA)]


def test_a_peer_silent_for_long_is_replaced_and_its_replica_then_dropped() -> None:
    state = cluster((1, 2), factor=2, peers=3)
    state = do(state, EvictReplica(ref(state), 2, 0))
    gone = silent(all_well(state), 700_000, 2)
    assert steps(state, silent(all_well(state), 100_000, 2)) == []
    assert steps(state, gone, Limits(replace_after_ms=None)) == []
    assert steps(state, gone) == [StartTransfer(ref(state), 1, 3, STREAM)]
    state = do(state, *steps(state, gone))
    state = do(state, finish(state))
    gone = silent(all_well(state), 700_000, 2)
    assert steps(state, gone) == [DropReplica(ref(state), 2, shard(state).epoch_of(2))]


def test_new_replicas_go_to_other_zones() -> None:
    state = cluster((1,), factor=2, peers=3)
    for peer, zone in ((1, "a"), (2, "a"), (3, "b")):
        state = do(state, RegisterPeer(peer, f"http://{peer}:6335", zone))
    assert steps(state) == [StartTransfer(ref(state), 1, 3, STREAM)]


def test_a_round_has_a_bounded_number_of_steps() -> None:
    state = cluster((1,), (2,), (3,), factor=2, peers=6)
    assert len(steps(state)) == 3
    assert len(steps(state, limits=Limits(commands_max=2))) == 2
