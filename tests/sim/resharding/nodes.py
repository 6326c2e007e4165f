"""A node: it hears of the agreement in order, and late, and does what it owes the shards that it leads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from consensus.ownership import moves_from
from consensus.state import ClusterState, CollectionState, Move
from node.moving.duties import duties
from node.replica.ownership import encode_ownership
from protos.operations import DeletePoints, SetOwnership
from tests.sim.resharding.session import Session
from tests.sim.resharding.shard import Request

if TYPE_CHECKING:
    from tests.sim.resharding.world import World

NODES = (1, 2, 3)


class Node:
    def __init__(self, world: World, number: int) -> None:
        self.world, self.number = world, number
        self.state = ClusterState()
        self.deaf_until = 0.0
        self.cut_until = 0.0  # what it asks of shards may be done, and it does not hear of it
        self.lives = 0
        self.moving: dict[Any, asyncio.Task[None]] = {}  # sessions of moves from the shards that it leads

    @property
    def collection(self) -> CollectionState:
        return self.state.collections["c"]

    async def hear(self) -> None:
        """What was agreed on, one after another; each primary begins when it hears of its term."""
        heard = 0
        while True:
            if heard < len(self.world.states) and self.world.now >= self.deaf_until:
                self.state = self.world.states[heard]
                heard += 1
                for shard_id, agreed in self.collection.shards.items():
                    shard = self.world.shards[shard_id]
                    if agreed.primary == self.number and agreed.term > shard.term:
                        kept = self.world.rng.randint(shard.committed, len(shard.log))
                        self.world.counts["operations cut"] += len(shard.log) - kept
                        shard.begin_term(agreed.term, self.number, kept)
            else:
                await asyncio.sleep(self.world.rng.uniform(0.001, 0.03))

    async def keep(self) -> None:
        while True:
            await asyncio.sleep(self.world.rng.uniform(0.02, 0.1))
            collection = self.state.collections.get("c")
            if collection is None or self.world.now < self.deaf_until:
                continue
            for shard_id, agreed in collection.shards.items():
                if agreed.primary == self.number and collection.buckets_step:
                    await self.world.tried(self._keep_shard(collection, shard_id, agreed.term))
                    for move in moves_from(collection, shard_id):
                        self._see_to(collection, move, agreed.term)

    async def _keep_shard(self, collection: CollectionState, shard_id: int, term: int) -> None:
        shard = self.world.shards[shard_id]
        if (shard.leader, shard.term) != (self.number, term):
            return
        wanted = self.world.variant.owned(collection, shard_id)
        if wanted is not None and wanted.step > shard.state.buckets.step:
            request = Request(operation=SetOwnership(encode_ownership(wanted)))
            await shard.write(self.number, term, request)
        due = duties(collection, shard_id, shard.settled.buckets)
        if due.release is not None:
            await self.world.propose(self.number, due.release)
        if due.clean is not None and due.cleaned is not None:
            while found := shard.settled.matching(due.clean)[:3]:
                await shard.write(self.number, term, Request(DeletePoints(ids=found), cleans=True))
            await self.world.propose(self.number, due.cleaned)

    def _see_to(self, collection: CollectionState, move: Move, term: int) -> None:
        assert collection.resharding is not None
        key = (collection.resharding.uuid, move.source, move.target, term)
        running = self.moving.get(key)
        if running is None or running.done():
            operation = collection.resharding.uuid
            call = self.world.tried(Session(self.world, self, operation, move, term).run())
            self.moving[key] = asyncio.create_task(call)
