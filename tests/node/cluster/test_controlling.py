"""The controller's loop in virtual time: a real plan on a real state, a fake log and fake peers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from consensus.commands import Command, DrainPeer, PromotePrimary, RegisterPeer, StartTransfer
from consensus.controller import Limits
from consensus.log import RaftStatus, Subscriber
from consensus.replica_sets import every_shard
from consensus.reports import PeerReport, ReplicaKey, ReplicaReport
from consensus.state import ClusterState, ReplicaState
from consensus.transitions import Events, rejection
from node.cluster import controlling
from node.cluster.controlling import Controller, shard_of
from protos.errors import Timeout
from tests.consensus.material import ACTIVE, DEAD, cluster, ref, shard, step
from tests.router.virtual_time import run_virtually

ME = 1
LIMITS = Limits(lost_after_ms=3_000, evict_after_ms=10_000, recover=False, add_missing=False)


class LoopClock:
    """The loop's time, and what is added to it when the process is stopped."""

    def __init__(self) -> None:
        self.stopped_ms = 0

    def monotonic_ms(self) -> int:
        return int(asyncio.get_running_loop().time() * 1000) + self.stopped_ms

    def unix_ms(self) -> int:
        return self.monotonic_ms()


class Log:
    """Implements ``MetadataLog``; ``hold`` keeps commands from being applied."""

    def __init__(self, state: ClusterState) -> None:
        self.peer_id = ME
        self.state = state
        self.proposed: list[Command] = []
        self.underway = self.underway_most = 0
        self.free = asyncio.Event()
        self.free.set()
        self.lost = False
        self._subscribers: list[Subscriber] = []

    async def propose(self, command: Command) -> Events:
        self.proposed.append(command)
        self.underway += 1
        self.underway_most = max(self.underway, self.underway_most)
        try:
            await self.free.wait()
            if self.lost:
                raise Timeout("who knows")
            return self.apply(command)
        finally:
            self.underway -= 1

    def apply(self, command: Command) -> Events:
        self.state, events = step(self.state, command)
        refused = rejection(events)
        if refused is not None:
            raise refused.error
        for subscriber in self._subscribers:
            subscriber(self.state, events)
        return events

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    async def close(self) -> None: ...


class Scene:
    """A controller on peer 1, and what the other peers say while they live."""

    def __init__(self, state: ClusterState, limits: Limits = LIMITS) -> None:
        self.log, self.clock = Log(state), LoopClock()
        self.leader: int | None = ME
        self.term, self.has_quorum = 1, True
        self.alive = set(state.peers) - {ME}
        self.sick: set[int] = set()
        self.incarnations: dict[int, int] = {}
        self.controller = Controller(
            self.log, self.status, lambda: self.report(ME), clock=self.clock, limits=limits, aside=at_once
        )

    def status(self) -> RaftStatus:
        return RaftStatus(
            term=self.term,
            commit=0,
            applied=0,
            pending_operations=0,
            leader=self.leader,
            role="Leader" if self.leader == ME else "Follower",
            is_voter=True,
            voters=(1, 2, 3),
            has_quorum=self.has_quorum,
            stopped=False,
            error=None,
            last_update_unix_s=0.0,
        )

    def report(self, peer_id: int) -> PeerReport:
        state = self.log.state
        replicas: dict[ReplicaKey, ReplicaReport] = {
            (collection.uuid, shard.id): ReplicaReport(
                epoch=shard.epoch_of(peer_id), term=shard.term, healthy=peer_id not in self.sick
            )
            for collection, shard in every_shard(state)
            if peer_id in shard.replicas
        }
        incarnation = self.incarnations.get(peer_id, state.peers[peer_id].incarnation)
        return PeerReport(self.clock.monotonic_ms(), incarnation, replicas)

    def speak(self, *peers: int) -> None:
        for peer_id in peers:
            self.controller.hear(peer_id, self.report(peer_id))

    async def pass_time(self, seconds: float) -> None:
        """The living report twice a second."""
        for _ in range(int(seconds * 2)):
            self.speak(*self.alive)
            await asyncio.sleep(0.5)

    def stop_process(self, seconds: float) -> None:
        """SIGSTOP, SIGCONT: time passes, nothing here runs."""
        self.clock.stopped_ms += int(seconds * 1000)


async def at_once(call: Callable[[], list[Command]]) -> list[Command]:
    return call()


def play(scene_of: Callable[[], Scene], story: Callable[[Scene], Coroutine[Any, Any, None]]) -> Scene:
    async def run() -> Scene:
        scene = scene_of()
        scene.controller.start()
        try:
            await story(scene)
        finally:
            await scene.controller.close()
        return scene

    return run_virtually(run())


def three_replicas() -> Scene:
    return Scene(cluster([2, 1, 3], peers=3, factor=3))


def states(scene: Scene) -> dict[int, ReplicaState]:
    return shard(scene.log.state).replicas


def test_while_all_is_well_nothing_is_proposed() -> None:
    async def story(scene: Scene) -> None:
        await scene.pass_time(60)

    assert play(three_replicas, story).log.proposed == []


def test_a_lost_primary_is_replaced_after_its_time_and_not_before() -> None:
    async def story(scene: Scene) -> None:
        await scene.pass_time(5)
        scene.alive.remove(2)
        await scene.pass_time(2.5)
        assert scene.log.proposed == []
        await scene.pass_time(1.5)

    scene = play(three_replicas, story)
    assert [type(command) for command in scene.log.proposed] == [PromotePrimary]
    assert (shard(scene.log.state).primary, states(scene)) == (1, {1: ACTIVE, 2: DEAD, 3: ACTIVE})


def test_a_lost_follower_is_evicted() -> None:
    async def story(scene: Scene) -> None:
        scene.alive.remove(3)
        await scene.pass_time(9.5)
        assert states(scene)[3] is ACTIVE
        await scene.pass_time(1.5)

    assert states(play(three_replicas, story))[3] is DEAD


def test_a_new_leader_gives_everyone_the_whole_time() -> None:
    """It has heard nobody when it begins, and the one before it may have been silent for long."""

    async def story(scene: Scene) -> None:
        scene.leader = 3
        await scene.pass_time(30)
        scene.leader, scene.term = ME, 2
        scene.alive.clear()
        await scene.pass_time(2.5)
        assert scene.log.proposed == []
        scene.alive |= {2, 3}
        await scene.pass_time(20)

    assert play(three_replicas, story).log.proposed == []


def test_one_that_does_not_lead_decides_nothing() -> None:
    async def story(scene: Scene) -> None:
        scene.leader = 3
        assert scene.controller.hear(2, scene.report(2)) is False
        scene.alive.clear()
        await scene.pass_time(60)

    assert play(three_replicas, story).log.proposed == []


def test_what_was_heard_in_another_term_is_forgotten() -> None:
    """The primary is sick. That peer 3 was well in the term before makes it no heir in this one."""

    async def story(scene: Scene) -> None:
        await scene.pass_time(2)
        scene.term = 2
        scene.alive.remove(3)
        scene.sick.add(2)
        await scene.pass_time(2)
        assert scene.log.proposed == []
        scene.alive.add(3)
        await scene.pass_time(1)

    scene = play(lambda: Scene(cluster([2, 3], peers=3, factor=2)), story)
    assert shard(scene.log.state).primary == 3


def test_a_leader_cut_off_from_the_majority_begins_anew_when_it_is_back() -> None:
    async def story(scene: Scene) -> None:
        await scene.pass_time(2)
        scene.has_quorum = False
        scene.alive.clear()
        await scene.pass_time(60)
        scene.has_quorum = True
        await scene.pass_time(2)
        scene.alive |= {2, 3}
        await scene.pass_time(5)

    assert play(three_replicas, story).log.proposed == []


@pytest.mark.parametrize("seconds", [1.5, 5.0, 3600.0])
def test_a_leader_that_was_stopped_evicts_nobody(seconds: float) -> None:
    """Its clock went on while nobody could be heard. The reports that wait come in after its first round."""

    async def story(scene: Scene) -> None:
        await scene.pass_time(5)
        scene.stop_process(seconds)
        await asyncio.sleep(1)
        await scene.pass_time(20)

    with capture_logs() as logs:
        scene = play(three_replicas, story)
    assert scene.log.proposed == []
    assert [entry["event"] for entry in logs] == ["controller_was_stopped"]


def test_a_leader_that_was_stopped_still_finds_who_is_lost() -> None:
    async def story(scene: Scene) -> None:
        await scene.pass_time(5)
        scene.alive.remove(2)
        scene.stop_process(100)
        await scene.pass_time(4)

    assert shard(play(three_replicas, story).log.state).primary == 1


def test_reports_of_an_older_process_are_ignored() -> None:
    """The primary's process was started anew and says nothing; reports of the old one still come in."""

    async def story(scene: Scene) -> None:
        await scene.pass_time(2)
        scene.log.apply(RegisterPeer(2, "http://2:6335", incarnation=5))
        scene.incarnations[2] = 4
        scene.alive.remove(2)
        for _ in range(12):
            scene.speak(2)
            await scene.pass_time(0.5)

    scene = play(three_replicas, story)
    assert shard(scene.log.state).primary == 1


def test_a_late_report_does_not_overwrite_that_of_a_newer_process() -> None:
    async def story(scene: Scene) -> None:
        await scene.pass_time(1)
        scene.incarnations[2] = 7  # its registration is still under way
        scene.speak(2)
        scene.incarnations[2] = 0
        scene.sick.add(2)
        await scene.pass_time(2)

    assert play(three_replicas, story).log.proposed == []


def test_bad_news_is_acted_on_at_once() -> None:
    async def story(scene: Scene) -> None:
        await scene.pass_time(2)
        await asyncio.sleep(controlling.ROUND_GAP_S)
        scene.sick.add(2)
        scene.speak(2)
        await asyncio.sleep(controlling.ROUND_GAP_S)
        assert shard(scene.log.state).primary == 1

    play(three_replicas, story)


def test_a_changed_state_is_looked_at_at_once() -> None:
    async def story(scene: Scene) -> None:
        await scene.pass_time(2)
        await asyncio.sleep(controlling.ROUND_GAP_S)
        scene.log.apply(DrainPeer(2, True))
        await asyncio.sleep(2 * controlling.ROUND_GAP_S)
        assert shard(scene.log.state).primary != 2

    play(three_replicas, story)


def test_many_changes_make_few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[float] = []
    plan = controlling.plan

    def counted(*args: Any) -> list[Command]:
        rounds.append(asyncio.get_running_loop().time())
        return plan(*args)

    monkeypatch.setattr(controlling, "plan", counted)

    async def story(scene: Scene) -> None:
        for _ in range(1000):
            scene.controller.poke()
            await asyncio.sleep(0.001)
            scene.speak(*scene.alive)

    play(three_replicas, story)
    assert 10 < len(rounds) <= 1.0 / controlling.ROUND_GAP_S + 2


def many_shards(count: int) -> Callable[[], Scene]:
    return lambda: Scene(cluster(*[[2, 1, 3]] * count, peers=3, factor=3))


def test_a_command_under_way_is_not_proposed_again() -> None:
    async def story(scene: Scene) -> None:
        scene.log.free.clear()
        scene.alive.remove(2)
        await scene.pass_time(8)
        assert len(scene.log.proposed) == 1
        scene.log.free.set()
        await scene.pass_time(3)

    scene = play(three_replicas, story)
    assert [type(command) for command in scene.log.proposed] == [PromotePrimary]


def test_proposals_at_a_time_are_bounded_and_all_are_made_in_the_end() -> None:
    async def story(scene: Scene) -> None:
        scene.log.free.clear()
        scene.alive.remove(2)
        await scene.pass_time(6)
        assert len(scene.log.proposed) == controlling.PROPOSALS_MAX
        scene.log.free.set()
        await scene.pass_time(5)

    scene = play(many_shards(40), story)
    assert scene.log.underway_most == controlling.PROPOSALS_MAX
    assert {one.primary for _, one in every_shard(scene.log.state)} <= {1, 3}


def test_a_proposal_without_an_answer_is_given_up_and_made_again() -> None:
    async def story(scene: Scene) -> None:
        scene.log.free.clear()
        scene.alive.remove(2)
        await scene.pass_time(3 + controlling.PROPOSE_TIMEOUT_S + 2)
        assert len(scene.log.proposed) == 2
        scene.log.lost = True
        scene.log.free.set()
        await scene.pass_time(1)
        scene.log.lost = False
        await scene.pass_time(1)

    assert shard(play(three_replicas, story).log.state).primary == 1


def test_refusals_are_normal_and_quiet() -> None:
    """Someone else was faster: what was planned rests on a term that is over."""

    async def story(scene: Scene) -> None:
        scene.log.free.clear()
        scene.alive.remove(2)
        await scene.pass_time(4)
        scene.log.apply(PromotePrimary(ref(scene.log.state), 3, lost=True))
        scene.log.free.set()
        await scene.pass_time(2)

    with capture_logs() as logs:
        scene = play(three_replicas, story)
    assert shard(scene.log.state).primary == 3
    assert {entry["log_level"] for entry in logs} == {"debug"}


def test_a_round_that_fails_is_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = controlling.plan
    failures = iter([RuntimeError("a bug")])

    def failing(*args: Any) -> list[Command]:
        for error in failures:
            raise error
        return plan(*args)

    monkeypatch.setattr(controlling, "plan", failing)

    async def story(scene: Scene) -> None:
        scene.alive.remove(2)
        await scene.pass_time(5)

    with capture_logs() as logs:
        assert shard(play(three_replicas, story).log.state).primary == 1
    assert logs[0]["event"] == "controller_round_failed"


def test_limits_are_the_plans() -> None:
    async def story(scene: Scene) -> None:
        await scene.pass_time(3)

    def scene_of(limits: Limits) -> Callable[[], Scene]:
        return lambda: Scene(cluster([1, 2], peers=3, factor=3), limits)

    assert play(scene_of(LIMITS), story).log.proposed == []
    (started,) = play(scene_of(replace(LIMITS, add_missing=True)), story).log.proposed
    assert isinstance(started, StartTransfer)
    assert started.target == 3


def test_every_step_of_a_plan_has_its_shard() -> None:
    state = cluster([1, 2], peers=3, factor=2)
    assert shard_of(PromotePrimary(ref(state), 2)) == ("u", 0)
    with pytest.raises(TypeError, match="DrainPeer is no step"):
        shard_of(DrainPeer(1, True))
