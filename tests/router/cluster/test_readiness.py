"""When a node is ready: each check by itself (pure), then all of them on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from consensus.commands import DropCollection
from consensus.state import ClusterState, Peer, ReplicaState, founding_state
from router.cluster.checking import ANSWER_S, LOOK_S, ReadyCheck
from router.cluster.readiness import (
    SILENCE_S,
    Checks,
    Seen,
    Stage,
    advance,
    asks,
    short_of_replicas,
    unhealthy,
)
from tests.router.cluster.fakes import STATUS, ClusterLog, FakeCluster
from tests.router.virtual_time import run_virtually

UNHEALTHY = [
    ReplicaState.DEAD,
    ReplicaState.INITIALIZING,
    ReplicaState.PARTIAL,
    ReplicaState.PARTIAL_SNAPSHOT,
    ReplicaState.RECOVERY,
    ReplicaState.ACTIVE_READ,
]
HEALTHY = [state for state in ReplicaState if state not in UNHEALTHY]


def seen(state: ClusterState, *, applied: int = 0, now_s: float = 0.0, commits: tuple[int, ...] = ()) -> Seen:
    return Seen(state, 1, applied, now_s, commits)


def three_peers() -> ClusterState:
    return ClusterLog().state


# --- the checks ------------------------------------------------------------------------------------


def test_a_lone_member_is_ready_at_once() -> None:
    assert advance(Checks(), seen(founding_state(Peer(1))), joins=False).stage is Stage.READY


def test_one_that_joins_waits_until_it_knows_another_member() -> None:
    alone = advance(Checks(), seen(founding_state(Peer(1))), joins=True)
    assert alone.stage is Stage.JOINING
    assert advance(alone, seen(three_peers()), joins=True).stage is Stage.ESTIMATING


def test_a_node_that_has_not_learnt_the_members_yet_waits() -> None:
    assert advance(Checks(), seen(ClusterState()), joins=False).stage is Stage.JOINING


@pytest.mark.parametrize(
    ("stage", "peers", "wanted"),
    [
        (Stage.JOINING, 3, 0),
        (Stage.ESTIMATING, 3, 1),
        (Stage.ESTIMATING, 1, 0),
        (Stage.CATCHING_UP, 3, 0),
        (Stage.CONFIRMING, 2, 1),
        (Stage.CONFIRMING, 3, 1),
        (Stage.CONFIRMING, 5, 2),
        (Stage.HEALING, 5, 0),
    ],
)
def test_one_answer_makes_an_estimate_and_half_of_the_members_confirm_it(
    stage: Stage, peers: int, wanted: int
) -> None:
    assert asks(Checks(stage), ClusterLog(peers).state, 1) == wanted


def test_the_first_answer_sets_what_is_to_be_applied() -> None:
    after = advance(Checks(Stage.ESTIMATING), seen(three_peers(), applied=3, commits=(9,)), joins=False)
    assert after == Checks(Stage.CATCHING_UP, target=9)


def test_without_any_answer_the_estimate_is_given_up_after_a_while() -> None:
    checks = advance(Checks(Stage.ESTIMATING), seen(three_peers(), now_s=10.0), joins=False)
    assert checks.stage is Stage.ESTIMATING
    checks = advance(checks, seen(three_peers(), now_s=10.0 + SILENCE_S - 0.1), joins=False)
    assert checks.stage is Stage.ESTIMATING
    checks = advance(checks, seen(three_peers(), now_s=10.0 + SILENCE_S), joins=False)
    assert checks.stage is Stage.CONFIRMING


def test_a_node_behind_the_estimate_catches_up() -> None:
    checks = Checks(Stage.CATCHING_UP, target=9)
    assert advance(checks, seen(three_peers(), applied=8), joins=False) == checks
    assert advance(checks, seen(three_peers(), applied=9), joins=False).stage is Stage.CONFIRMING


def test_a_majority_further_ahead_is_caught_up_with_again() -> None:
    checks = Checks(Stage.CONFIRMING, target=9)
    after = advance(checks, seen(three_peers(), applied=9, commits=(12,)), joins=False)
    assert after == Checks(Stage.CATCHING_UP, target=12)


def test_a_confirmed_node_without_replicas_is_ready() -> None:
    checks = Checks(Stage.CONFIRMING, target=9)
    assert advance(checks, seen(three_peers(), applied=9, commits=(9,)), joins=False).stage is Stage.READY


def test_silent_members_confirm_too() -> None:
    checks = Checks(Stage.CONFIRMING, target=9)
    assert advance(checks, seen(three_peers(), applied=9), joins=False).stage is Stage.READY


@pytest.mark.parametrize("found", UNHEALTHY)
def test_unhealthy_replicas_of_this_node_are_waited_for(found: ReplicaState) -> None:
    log = ClusterLog()
    log.add_collection()
    log.set_replica(0, 1, found)
    assert unhealthy(log.state, 1) == {("uuid-c", 0)}
    checks = advance(Checks(Stage.CONFIRMING), seen(log.state, commits=(0,)), joins=False)
    assert checks.stage is Stage.HEALING
    log.set_replica(0, 1, ReplicaState.ACTIVE)
    assert advance(checks, seen(log.state), joins=False).stage is Stage.READY


@pytest.mark.parametrize("found", HEALTHY)
def test_healthy_replicas_are_not_waited_for(found: ReplicaState) -> None:
    log = ClusterLog()
    log.add_collection()
    log.set_replica(0, 1, found)
    assert not unhealthy(log.state, 1)


def test_dead_replicas_of_other_peers_do_not_matter() -> None:
    log = ClusterLog()
    log.add_collection()
    log.set_replica(0, 2, ReplicaState.DEAD)
    log.set_replica(1, 2, ReplicaState.DEAD)
    assert not unhealthy(log.state, 1)


def test_a_newcomer_is_not_ready_while_shards_lack_replicas_that_it_may_be_there_for() -> None:
    """An orchestrator that counts it might take the next node away, and with it a shard's last replica."""
    log = ClusterLog()
    log.add_collection(shards=((2, 3), (2, 3)), factor=2)
    log.set_replica(0, 2, ReplicaState.PARTIAL)
    assert short_of_replicas(log.state) == {("uuid-c", 0)}
    checks = advance(Checks(Stage.CONFIRMING), seen(log.state), joins=True)
    assert checks.stage is Stage.HEALING
    log.set_replica(0, 2, ReplicaState.ACTIVE)
    log.set_replica(1, 2, ReplicaState.DEAD)  # later: it was whole when the newcomer came
    assert advance(checks, seen(log.state), joins=True).stage is Stage.READY


def test_a_node_that_comes_back_waits_for_its_own_replicas_alone() -> None:
    log = ClusterLog()
    log.add_collection(shards=((2, 3),), factor=2)
    log.set_replica(0, 2, ReplicaState.DEAD)
    assert advance(Checks(Stage.CONFIRMING), seen(log.state), joins=False).stage is Stage.READY


def test_more_replicas_than_peers_are_not_waited_for() -> None:
    log = ClusterLog()
    log.add_collection(shards=((1, 2, 3),), factor=4)
    assert not short_of_replicas(log.state)


def test_each_replica_must_be_seen_healthy_only_once() -> None:
    log = ClusterLog()
    log.add_collection(shards=((2, 1), (2, 1)))
    log.set_replica(0, 1, ReplicaState.DEAD)
    log.set_replica(1, 1, ReplicaState.PARTIAL)
    checks = advance(Checks(Stage.CONFIRMING), seen(log.state), joins=False)
    log.set_replica(0, 1, ReplicaState.ACTIVE)
    checks = advance(checks, seen(log.state), joins=False)
    assert checks.sick == {("uuid-c", 1)}
    log.set_replica(0, 1, ReplicaState.DEAD)
    log.set_replica(1, 1, ReplicaState.ACTIVE)
    assert advance(checks, seen(log.state), joins=False).stage is Stage.READY


def test_a_replica_that_is_gone_is_not_waited_for() -> None:
    log = ClusterLog()
    log.add_collection()
    log.set_replica(0, 1, ReplicaState.DEAD)
    checks = advance(Checks(Stage.CONFIRMING), seen(log.state), joins=False)
    log.apply(DropCollection("c"))
    assert advance(checks, seen(log.state), joins=False).stage is Stage.READY


@pytest.mark.parametrize("state", [founding_state(Peer(1)), three_peers()], ids=["alone", "three"])
def test_a_node_that_opens_no_shard_is_never_ready(state: ClusterState) -> None:
    """Its replicas are called active until others have noticed."""
    checks = Checks()
    for number in range(6):
        checks = advance(
            checks, replace(seen(state, applied=9, now_s=number, commits=(5, 5)), withheld=True), joins=False
        )
    assert checks.stage is Stage.HEALING
    assert advance(checks, seen(state, applied=9), joins=False).stage is Stage.READY


def test_what_falls_ill_later_does_not_count() -> None:
    log = ClusterLog()
    log.add_collection()
    ready = advance(Checks(Stage.CONFIRMING), seen(log.state), joins=False)
    log.set_replica(0, 1, ReplicaState.DEAD)
    assert advance(ready, seen(log.state), joins=False).stage is Stage.READY


# --- the shell, on virtual time --------------------------------------------------------------------


def checked(
    story: Callable[[ReadyCheck, ClusterLog, FakeCluster], object], *, peers: int = 3, joins: bool = False
) -> None:
    async def run() -> None:
        log, cluster = ClusterLog(peers), FakeCluster()
        check = ReadyCheck(log, cluster, joins=joins)
        try:
            await story(check, log, cluster)  # type: ignore[misc]
        finally:
            await check.close()
        assert log.subscribers == 0

    run_virtually(run())


def now_s() -> float:
    return asyncio.get_running_loop().time()


def test_a_node_that_is_level_with_the_cluster_is_ready_with_the_first_question() -> None:
    async def story(check: ReadyCheck, log: ClusterLog, cluster: FakeCluster) -> None:
        cluster.commits = {2: 16, 3: 16}
        assert await check.ready()
        assert now_s() < ANSWER_S

    checked(story)


def test_a_question_takes_half_a_second_at_most() -> None:
    async def story(check: ReadyCheck, log: ClusterLog, cluster: FakeCluster) -> None:
        cluster.commits = {2: 99, 3: 99}
        assert not await check.ready()
        assert now_s() == pytest.approx(ANSWER_S)
        assert check.stage is Stage.CATCHING_UP

    checked(story)


def test_a_node_that_catches_up_becomes_ready_without_being_asked() -> None:
    async def story(check: ReadyCheck, log: ClusterLog, cluster: FakeCluster) -> None:
        cluster.commits = {2: 20, 3: 20}
        check.start()
        await asyncio.sleep(1)
        assert check.stage is Stage.CATCHING_UP
        cluster.raft = replace(STATUS, applied=20)
        await asyncio.sleep(2 * LOOK_S)
        assert check.is_ready()

    checked(story)


def test_a_replica_that_heals_wakes_the_check() -> None:
    async def story(check: ReadyCheck, log: ClusterLog, cluster: FakeCluster) -> None:
        log.add_collection()
        log.set_replica(0, 1, ReplicaState.DEAD)
        cluster.commits = {2: 1, 3: 1}
        assert not await check.ready()
        began_s = now_s()
        asking = asyncio.create_task(check.ready())
        await asyncio.sleep(0.01)
        log.set_replica(0, 1, ReplicaState.ACTIVE)
        assert await asking
        assert now_s() - began_s < ANSWER_S

    checked(story)


def test_readiness_is_for_good() -> None:
    async def story(check: ReadyCheck, log: ClusterLog, cluster: FakeCluster) -> None:
        log.add_collection()
        cluster.commits = {2: 1, 3: 1}
        assert await check.ready()
        log.set_replica(0, 1, ReplicaState.DEAD)
        cluster.commits = {}
        cluster.raft = replace(STATUS, applied=0)
        assert await check.ready()

    checked(story)


def test_a_node_whose_fellows_are_all_down_gets_ready_after_a_while() -> None:
    async def story(check: ReadyCheck, log: ClusterLog, cluster: FakeCluster) -> None:
        assert not await check.ready()
        while not await check.ready():
            assert now_s() < 2 * SILENCE_S
        assert now_s() >= SILENCE_S

    checked(story)


def test_one_silent_member_of_three_does_not_hold_up_readiness() -> None:
    async def story(check: ReadyCheck, log: ClusterLog, cluster: FakeCluster) -> None:
        cluster.commits = {3: 5}
        assert await check.ready()

    checked(story)


def test_a_bootstrapped_node_is_ready_once_it_is_a_member() -> None:
    async def story(check: ReadyCheck, log: ClusterLog, cluster: FakeCluster) -> None:
        members, log.state = log.state, founding_state(Peer(1))
        assert not await check.ready()
        assert check.stage is Stage.JOINING
        cluster.commits = {2: 1, 3: 1}
        log.put(members)
        assert await check.ready()

    checked(story, joins=True)
