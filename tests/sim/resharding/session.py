"""One session of a move: the ports of ``node.moving.move.BucketMove`` over the modelled shards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from consensus.buckets import all_in
from consensus.commands import BeginMove, Command, LowerFence, MoveReady, MoveWhole
from consensus.ownership import moves_from
from consensus.state import Move
from node.moving.move import Changes, LogGone, Page, Stage
from node.replica.ownership import answers_for
from protos.errors import ServiceError, ShardUnavailable, Timeout
from protos.filters import Filter, InBuckets
from protos.ids import PointId, id_key
from protos.operations import PutPoints, RemovePoints
from protos.shard import Intake, Record
from tests.sim.resharding.shard import State, intake_request

if TYPE_CHECKING:
    from tests.sim.resharding.nodes import Node
    from tests.sim.resharding.world import World

T = TypeVar("T")


class Session:
    def __init__(self, world: World, node: Node, operation: str, move: Move, term: int) -> None:
        self._world, self._node, self._operation, self._move, self._term = world, node, operation, move, term
        self._shard = world.shards[move.source]
        node.lives += 1
        self._session = (term, node.lives)

    async def run(self) -> None:
        if (self._shard.leader, self._shard.term) != (self._node.number, self._term):
            raise ShardUnavailable("not led here yet")
        await self._world.propose(self._node.number, BeginMove(*self._ends, self._session))
        move = self._world.variant.move(
            self, self, self, self, shard_id=self._move.source, session=self._session
        )
        self._world.counts["sessions"] += 1
        await move.run()

    @property
    def _ends(self) -> tuple[str, str, str, int, int]:
        return "c", "u", self._operation, self._move.source, self._move.target

    # --- ``move.Source`` ----------------------------------------------------------------------------------

    async def _committed(self) -> tuple[int, State]:
        self._check_led()
        seq, state = len(self._shard.log), self._shard.state
        if not self._world.variant.rules.copies_uncommitted:
            await self._shard.until_committed(seq, self._term)
        self._check_led()
        return seq, state

    def _check_led(self) -> None:
        agreed = self._node.collection.shards.get(self._move.source)
        if agreed is None or (agreed.primary, agreed.term) != (self._node.number, self._term):
            raise ShardUnavailable("led anew")

    async def position(self) -> int:
        return (await self._committed())[0]

    async def operations(self) -> list[bytes]:
        return list((await self._committed())[1].known)

    async def count(self) -> int:
        return 0

    def _own(self, ids: Sequence[PointId]) -> list[PointId]:
        return [point_id for point_id in ids if all_in((id_key(point_id),), self._move.buckets)]

    async def page(self, start: PointId | None, limit: int) -> Page:
        _, state = await self._committed()
        await self._world.way()
        ids = sorted(self._own(list(state.points)), key=id_key)
        ids = [point_id for point_id in ids if start is None or id_key(point_id) >= id_key(start)]
        size = min(limit, self._world.rng.randint(1, 8))
        records = [_record(point_id, state) for point_id in ids[:size]]
        return Page(records, ids[size] if len(ids) > size else None)

    async def changes(self, after: int) -> Changes:
        upto, state = await self._committed()
        if self._world.chance(0.01):
            raise LogGone
        ids: dict[PointId, None] = {}
        known: list[bytes] = []
        for logged in self._shard.log[after:upto]:
            if isinstance(logged.operation, PutPoints | RemovePoints):
                ids.update(dict.fromkeys(logged.operation.ids))
            known += [logged.operation_id] if logged.operation_id else []
        own, answers = self._own(list(ids)), answers_for(state.buckets, self._move.buckets)
        return Changes(upto, own, known, state.buckets.step, answers)

    async def records(self, ids: Sequence[PointId]) -> list[Record]:
        _, state = await self._committed()
        return [_record(point_id, state) for point_id in ids if point_id in state.points]

    async def more(self, after: int) -> None:
        await asyncio.sleep(self._world.rng.uniform(0.01, 0.1))

    # --- ``move.Target`` ----------------------------------------------------------------------------------

    async def take(self, intake: Intake) -> None:
        await self._patiently(
            partial(self._world.write, self._node.number, self._move.target, intake_request(intake))
        )

    async def held(self, limit: int) -> list[PointId]:
        async def ask() -> list[PointId]:
            await self._world.way()
            shard = self._world.shards[self._move.target]
            if self._world.believed(self._node.number, self._move.target) != (shard.leader, shard.term):
                raise ShardUnavailable("no lease")
            return shard.settled.matching(Filter(must=(InBuckets(self._move.buckets),)))[:limit]

        return await self._patiently(ask)

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        end = self._world.now + 5
        while True:
            self._check_led()
            try:
                return await call()
            except (ShardUnavailable, Timeout, TimeoutError, ServiceError):
                if self._world.now > end:
                    raise
            await asyncio.sleep(0.05)

    # --- ``move.Claims`` and ``move.Report`` ---------------------------------------------------------------

    def stage(self) -> Stage | None:
        collection = self._node.collection
        resharding = collection.resharding
        if resharding is None or resharding.uuid != self._operation:
            return None
        for move in moves_from(collection, self._move.source):
            if move.target == self._move.target and move.session == self._session:
                return Stage(resharding.stage, collection.buckets_step, move.ready, move.whole)
        return None

    async def ready(self) -> None:
        await self._claim(MoveReady(*self._ends, self._session))

    async def whole(self, step: int) -> None:
        await self._claim(MoveWhole(*self._ends, self._session, step))

    async def lower(self, step: int) -> None:
        await self._claim(LowerFence(*self._ends[:3], step))

    async def _claim(self, command: Command) -> None:
        await self._world.tried(self._world.propose(self._node.number, command))

    def expect(self, total: int) -> None:
        pass

    def advance(self, done: int) -> None:
        pass


def _record(point_id: PointId, state: State) -> Record:
    return Record(point_id, 0, b'{"v":%d}' % state.points[point_id], {})
