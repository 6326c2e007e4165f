"""Reports to the leader, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from itertools import pairwise
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from consensus.log import RaftStatus
from consensus.reports import PeerReport, ReplicaReport
from node.cluster.controlling import Controller
from node.cluster.reporting import (
    FORMAT,
    METHOD,
    REPORT_GAP_S,
    REPORT_INTERVAL_S,
    Reporter,
    decode_report,
    encode_report,
    receive_reports,
)
from node.peer.calls import Handler, StreamHandler
from protos.errors import BadRequest, ShardUnavailable
from tests.router.virtual_time import run_virtually

REPORT = PeerReport(
    0,
    3,
    {
        ("u", 0): ReplicaReport(1, 2, 30, ready={5: 6}),
        ("v", 9): ReplicaReport(healthy=False, recoverable=False),
    },
)


class Calls:
    """Implements ``PeerCalls``; remembers when which report went where."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}
        self.sent: list[tuple[float, int, PeerReport]] = []
        self.failure: Exception | None = None
        self.taking_s = 0.0

    def handle(self, method: str, handler: Handler) -> None:
        self.handlers[method] = handler

    def handle_stream(self, method: str, handler: StreamHandler) -> None:
        raise NotImplementedError

    async def call(self, peer_id: int, method: str, request: bytes, *, timeout_s: float) -> bytes:
        assert method == METHOD
        self.sent.append((asyncio.get_running_loop().time(), peer_id, decode_report(request, 0)))
        await asyncio.sleep(min(self.taking_s, timeout_s))
        if self.failure is not None:
            raise self.failure
        return b""

    def stream(self, peer_id: int, method: str, request: bytes) -> AsyncIterator[bytes]:
        raise NotImplementedError


class Listener:
    """Stands for the controller."""

    def __init__(self) -> None:
        self.pokes = 0
        self.heard: list[tuple[int, PeerReport]] = []
        self.leads = True

    def poke(self) -> None:
        self.pokes += 1

    def hear(self, peer_id: int, report: PeerReport) -> bool:
        self.heard.append((peer_id, report))
        return self.leads


class Scene:
    def __init__(self) -> None:
        self.calls, self.listener = Calls(), Listener()
        self.leader: int | None = 2
        self.report = REPORT
        self.reporter = Reporter(
            self.calls,
            cast("Controller", self.listener),
            self.status,
            lambda: self.report,
            peer_id=1,
        )

    def status(self) -> RaftStatus:
        return RaftStatus(1, 0, 0, 0, self.leader, None, True, (), True, False, None, 0.0)


def play(story: Callable[[Scene], Coroutine[Any, Any, None]]) -> Scene:
    async def run() -> Scene:
        scene = Scene()
        scene.reporter.start()
        try:
            await story(scene)
        finally:
            await scene.reporter.close()
        return scene

    return run_virtually(run())


def test_a_report_travels_unchanged() -> None:
    assert decode_report(encode_report(REPORT), 7) == PeerReport(7, 3, REPORT.replicas)


@pytest.mark.parametrize("data", [b"", bytes([FORMAT + 1]) + b"\x90", bytes([FORMAT]) + b"\xc1"])
def test_what_is_no_report_is_refused(data: bytes) -> None:
    with pytest.raises(BadRequest, match="report"):
        decode_report(data, 0)


def test_the_leader_is_told_again_and_again() -> None:
    scene = play(lambda _: asyncio.sleep(10))
    times = [at for at, _, _ in scene.calls.sent]
    assert times == pytest.approx([REPORT_INTERVAL_S * turn for turn in range(len(times))])
    assert len(times) >= 19
    assert {(peer, report.incarnation) for _, peer, report in scene.calls.sent} == {(2, 3)}


def test_the_next_report_goes_to_whoever_leads_then() -> None:
    async def story(scene: Scene) -> None:
        await asyncio.sleep(1.2 * REPORT_INTERVAL_S)
        scene.leader = None
        await asyncio.sleep(5)
        scene.leader = 3
        await asyncio.sleep(0.9 * REPORT_INTERVAL_S)

    assert [peer for _, peer, _ in play(story).calls.sent] == [2, 2, 3]


def test_urgent_news_go_at_once_but_not_one_by_one() -> None:
    async def story(scene: Scene) -> None:
        await asyncio.sleep(0.2)
        scene.report = PeerReport(0, 4)
        for _ in range(100):
            scene.reporter.nudge()
            await asyncio.sleep(0.0005)
        await asyncio.sleep(REPORT_GAP_S)

    sent = play(story).calls.sent
    assert sent[1][0] == pytest.approx(0.2, abs=0.002)
    assert sent[1][2].incarnation == 4
    assert len(sent) == 3


def test_news_during_a_report_are_told_after_it() -> None:
    async def story(scene: Scene) -> None:
        scene.calls.taking_s = 0.3
        await asyncio.sleep(0.1)
        scene.reporter.nudge()
        await asyncio.sleep(0.3)

    assert [at for at, _, _ in play(story).calls.sent] == pytest.approx([0.0, 0.3 + REPORT_GAP_S])


def test_a_leader_that_does_not_answer_is_told_again_before_it_misses_this_peer() -> None:
    async def story(scene: Scene) -> None:
        scene.calls.taking_s = 1000.0
        await asyncio.sleep(9)

    times = [at for at, _, _ in play(story).calls.sent]
    assert max(later - earlier for earlier, later in pairwise(times)) < 2.0


def test_failures_are_no_end() -> None:
    async def story(scene: Scene) -> None:
        scene.calls.failure = ShardUnavailable("not the leader")
        await asyncio.sleep(1.2 * REPORT_INTERVAL_S)
        scene.calls.failure = RuntimeError("a bug")
        await asyncio.sleep(REPORT_INTERVAL_S)
        scene.calls.failure = None
        await asyncio.sleep(REPORT_INTERVAL_S)

    with capture_logs() as logs:
        scene = play(story)
    assert len(scene.calls.sent) == 4
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [
        ("report_not_taken", "debug"),
        ("report_not_taken", "debug"),
        ("report_failed", "error"),
    ]


def test_the_leader_itself_has_its_controller_look() -> None:
    async def story(scene: Scene) -> None:
        scene.leader = 1
        await asyncio.sleep(0.2)
        before = scene.listener.pokes
        scene.reporter.nudge()
        await asyncio.sleep(0.001)
        assert scene.listener.pokes == before + 1

    assert play(story).calls.sent == []


async def test_reports_that_come_in_are_the_controllers() -> None:
    calls, listener = Calls(), Listener()

    class Clock:
        def monotonic_ms(self) -> int:
            return 77

        def unix_ms(self) -> int:
            return 0

    receive_reports(calls, cast("Controller", listener), Clock())
    answer = calls.handlers[METHOD]
    assert await answer(5, encode_report(REPORT)) == bytes([FORMAT])
    assert listener.heard == [(5, PeerReport(77, 3, REPORT.replicas))]
    listener.leads = False
    with pytest.raises(ShardUnavailable, match="not the leader"):
        await answer(5, encode_report(REPORT))
    with pytest.raises(BadRequest):
        await answer(5, b"?")
