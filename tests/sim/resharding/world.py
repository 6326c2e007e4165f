"""The world around the shards, on virtual time: the agreement, lost calls, faults, an operator."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from consensus.buckets import shard_of
from consensus.commands import (
    AbortResharding,
    AddCollection,
    Command,
    PlacedShard,
    PromotePrimary,
    RegisterPeer,
    StartResharding,
    shard_ref,
)
from consensus.invariants import check_invariants, check_step
from consensus.ownership import ownership_of
from consensus.replica_sets import is_resharded
from consensus.state import ClusterState, CollectionState, Peer, founding_state
from consensus.transitions import apply, rejection
from node.moving.move import BucketMove, LogGone
from protos.collections import CollectionConfig, CollectionParams, Distance, VectorParams
from protos.errors import ShardUnavailable, Timeout, VecraftError
from protos.ids import PointId, id_key
from router.shards import owning_shards
from tests.router.virtual_time import VirtualLoop
from tests.sim.resharding.clients import STEADY, Clients
from tests.sim.resharding.nodes import NODES, Node
from tests.sim.resharding.shard import Request, Rules, SimShard
from tests_cluster.linearizability import check

RUN_S = 40.0
CALL_S = 0.02  # a call's way, at most, mostly

Next = Callable[[ClusterState, Command], tuple[ClusterState, Any]]


@dataclass(frozen=True)
class Variant:
    """Rules that may be left out."""

    rules: Rules = field(default_factory=Rules)
    next_state: Next = apply
    move: type[BucketMove] = BucketMove
    owned: Callable[[CollectionState, int], Any] = ownership_of
    retried_as_new: bool = False  # the parts of a write whose points have moved


class World:
    """``run`` raises AssertionError if anything did not hold."""

    def __init__(self, seed: int, variant: Variant | None = None) -> None:
        self.seed, self.variant = seed, variant or Variant()
        self.rng = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.agreed = self._founded()
        self.states = [self.agreed]  # all there were
        self.nodes = {number: Node(self, number) for number in NODES}
        self.shards: dict[int, SimShard] = {}
        self.clients = Clients(self)
        self._tasks: set[asyncio.Task[None]] = set()
        self.over = False
        self.failure: BaseException | None = None

    def _founded(self) -> ClusterState:
        state = founding_state(Peer(1, "http://1:6335"))
        params = CollectionParams({"": VectorParams(4, Distance.DOT)}, 2)
        placed = tuple(PlacedShard(number, NODES[number:] + NODES[:number]) for number in range(2))
        commands: list[Command] = [RegisterPeer(peer, f"http://{peer}:6335") for peer in NODES[1:]]
        for command in (*commands, AddCollection("c", "u", CollectionConfig(params), placed, 0)):
            state, events = apply(state, command)
            assert rejection(events) is None
        return state

    @property
    def collection(self) -> CollectionState:
        return self.agreed.collections["c"]

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def run(self) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(self._run())

    async def _run(self) -> None:
        self._follow_agreement()
        for node in self.nodes.values():
            self._begin(node.hear())
            self._begin(node.keep())
        await self.clients.fill()
        for client in range(8):
            self._begin(self.clients.client(client))
        self._begin(self.clients.looks())
        self._begin(self._faults())
        self._begin(self._operator())
        await asyncio.sleep(RUN_S)
        self.over = True
        await self._calm()
        self._check_end()
        tasks = [*self._tasks, *(task for node in self.nodes.values() for task in node.moving.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, call: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(call)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a task failed", "exception": task.exception()}
            )
            self.failure = self.failure or task.exception()

    # --- agreement --------------------------------------------------------------------------------------

    async def propose(self, node: int, command: Command) -> None:
        """Raises: Timeout: it may have been agreed on; what it was refused with."""
        await self.way()
        if self.chance(0.03):
            if self.chance(0.5):
                self._begin(self._agree_late(command))
            raise Timeout("no answer")
        refused = self._agree(command)
        if refused is not None:
            raise refused
        heard = self.agreed.version
        while self.nodes[node].state.version < heard:  # noqa: ASYNC110 - time is virtual
            await asyncio.sleep(0.005)

    async def _agree_late(self, command: Command) -> None:
        await asyncio.sleep(self.rng.uniform(0, 4))
        self._agree(command)

    def _agree(self, command: Command) -> VecraftError | None:
        after, events = self.variant.next_state(self.agreed, command)
        check_step(self.agreed, after)
        check_invariants(after)
        refused = rejection(events)
        if after is not self.agreed:
            self.agreed = after
            self.states.append(after)
            self._follow_agreement()
        self.counts[f"{type(command).__name__}{' refused' if refused else ''}"] += 1
        return None if refused is None else refused.error

    def _follow_agreement(self) -> None:
        for shard_id, shard in self.collection.shards.items():
            if shard_id not in self.shards:
                self.shards[shard_id] = SimShard(shard_id, shard.primary, self.variant.rules)
                self._begin(self._commits(self.shards[shard_id]))

    # --- shards -----------------------------------------------------------------------------------------

    async def _commits(self, shard: SimShard) -> None:
        while True:
            slow = self.rng.choice([0.005, 0.005, 0.1])
            await asyncio.sleep(self.rng.expovariate(1 / slow))
            if self.now >= self.nodes[shard.leader].deaf_until or self.chance(0.2):
                shard.commit()

    def believed(self, node: int, shard_id: int) -> tuple[int, int]:
        """(primary, term), as a node knows it. Raises: ShardUnavailable."""
        shard = self.nodes[node].collection.shards.get(shard_id)
        if shard is None:
            raise ShardUnavailable("no such shard")
        return shard.primary, shard.term

    async def write(self, node: int, shard_id: int, request: Request) -> int:
        """From one node to whom it believes to lead. Raises: as a call does."""
        await self.way()
        primary, term = self.believed(node, shard_id)
        if self.now < self.nodes[node].cut_until:
            if self.chance(0.5):
                self._begin(self._late(self.shards[shard_id], primary, term, request))
            raise Timeout("cut off")
        call = self.shards[shard_id].write(primary, term, request)
        if self.chance(0.02):
            call.close()
            raise ShardUnavailable("not sent")
        if self.chance(0.03):  # given up by the caller, carried out all the same
            self._begin(self._late(self.shards[shard_id], primary, term, request))
            call.close()
            raise Timeout("no answer")
        async with asyncio.timeout(3.0):
            seq = await call
        if self.chance(0.06):
            raise Timeout("carried out, and the answer is lost")
        await self.way()
        return seq

    async def _late(self, shard: SimShard, primary: int, term: int, request: Request) -> None:
        await asyncio.sleep(self.rng.choice([0.0, 0.05, 0.5, 3.0]))
        try:
            await shard.write(primary, term, request)
            self.counts["late writes"] += 1
        except VecraftError:
            pass

    async def tried(self, call: Awaitable[Any]) -> None:
        try:
            await call
        except (VecraftError, LogGone, TimeoutError) as error:
            self.counts[f"{type(error).__name__} at work"] += 1

    # --- faults and the operator --------------------------------------------------------------------------

    async def _faults(self) -> None:
        while not self.over:
            await asyncio.sleep(self.rng.expovariate(1 / 0.7))
            if self.over:
                return
            node = self.nodes[self.rng.choice(NODES)]
            if self.chance(0.2):
                node.cut_until = self.now + self.rng.choice([0.3, 1.0, 3.0])
                self.counts["cut nodes"] += 1
            elif self.chance(0.5):
                node.deaf_until = self.now + self.rng.choice([0.1, 0.3, 1.0, 4.0])
                self.counts["deaf nodes"] += 1
            else:
                shard = self.rng.choice(list(self.collection.shards.values()))
                heir = self.rng.choice(NODES)
                self._agree(PromotePrimary(shard_ref(self.collection, shard), heir))

    async def _operator(self) -> None:
        number = 0
        while not self.over:
            await asyncio.sleep(self.rng.uniform(0.1, 1.5))
            if self.over:
                return
            running = self.collection.resharding
            if running is not None:
                if self.chance(0.04):
                    self._agree(AbortResharding("c", "u", running.uuid))
                continue
            number += 1
            up = len(self.collection.groups[0].shards) < self.rng.randint(2, 4)
            peers = tuple(self.rng.sample(NODES, 3))
            command = StartResharding(
                "c", "u", f"r{number}", "up" if up else "down", peers[0], peers if up else ()
            )
            self._agree(command)

    async def _calm(self) -> None:
        """Nothing fails any more: what was begun comes to its end."""
        self.rng.random = lambda: 0.999  # type: ignore[method-assign]  # no chance befalls
        for node in self.nodes.values():
            node.deaf_until = node.cut_until = 0.0
        end = self.now + 120
        while is_resharded(self.collection) or not self._settled():
            assert self.now < end, f"not finished: {self.collection.resharding}"
            await asyncio.sleep(0.2)
        await asyncio.sleep(5)

    def _settled(self) -> bool:
        """Has every shard heard of the end, and given up what is no longer its own?"""
        owned = [self.shards[shard_id].settled.buckets.owned for shard_id in owning_shards(self.collection)]
        return all(one is None or (one.settled and not one.strangers) for one in owned)

    def _check_end(self) -> None:
        if self.failure is not None:
            raise self.failure
        self.counts["repeats elsewhere"] = sum(shard.repeats for shard in self.shards.values())
        seen: Counter[PointId] = Counter()
        for shard_id in owning_shards(self.collection):
            state = self.shards[shard_id].settled
            seen.update(state.points.keys())
            for point_id in state.points:
                at = shard_of(self.collection, id_key(point_id))
                assert at == shard_id, f"point {point_id} of shard {at} is left in shard {shard_id}"
        assert self._settled()
        assert all(times == 1 for times in seen.values())
        assert all(point_id in seen for point_id in STEADY), "a point is lost"
        for counterexample in check(self.clients.history):
            raise AssertionError(str(counterexample))

    # --- chance -----------------------------------------------------------------------------------------

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    async def way(self, long: float = 0.03) -> None:
        slow = self.chance(long)
        await asyncio.sleep(self.rng.uniform(0, 1.0 if slow else CALL_S))
