"""Clients, each by a router that goes by what its node has heard, and what they saw.

Points of ``KEYS`` are written and read, and the history is to be linearizable; those of ``STEADY`` nobody
changes, and every look at everything must see each of them once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from consensus.buckets import shard_of
from consensus.state import CollectionState
from protos.errors import PointsMoved, ShardUnavailable, Timeout, VecraftError
from protos.filters import Filter, HasId
from protos.ids import PointId, id_key
from protos.operations import DeletePoints, PointChange, Upsert
from router.shards import moved_parts, owning_shards, split_change
from tests.sim.resharding.nodes import NODES
from tests.sim.resharding.shard import Request
from tests_cluster.linearizability import Kind, Operation, Outcome

if TYPE_CHECKING:
    from tests.sim.resharding.world import World

T = TypeVar("T")

KEYS = range(1, 11)
STEADY = range(1001, 1061)
REQUEST_S = 6.0


class Clients:
    def __init__(self, world: World) -> None:
        self._world = world
        self.history: list[Operation] = []
        self._written = 0

    async def fill(self) -> None:
        for point_id in STEADY:
            change = _put(point_id, 1)
            (shard_id,) = split_change(self._world.collection, change, None)
            shard = self._world.shards[shard_id]
            await shard.write(shard.leader, shard.term, Request(change))
        while any(node.state.version < self._world.agreed.version for node in self._world.nodes.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def client(self, client: int) -> None:
        while not self._world.over:
            await asyncio.sleep(self._world.rng.expovariate(1 / 0.05))
            key = self._world.rng.choice(KEYS)
            node = self._world.rng.choice(NODES)
            kind = self._world.rng.choice([Kind.PUT, Kind.PUT, Kind.DELETE, Kind.READ, Kind.READ])
            if kind is Kind.READ:
                await self._read(client, node, key)
            else:
                await self._write(client, node, key, kind)

    async def _write(self, client: int, node: int, key: int, kind: Kind) -> None:
        self._written += 1
        value = self._written if kind is Kind.PUT else None
        change: PointChange
        if kind is Kind.PUT:
            change = _put(key, self._written)
        elif self._world.chance(0.5):
            change = DeletePoints(ids=[key])
        else:
            change = DeletePoints(filter=Filter(must=(HasId((key,)),)))
        called = self._world.now
        outcome = Outcome.OK
        try:
            state = self._world.nodes[node].collection
            parts = split_change(state, change, None)
            await asyncio.gather(
                *(self._deliver(node, state, shard_id, part) for shard_id, part in parts.items())
            )
        except (VecraftError, TimeoutError):
            outcome = Outcome.UNKNOWN
        self._record(kind, key, value, called, outcome, client)

    async def _deliver(self, node: int, state: CollectionState, shard_id: int, part: PointChange) -> None:
        """As ``router.points`` does."""
        end = self._world.now + REQUEST_S
        due = [(state, shard_id, Request(part, operation_id=self._world.rng.randbytes(16)))]
        while due:
            then, shard, request = due.pop()
            try:
                await self._repeat(node, then, shard, request, end)
            except PointsMoved:
                await asyncio.sleep(0.05)
                now = self._world.nodes[node].collection
                due += [(now, at, piece) for at, piece in self._parted(then, now, shard, request)]
                self._world.counts["writes moved"] += 1
                if self._world.now > end:
                    raise Timeout("on its way for too long") from None

    def _parted(
        self, then: CollectionState, now: CollectionState, shard: int, request: Request
    ) -> list[tuple[int, Request]]:
        assert request.change is not None
        parts = moved_parts(then, now, shard, request.change)
        if parts.keys() == {shard} and not self._world.variant.retried_as_new:
            return [(shard, replace(request, change=parts[shard]))]
        former = () if self._world.variant.retried_as_new else (*request.former_ids, request.operation_id)
        return [
            (at, replace(request, change=part, operation_id=self._world.rng.randbytes(16), former_ids=former))
            for at, part in parts.items()
        ]

    async def _repeat(
        self, node: int, state: CollectionState, shard: int, request: Request, end: float
    ) -> None:
        """As ``router.primaries`` does."""
        request = replace(request, answers_since=state.shards[shard].answers_since)
        while True:
            if shard not in self._world.nodes[node].collection.shards:
                raise PointsMoved("the shard is gone")
            try:
                await self._world.write(node, shard, request)
            except PointsMoved:
                raise
            except (ShardUnavailable, Timeout, TimeoutError):
                if self._world.now > end:
                    raise
                await asyncio.sleep(self._world.rng.uniform(0.01, 0.2))
            else:
                return

    async def _read(self, client: int, node: int, key: int) -> None:
        called = self._world.now
        try:
            value = await self._anew_if_moved(partial(self._read_one, node, key))
        except (VecraftError, TimeoutError):
            return
        self._record(Kind.READ, key, value, called, Outcome.OK, client)

    async def _read_one(self, node: int, key: int) -> int | None:
        state = self._world.nodes[node].collection
        shard_id = shard_of(state, id_key(key))
        return (await self._ask(node, state, shard_id)).get(key)

    async def looks(self) -> None:
        """At everything: each point that nobody changes is there, once."""
        while not self._world.over:
            await asyncio.sleep(self._world.rng.expovariate(1 / 0.1))
            node = self._world.rng.choice(NODES)
            try:
                found = await self._anew_if_moved(partial(self._look, node))
            except (VecraftError, TimeoutError):
                self._world.counts["looks without an answer"] += 1
                continue
            self._world.counts["looks"] += 1
            twice = [point_id for point_id, times in found.items() if times > 1]
            assert not twice, f"seen twice: {twice}"
            missed = [point_id for point_id in STEADY if point_id not in found]
            assert not missed, f"not seen: {missed}"

    async def _look(self, node: int) -> Counter[PointId]:
        state = self._world.nodes[node].collection
        asked = [self._ask(node, state, shard_id) for shard_id in owning_shards(state)]
        found: Counter[PointId] = Counter()
        for answer in await asyncio.gather(*asked):
            found.update(answer.keys())
        return found

    async def _ask(self, node: int, state: CollectionState, shard_id: int) -> dict[PointId, int]:
        await self._world.way(long=0.1)
        if shard_id not in self._world.nodes[node].collection.shards:
            raise PointsMoved("the shard is gone")
        primary, term = self._world.believed(node, shard_id)
        found = self._world.shards[shard_id].read(primary, term, state.shards[shard_id].answers_since)
        await self._world.way()
        return found

    async def _anew_if_moved(self, read: Callable[[], Awaitable[T]]) -> T:
        """As ``router.queries.operations`` does."""
        end = self._world.now + REQUEST_S
        while True:
            try:
                return await read()
            except PointsMoved:
                self._world.counts["reads moved"] += 1
                if self._world.now > end:
                    raise
            await asyncio.sleep(0.05)

    def _record(
        self, kind: Kind, key: int, value: int | None, called: float, outcome: Outcome, client: int
    ) -> None:
        times = int(called * 1e9), int(self._world.now * 1e9)
        self.history.append(Operation(kind, key, value, *times, outcome, client))
        self._world.counts[f"{kind.value} {outcome.value}"] += 1


def _put(point_id: PointId, value: int) -> Upsert:
    return Upsert([point_id], (), [b'{"v":%d}' % value])
