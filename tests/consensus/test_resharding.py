"""Reshardings in the agreed state: stages, abort, what each shard may do at each of them."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from msgspec.structs import replace

from consensus.buckets import BUCKETS, owned_buckets, owners_of, unpack_buckets
from consensus.commands import (
    AbortResharding,
    AddCollection,
    BeginMove,
    Command,
    CreateShardKey,
    DropShardKey,
    LowerFence,
    MoveReady,
    MoveWhole,
    PlacedShard,
    RegisterPeer,
    ShardCleaned,
    SourceReleased,
    StartResharding,
    decode_command,
    encode_command,
)
from consensus.invariants import check_invariants, check_step
from consensus.ownership import ownership_of
from consensus.state import (
    ClusterState,
    CollectionState,
    Peer,
    ReshardingStage,
    decode_state,
    encode_state,
    founding_state,
)
from consensus.transitions import apply, rejection
from protos.collections import CollectionConfig, CollectionParams, Distance, VectorParams
from tests.consensus.commands import any_command

MOVING, FENCED, SWITCHED = ReshardingStage.MOVING, ReshardingStage.FENCED, ReshardingStage.SWITCHED


def done(state: ClusterState, *commands: Command) -> ClusterState:
    """The state after ``commands``, none of which may be refused, as it comes back from a snapshot."""
    for command in commands:
        after, events = apply(state, decode_command(encode_command(command)))
        assert rejection(events) is None, (command, events)
        check_step(state, after)
        check_invariants(after)
        assert decode_state(encode_state(after)) == after
        state = after
    return state


def refused(state: ClusterState, command: Command) -> str:
    after, events = apply(state, command)
    found = rejection(events)
    assert found is not None
    assert after is state
    return found.message


def cluster(shards: int, *, custom: bool = False) -> ClusterState:
    state = founding_state(Peer(1, "http://1:6335"))
    peers = [RegisterPeer(peer, f"http://{peer}:6335") for peer in (2, 3)]
    params = CollectionParams({"": VectorParams(4, Distance.DOT)}, shards, "custom" if custom else None)
    placed = () if custom else tuple(PlacedShard(number, (1 + number % 3,)) for number in range(shards))
    return done(state, *peers, AddCollection("c", "u", CollectionConfig(params), placed, 0))


def the(state: ClusterState) -> CollectionState:
    return state.collections["c"]


def start(direction: str, key: str | None = None) -> StartResharding:
    peers = (3, 1) if direction == "up" else ()
    return StartResharding("c", "u", "op", direction, 3, peers, key)  # type: ignore[arg-type]


def ready(state: ClusterState) -> list[Command]:
    moves = the(state).resharding.moves  # type: ignore[union-attr]
    return [MoveReady("c", "u", "op", move.source, move.target, move.session) for move in moves]


def whole(state: ClusterState) -> list[Command]:
    moves, step = the(state).resharding.moves, the(state).buckets_step  # type: ignore[union-attr]
    return [MoveWhole("c", "u", "op", move.source, move.target, move.session, step) for move in moves]


def switched(state: ClusterState) -> ClusterState:
    state = done(state, *ready(state))
    assert the(state).resharding.stage is FENCED  # type: ignore[union-attr]
    state = done(state, *whole(state))
    assert the(state).resharding.stage is SWITCHED  # type: ignore[union-attr]
    return state


def finish(state: ClusterState) -> ClusterState:
    """From SWITCHED on."""
    step = the(state).buckets_step
    for source in sorted({move.source for move in the(state).resharding.moves}):  # type: ignore[union-attr]
        state = done(state, SourceReleased("c", "u", "op", source, step))
    for shard_id, shard in sorted(the(state).shards.items()):
        if shard.strangers:
            state = done(state, ShardCleaned("c", "u", shard_id, step))
    assert the(state).resharding is None
    return state


def shares(state: ClusterState) -> dict[int, int]:
    owners = owners_of(the(state).groups[0])
    return {int(shard): int((owners == shard).sum()) for shard in np.unique(owners)}


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_up_and_down_again_leave_even_shares(shards: int) -> None:
    state = finish(switched(done(cluster(shards), start("up"))))
    held = shares(state)
    assert sorted(held) == list(range(shards + 1))
    assert max(held.values()) - min(held.values()) <= 1
    assert the(state).config.params.shard_number == shards + 1
    state = finish(switched(done(state, start("down"))))
    held = shares(state)
    assert sorted(held) == sorted(the(state).shards) == list(range(shards))
    assert max(held.values()) - min(held.values()) <= 1
    assert the(state).config.params.shard_number == shards
    state = done(state, start("up"))
    assert the(state).resharding.shard_id == shards + 1  # type: ignore[union-attr]  # ids do not come back


def test_up_moves_no_bucket_between_old_shards() -> None:
    before = cluster(3)
    after = switched(done(before, start("up")))
    old, new = owners_of(the(before).groups[0]), owners_of(the(after).groups[0])
    assert set(new[old != new].tolist()) == {3}


def test_what_the_ends_of_a_move_do_from_stage_to_stage() -> None:
    state = cluster(1)
    assert ownership_of(the(state), 0) is None
    state = done(state, start("up"))
    moving = unpack_buckets(the(state).resharding.moves[0].buckets)  # type: ignore[union-attr]

    def bits(shard: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
        found = ownership_of(the(state), shard)
        assert found is not None
        return (
            unpack_buckets(found.answers),
            unpack_buckets(found.takes),
            unpack_buckets(found.receives),
            found.strangers,
        )

    def check(shard: int, answers: np.ndarray, takes: np.ndarray, receives: np.ndarray, hides: bool) -> None:
        found = bits(shard)
        for mask, expected in zip(found[:3], (answers, takes, receives), strict=True):
            assert (mask == expected).all()
        assert found[3] is hides

    everything, nothing = np.ones(BUCKETS, bool), np.zeros(BUCKETS, bool)
    check(0, everything, everything, nothing, False)
    check(1, nothing, nothing, moving, True)
    state = done(state, *ready(state))
    check(0, everything, ~moving, nothing, False)
    check(1, nothing, nothing, moving, True)
    state = done(state, *whole(state))
    check(0, ~moving, ~moving, nothing, True)
    check(1, moving, nothing, nothing, False)
    state = done(state, SourceReleased("c", "u", "op", 0, the(state).buckets_step))
    check(1, moving, moving, nothing, False)
    state = done(state, ShardCleaned("c", "u", 0, the(state).buckets_step))
    assert the(state).resharding is None
    check(0, ~moving, ~moving, nothing, False)


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("fenced", [False, True])
def test_abort_brings_the_former_map_back(direction: str, fenced: bool) -> None:
    before = cluster(3)
    state = done(before, start(direction))
    if fenced:
        state = done(state, *ready(state))
    state = done(state, AbortResharding("c", "u", "op"))
    assert the(state).groups == the(before).groups
    assert the(state).shards.keys() == the(before).shards.keys()
    for shard_id in the(state).shards:
        found = ownership_of(the(state), shard_id)
        assert found is not None
        assert found.settled
        assert found.answers == owned_buckets(the(before), shard_id)
        assert not found.receives
        assert found.strangers is (direction == "down" and shard_id != 2)
    if direction == "down":  # the copies have to be removed before anything can come in again
        assert "still being cleaned up" in refused(state, start("up"))
        aborted = the(state).buckets_step
        for shard_id in (0, 1):
            old = ShardCleaned("c", "u", shard_id, aborted - 1)
            assert "may hold points of others" in refused(state, old)
            state = done(state, ShardCleaned("c", "u", shard_id, aborted))
    done(state, start("up"))


def test_there_is_no_way_back_once_the_new_owners_answer() -> None:
    state = switched(done(cluster(2), start("up")))
    assert "cannot be aborted any more" in refused(state, AbortResharding("c", "u", "op"))


def test_claims_of_an_earlier_session_are_void() -> None:
    """A session that begins clears what the target has: nothing that was claimed before may count then."""
    state = done(cluster(2), start("up"))
    state = done(state, *ready(state))
    old = whole(state)
    state = done(state, old[1], BeginMove("c", "u", "op", 0, 2, (1, 5)))
    assert the(state).resharding.stage is MOVING  # type: ignore[union-attr]
    assert "at step" in refused(state, old[0])
    state = done(state, *ready(state))
    late = replace(old[0], step=the(state).buckets_step)
    assert "session (1, 5), not (0, 0)" in refused(state, late)
    assert "in that session" in refused(state, BeginMove("c", "u", "op", 0, 2, (1, 4)))
    state = done(state, *whole(state))
    assert the(state).resharding.stage is SWITCHED  # type: ignore[union-attr]
    assert "in that session" in refused(state, BeginMove("c", "u", "op", 0, 2, (2, 0)))


def test_a_fence_that_is_lowered_voids_what_was_claimed_under_it() -> None:
    state = done(cluster(2), start("up"))
    state = done(state, *ready(state))
    old = whole(state)
    state = done(state, old[0], LowerFence("c", "u", "op", the(state).buckets_step))
    assert the(state).resharding.stage is MOVING  # type: ignore[union-attr]
    state = done(state, *ready(state))
    assert "not" in refused(state, old[1])
    switched_again = done(state, *whole(state))
    assert the(switched_again).resharding.stage is SWITCHED  # type: ignore[union-attr]


def test_refusals() -> None:
    state = cluster(1)
    assert "last shard" in refused(state, start("down"))
    assert "Shard key cannot be specified" in refused(state, start("up", "a"))
    assert "not in progress for collection c" in refused(state, AbortResharding("c", "u", "op"))
    assert "Peer 9 does not exist" in refused(state, replace(start("up"), peers=(9,)))
    older = replace(state, feature_level=3)
    assert "every peer" in refused(older, start("up"))
    running = done(state, start("up"))
    assert done(running, start("up")) is running  # asked again
    assert "already in progress" in refused(running, replace(start("up"), operation="other"))


def test_shards_of_one_key_alone() -> None:
    state = done(
        cluster(0, custom=True), CreateShardKey("c", "a", ((1,),)), CreateShardKey("c", "b", ((2,),))
    )
    assert "not specified" in refused(state, start("up"))
    assert '"x" not found' in refused(state, start("up", "x"))
    state = done(state, start("up", "a"))
    gone = done(state, DropShardKey("c", "a"))
    assert the(gone).resharding is None
    assert sorted(the(gone).shards) == [1]
    state = finish(switched(state))
    assert [group.shards for group in the(state).groups] == [(0, 2), (1,)]
    assert the(state).shards[2].key == "a"


def test_any_commands_keep_the_invariants_and_every_stage_is_met() -> None:
    met = set()
    for seed in range(30):
        rng, state = Random(seed), cluster(2)
        state = done(state, AddCollection("k", "uk", the(cluster(0, custom=True)).config, (), 0))
        for _ in range(400):
            after, events = apply(state, any_command(rng, state))
            check_step(state, after, data_lost=any(type(event).__name__ == "DataLost" for event in events))
            check_invariants(after)
            state = after
            for collection in state.collections.values():
                if collection.resharding is not None:
                    met.add((collection.resharding.direction, collection.resharding.stage))
    assert len(met) == 6, met
