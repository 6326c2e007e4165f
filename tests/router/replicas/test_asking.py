"""Asking replicas: hedging, replacement, asking again, giving up. On virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import numpy as np
import pytest

from consensus.state import ReplicaState
from protos.errors import BadInput, ServiceError, ShardUnavailable, Timeout, VecraftError
from protos.filters import Filter
from protos.ids import PointId
from protos.operations import UpdateResult
from protos.shard import (
    Direction,
    Hits,
    OrderBy,
    Position,
    Projection,
    ReadSession,
    Record,
    ScrollRequest,
    SearchRequest,
    ShardInfo,
    UpdateRequest,
)
from protos.shard_client import ShardClient
from router.replicas.asking import ROUNDS_MAX, Plain, ReplicaReads
from router.replicas.consistency import (
    Answer,
    AskAgain,
    Consistency,
    Plan,
    ReadConsistency,
    Resolved,
    choose,
    resolve_count,
)
from router.replicas.hedging import DELAY_MS_FIRST, SAMPLES_MIN, Hedging
from router.replicas.reads import ShardReads
from tests.router.virtual_time import run_virtually

T = TypeVar("T")
THREE = dict.fromkeys((1, 2, 3), ReplicaState.ACTIVE)
UNAVAILABLE = ShardUnavailable("no lease")


class FakeReplica:
    """Answers ``number`` after ``delay_s``; counts what it is asked and what is cancelled.

    ``seqs``: as of which seq the first, second, ... answer is given; the last one repeats.
    """

    def __init__(
        self, number: int = 0, *, delay_s: float = 0.01, error: VecraftError | None = None, **how: Any
    ) -> None:
        self.number, self.delay_s, self.error = number, delay_s, error
        self.seqs: list[int] = how.get("seqs", [])
        self.records: list[Record] = how.get("records", [])
        self.sessions: list[ReadSession] = []
        self.cancelled = 0

    def open(self, session: ReadSession) -> ShardClient:
        self.sessions.append(session)
        if self.seqs:
            session.position = Position(1, self.seqs[min(len(self.sessions), len(self.seqs)) - 1])
        return self

    @property
    def asked(self) -> int:
        return len(self.sessions)

    async def _answer(self, value: T) -> T:
        try:
            await asyncio.sleep(self.delay_s)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return value

    async def count(self, filter: Filter | None, *, exact: bool) -> int:
        return await self._answer(self.number)

    async def retrieve(self, ids: list[PointId], projection: Projection) -> list[Record]:
        return await self._answer([found for point in ids for found in self.records if found.id == point])

    async def scroll(self, request: ScrollRequest) -> list[Record]:
        return await self._answer(self.records)

    async def search(self, requests: list[SearchRequest]) -> list[Hits]:
        scores = np.arange(len(self.records), 0, -1, dtype=np.float32)
        return await self._answer([Hits(self.records, scores) for _ in requests])

    async def update(self, request: UpdateRequest) -> UpdateResult:
        raise NotImplementedError

    async def info(self) -> ShardInfo:
        raise NotImplementedError


class Shard:
    """Three replicas, read by ``count``; peer 1 is here, the others are asked in order."""

    def __init__(self, *replicas: FakeReplica) -> None:
        self.replicas = dict(enumerate(replicas, 1))
        self.reads = ReplicaReads()
        self.seconds = 0.0

    def plan(self, consistency: ReadConsistency = 1, extra: int = 0) -> Plan:
        states = {peer: THREE[peer] for peer in self.replicas}
        return choose(states, consistency, shard_id=0, local_peer=1, extra=extra)

    def count(self, consistency: ReadConsistency = 1, *, extra: int = 0, **options: int) -> int:
        return run_virtually(self.count_soon(self.plan(consistency, extra), **options))

    async def count_soon(self, plan: Plan, **options: int) -> int:
        started = asyncio.get_running_loop().time()
        try:
            return await self.reads.read(
                plan, self.replicas, _count, lambda answers, _: resolve_count(answers, plan), **options
            )
        finally:
            self.seconds = asyncio.get_running_loop().time() - started

    def asked(self) -> list[int]:
        return [replica.asked for replica in self.replicas.values()]


def _count(shard: ShardClient) -> Awaitable[int]:
    return shard.count(None, exact=True)


def test_one_replica_is_asked_when_it_answers_in_time() -> None:
    shard = Shard(FakeReplica(7), FakeReplica(8), FakeReplica(9))
    assert shard.count() == 7
    assert shard.asked() == [1, 0, 0]


def test_a_late_replica_is_hedged_and_cancelled_when_another_is_first() -> None:
    slow = FakeReplica(7, delay_s=5)
    shard = Shard(slow, FakeReplica(8), FakeReplica(9))
    assert shard.count(hedge_delay_ms=30) == 8
    assert shard.seconds == pytest.approx(0.04)
    assert (shard.asked(), slow.cancelled) == ([1, 1, 0], 1)
    assert not +shard.reads.load


def test_each_delay_without_an_answer_asks_one_more() -> None:
    shard = Shard(*(FakeReplica(n, delay_s=1.0 - n * 0.4) for n in range(3)))
    assert shard.count(hedge_delay_ms=100) == 2
    assert shard.asked() == [1, 1, 1]
    assert shard.seconds == pytest.approx(0.4)


def test_a_hedged_replica_may_still_be_the_first() -> None:
    shard = Shard(FakeReplica(7, delay_s=0.5), FakeReplica(8, delay_s=9))
    assert shard.count(hedge_delay_ms=100) == 7
    assert shard.replicas[2].cancelled == 1


def test_extra_replicas_are_asked_at_once() -> None:
    shard = Shard(FakeReplica(7, delay_s=1), FakeReplica(8, delay_s=0.05), FakeReplica(9))
    assert shard.count(extra=1) == 8
    assert shard.asked() == [1, 1, 0]


@pytest.mark.parametrize("error", [UNAVAILABLE, ServiceError("broken"), Timeout("late")])
def test_a_transient_failure_is_replaced_at_once(error: VecraftError) -> None:
    shard = Shard(FakeReplica(error=error), FakeReplica(8), FakeReplica(9))
    assert shard.count() == 8
    assert shard.seconds == pytest.approx(0.02)


def test_the_callers_fault_is_not_tried_on_others() -> None:
    slow = FakeReplica(8, delay_s=5)
    shard = Shard(FakeReplica(error=BadInput("no such field")), slow, FakeReplica(9))
    with pytest.raises(BadInput, match="no such field"):
        shard.count(2)
    assert (shard.asked(), slow.cancelled) == ([1, 1, 0], 1)


def test_when_all_fail_the_first_error_tells() -> None:
    errors = [ShardUnavailable(text) for text in ("one", "two", "three")]
    shard = Shard(*(FakeReplica(error=error) for error in errors))
    with pytest.raises(ShardUnavailable, match="one"):
        shard.count()
    assert shard.asked() == [1, 1, 1]


def test_a_read_ends_as_soon_as_its_votes_are_out_of_reach() -> None:
    slow = FakeReplica(8, delay_s=60)
    shard = Shard(FakeReplica(error=UNAVAILABLE), slow, slow)
    with pytest.raises(ShardUnavailable):
        shard.count(Consistency.ALL)
    assert shard.seconds == pytest.approx(0.01)


def test_a_silent_replica_counts_as_failed() -> None:
    shard = Shard(FakeReplica(7, delay_s=1000), FakeReplica(8))
    shard.reads.hedging = _spent()
    assert shard.count(attempt_ms=2_000) == 8
    assert shard.seconds == pytest.approx(2.01)


def test_a_shard_that_is_silent_everywhere_times_out() -> None:
    shard = Shard(FakeReplica(delay_s=1000))
    with pytest.raises(Timeout, match="Replica on peer 1 gave no answer within 2s"):
        shard.count(attempt_ms=2_000)


def test_a_replica_without_a_client_counts_as_failed() -> None:
    shard = Shard(FakeReplica(7), FakeReplica(8))
    plan = shard.plan()
    del shard.replicas[1]
    assert run_virtually(shard.count_soon(plan)) == 8


def test_cancelling_a_read_cancels_what_it_asked() -> None:
    shard = Shard(FakeReplica(7, delay_s=9), FakeReplica(8, delay_s=9), FakeReplica(9, delay_s=9))

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await shard.count_soon(shard.plan(Consistency.ALL))
        await asyncio.sleep(0)

    run_virtually(give_up())
    assert [replica.cancelled for replica in shard.replicas.values()] == [1, 1, 1]
    assert not +shard.reads.load


def test_load_counts_what_is_under_way() -> None:
    shard = Shard(FakeReplica(7), FakeReplica(8))
    seen: list[int] = []

    async def look() -> None:
        read = asyncio.create_task(shard.count_soon(shard.plan()))
        await asyncio.sleep(0.005)
        seen.append(shard.reads.load[1])
        await read

    run_virtually(look())
    assert (seen, shard.reads.load[1]) == ([1], 0)


# --- several votes -----------------------------------------------------------------------------------


def test_a_majority_that_agrees_does_not_wait_for_the_slowest() -> None:
    shard = Shard(FakeReplica(7), FakeReplica(7), FakeReplica(9, delay_s=30))
    assert shard.count(Consistency.MAJORITY) == 7
    assert shard.seconds == pytest.approx(0.01)


def test_a_majority_that_disagrees_hears_the_rest() -> None:
    shard = Shard(FakeReplica(7), FakeReplica(9), FakeReplica(8, delay_s=3))
    assert shard.count(Consistency.MAJORITY) == 8
    assert shard.seconds == pytest.approx(3)


def test_a_majority_goes_on_without_a_replica_that_fails() -> None:
    shard = Shard(FakeReplica(7), FakeReplica(error=UNAVAILABLE), FakeReplica(8, delay_s=1))
    assert shard.count(Consistency.MAJORITY) == 7


@pytest.mark.parametrize("replicas", [1, 3])
def test_every_read_beyond_factor_one_is_strong_also_where_there_is_one_replica(replicas: int) -> None:
    shard = Shard(*(FakeReplica() for _ in range(replicas)))
    shard.count()
    for consistency in (2, *Consistency):
        shard.count(consistency)
    assert [session.strong for session in shard.replicas[1].sessions] == [False, True, True, True, True]


def record(point: int, version: int) -> Record:
    return Record(point, version, payload=str(version).encode())


def read(shard: Shard, consistency: ReadConsistency, of: Callable[[ShardReads], Awaitable[T]]) -> T:
    async def run() -> T:
        return await of(
            ShardReads(shard.reads, shard.plan(consistency), shard.replicas, ascending=lambda _: False)
        )

    return run_virtually(run())


def retrieve(shard: Shard, consistency: ReadConsistency, *ids: int) -> list[Record]:
    return read(shard, consistency, lambda reads: reads.retrieve(list(ids), Projection(payload=True)))


def test_a_replica_that_is_behind_is_asked_again_until_it_has_caught_up() -> None:
    ahead = FakeReplica(records=[record(1, 7)], seqs=[7])
    behind = FakeReplica(records=[record(1, 6)], seqs=[6, 8])
    shard = Shard(ahead, behind)

    async def catch_up() -> list[Record]:
        reads = ShardReads(shard.reads, shard.plan(2), shard.replicas, ascending=lambda _: False)
        task = asyncio.create_task(reads.retrieve([1], Projection(payload=True)))
        await asyncio.sleep(0.005)
        behind.records = [record(1, 7)]
        return await task

    assert [found.payload for found in run_virtually(catch_up())] == [b"7"]
    assert [session.at_least for session in behind.sessions] == [None, Position(1, 7)]
    assert ahead.asked == 1


def test_asking_again_has_an_end_and_a_point_being_overwritten_stays() -> None:
    shard = Shard(
        FakeReplica(records=[record(1, 7)], seqs=[7]), FakeReplica(records=[record(1, 6)], seqs=[6])
    )
    assert [found.payload for found in retrieve(shard, 2, 1)] == [b"6"]
    assert shard.asked() == [1, 1 + ROUNDS_MAX]


def test_a_replica_that_fails_when_asked_again_keeps_its_first_answer() -> None:
    behind = FakeReplica(records=[record(1, 6)], seqs=[6])
    shard = Shard(FakeReplica(records=[record(1, 7)], seqs=[7]), behind)

    async def fail_later() -> list[Record]:
        reads = ShardReads(shard.reads, shard.plan(2), shard.replicas, ascending=lambda _: False)
        task = asyncio.create_task(reads.retrieve([1], Projection(payload=True)))
        await asyncio.sleep(0.011)
        behind.error = UNAVAILABLE
        return await task

    assert [found.payload for found in run_virtually(fail_later())] == [b"6"]


def test_every_read_is_resolved_by_its_own_order() -> None:
    records = [record(3, 0), record(1, 0), record(2, 0)]
    shard = Shard(FakeReplica(records=records), FakeReplica(records=[records[0], records[2]]))
    assert [found.id for found in retrieve(shard, 2, 2, 1, 3)] == [2, 3]
    hits = read(shard, 2, lambda reads: reads.search([SearchRequest("", np.ones(1, np.float32), 3)] * 2))
    assert [[found.id for found in part.records] for part in hits] == [[2], [2]]  # 3 scores differently
    page = read(shard, 2, lambda reads: reads.scroll(ScrollRequest(limit=3)))
    assert [found.id for found in page] == [2, 3]
    assert read(shard, 2, lambda reads: reads.count(None, exact=True)) == 0


@pytest.mark.parametrize(
    ("request_", "order"),
    [
        (ScrollRequest(limit=2, order_by=OrderBy("n", Direction.DESC)), [1, 3]),
        (ScrollRequest(limit=2, sample_seed=4), [2, 3]),
    ],
)
def test_pages_keep_their_order(request_: ScrollRequest, order: list[int]) -> None:
    records = [Record(1, 0, order_value=9), Record(2, 0, order_value=1), Record(3, 0, order_value=5)]
    shard = Shard(FakeReplica(records=records), FakeReplica(records=records))
    assert [found.id for found in read(shard, 2, lambda reads: reads.scroll(request_))] == order


def test_a_shard_client_alone_is_a_replica_without_positions() -> None:
    shard = FakeReplica(5)
    assert Plain(shard).open(ReadSession()) is shard


def test_a_loop_of_asking_again_and_resolving_by_hand() -> None:
    """What the shell hands to a resolution: the answers so far, and whether it must settle."""
    shard = Shard(FakeReplica(1, seqs=[1]), FakeReplica(2, seqs=[2]))
    flags: list[bool] = []

    def resolve(answers: Any, final: bool) -> Resolved[int] | AskAgain:
        flags.append(final)
        assert [type(answer) for answer in answers] == [Answer, Answer]
        return Resolved(3) if final else AskAgain((1,), Position(1, 2))

    async def run() -> int:
        return await shard.reads.read(shard.plan(2), shard.replicas, _count, resolve)

    assert run_virtually(run()) == 3
    assert flags == [False] * ROUNDS_MAX + [True]


# --- hedging -----------------------------------------------------------------------------------------


def _spent() -> Hedging:
    hedging = Hedging()
    while hedging.spend():
        pass
    return hedging


def test_the_delay_follows_what_was_seen() -> None:
    hedging = Hedging()
    assert hedging.delay_ms(None) == DELAY_MS_FIRST
    for number in range(max(SAMPLES_MIN, 100)):
        hedging.answered(20 + number)
    assert 110 < hedging.delay_ms(None) < 120
    assert hedging.delay_ms(7) == 7


def test_extra_requests_are_a_share_of_reads() -> None:
    hedging = _spent()
    for _ in range(25):
        hedging.earn()
    assert [hedging.spend() for _ in range(3)] == [True, True, False]


def test_without_budget_a_slow_replica_is_waited_for() -> None:
    shard = Shard(FakeReplica(7, delay_s=5), FakeReplica(8))
    shard.reads.hedging = _spent()
    assert shard.count() == 7
    assert shard.asked() == [1, 0]
