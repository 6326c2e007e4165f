"""Nodes, routers, clients and faults around the shards, on virtual time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from consensus.buckets import all_in, shard_of
from consensus.commands import (
    AbortResharding,
    AddCollection,
    BeginMove,
    Command,
    LowerFence,
    MoveReady,
    MoveWhole,
    PlacedShard,
    PromotePrimary,
    RegisterPeer,
    StartResharding,
    shard_ref,
)
from consensus.invariants import check_invariants, check_step
from consensus.ownership import moves_from, ownership_of
from consensus.replica_sets import is_resharded
from consensus.state import ClusterState, CollectionState, Move, Peer, founding_state
from consensus.transitions import apply, rejection
from node.moving.duties import duties
from node.moving.move import BucketMove, Changes, LogGone, Page, Stage
from node.replica.ownership import answers_for, encode_ownership
from protos.collections import CollectionConfig, CollectionParams, Distance, VectorParams
from protos.errors import (
    PointsMoved,
    ServiceError,
    ShardUnavailable,
    Timeout,
    VecraftError,
)
from protos.filters import Filter, HasId, InBuckets
from protos.ids import PointId, id_key
from protos.operations import (
    DeletePoints,
    PointChange,
    PutPoints,
    RemovePoints,
    SetOwnership,
    Upsert,
)
from protos.shard import Intake, Record
from router.shards import moved_parts, owning_shards, split_change
from tests.router.virtual_time import VirtualLoop
from tests.sim.resharding.shard import Request, Rules, SimShard, State, intake_request
from tests_cluster.linearizability import Kind, Operation, Outcome, check

T = TypeVar("T")

NODES = (1, 2, 3)
KEYS = range(1, 11)  # written by clients
STEADY = range(1001, 1061)  # written once, before: every look at everything must see each of them once
RUN_S = 40.0
CALL_S = 0.02  # a call's way, at most, mostly
REQUEST_S = 6.0

Session = tuple[int, int]
Next = Callable[[ClusterState, Command], tuple[ClusterState, Any]]


@dataclass(frozen=True)
class Variant:
    """Rules that may be left out."""

    rules: Rules = field(default_factory=Rules)
    next_state: Next = apply
    move: type[BucketMove] = BucketMove
    owned: Callable[[CollectionState, int], Any] = ownership_of
    retried_as_new: bool = False  # the parts of a write whose points have moved


class Node:
    """A node hears of the agreement in order, and late."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.state = ClusterState()
        self.deaf_until = 0.0
        self.cut_until = 0.0  # what it asks of shards may be done, and it does not hear of it
        self.lives = 0


class World:
    """``run`` raises AssertionError if anything did not hold."""

    def __init__(self, seed: int, variant: Variant | None = None) -> None:
        self.seed, self.variant = seed, variant or Variant()
        self.rng = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.agreed = self._founded()
        self.states = [self.agreed]  # all there were
        self.nodes = {number: Node(number) for number in NODES}
        self.shards: dict[int, SimShard] = {}
        self.history: list[Operation] = []
        self._written = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._moving: dict[Any, asyncio.Task[None]] = {}
        self._over = False

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
            self._begin(self._hear(node))
            self._begin(self._keep(node))
        await self._fill()
        for client in range(8):
            self._begin(self._client(client))
        self._begin(self._looks())
        self._begin(self._faults())
        self._begin(self._operator())
        await asyncio.sleep(RUN_S)
        self._over = True
        await self._calm()
        self._check_end()
        for task in (*self._tasks, *self._moving.values()):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._moving.values(), return_exceptions=True)

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

    failure: BaseException | None = None

    # --- agreement --------------------------------------------------------------------------------------

    async def propose(self, node: int, command: Command) -> None:
        """Raises: Timeout: it may have been agreed on; what it was refused with."""
        await self._way()
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

    async def _hear(self, node: Node) -> None:
        """What was agreed on, one after another; each primary begins when it hears of its term."""
        heard = 0
        while True:
            if heard < len(self.states) and self.now >= node.deaf_until:
                node.state = self.states[heard]
                heard += 1
                for shard_id, agreed in node.state.collections["c"].shards.items():
                    shard = self.shards[shard_id]
                    if agreed.primary == node.number and agreed.term > shard.term:
                        kept = self.rng.randint(shard.committed, len(shard.log))
                        self.counts["operations cut"] += len(shard.log) - kept
                        shard.begin_term(agreed.term, node.number, kept)
            else:
                await asyncio.sleep(self.rng.uniform(0.001, 0.03))

    # --- shards -----------------------------------------------------------------------------------------

    async def _commits(self, shard: SimShard) -> None:
        while True:
            slow = self.rng.choice([0.005, 0.005, 0.1])
            await asyncio.sleep(self.rng.expovariate(1 / slow))
            if self.now >= self.nodes[shard.leader].deaf_until or self.chance(0.2):
                shard.commit()

    def believed(self, node: int, shard_id: int) -> tuple[int, int]:
        """(primary, term), as a node knows it. Raises: ShardUnavailable."""
        shard = self.nodes[node].state.collections["c"].shards.get(shard_id)
        if shard is None:
            raise ShardUnavailable("no such shard")
        return shard.primary, shard.term

    async def write(self, node: int, shard_id: int, request: Request) -> int:
        """From one node to whom it believes to lead. Raises: as a call does."""
        await self._way()
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
        await self._way()
        return seq

    async def _late(self, shard: SimShard, primary: int, term: int, request: Request) -> None:
        await asyncio.sleep(self.rng.choice([0.0, 0.05, 0.5, 3.0]))
        try:
            await shard.write(primary, term, request)
            self.counts["late writes"] += 1
        except VecraftError:
            pass

    # --- what nodes owe -----------------------------------------------------------------------------------

    async def _keep(self, node: Node) -> None:
        while True:
            await asyncio.sleep(self.rng.uniform(0.02, 0.1))
            collection = node.state.collections.get("c")
            if collection is None or self.now < node.deaf_until:
                continue
            for shard_id, agreed in collection.shards.items():
                if agreed.primary == node.number and collection.buckets_step:
                    await self._tried(self._keep_shard(node, collection, shard_id, agreed.term))
                    for move in moves_from(collection, shard_id):
                        self._see_to(node, collection, move, agreed.term)

    async def _keep_shard(self, node: Node, collection: CollectionState, shard_id: int, term: int) -> None:
        shard = self.shards[shard_id]
        if (shard.leader, shard.term) != (node.number, term):
            return
        wanted = self.variant.owned(collection, shard_id)
        if wanted is not None and wanted.step > shard.state.buckets.step:
            request = Request(operation=SetOwnership(encode_ownership(wanted)))
            await shard.write(node.number, term, request)
        due = duties(collection, shard_id, shard.settled.buckets)
        if due.release is not None:
            await self.propose(node.number, due.release)
        if due.clean is not None and due.cleaned is not None:
            while found := shard.settled.matching(due.clean)[:3]:
                await shard.write(node.number, term, Request(DeletePoints(ids=found), cleans=True))
            await self.propose(node.number, due.cleaned)

    def _see_to(self, node: Node, collection: CollectionState, move: Move, term: int) -> None:
        assert collection.resharding is not None
        key = (collection.resharding.uuid, move.source, move.target, node.number, term)
        running = self._moving.get(key)
        if running is None or running.done():
            operation = collection.resharding.uuid
            call = self._tried(_Session(self, node, operation, move, term).run())
            self._moving[key] = asyncio.create_task(call)

    async def _tried(self, call: Awaitable[Any]) -> None:
        try:
            await call
        except (VecraftError, LogGone, TimeoutError) as error:
            self.counts[f"{type(error).__name__} at work"] += 1

    # --- clients ----------------------------------------------------------------------------------------

    async def _fill(self) -> None:
        for point_id in STEADY:
            change = _put(point_id, 1)
            (shard_id,) = split_change(self.collection, change, None)
            shard = self.shards[shard_id]
            await shard.write(shard.leader, shard.term, Request(change))
        while any(node.state.version < self.agreed.version for node in self.nodes.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def _client(self, client: int) -> None:
        while not self._over:
            await asyncio.sleep(self.rng.expovariate(1 / 0.05))
            key = self.rng.choice(KEYS)
            node = self.rng.choice(NODES)
            kind = self.rng.choice([Kind.PUT, Kind.PUT, Kind.DELETE, Kind.READ, Kind.READ])
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
        elif self.chance(0.5):
            change = DeletePoints(ids=[key])
        else:
            change = DeletePoints(filter=Filter(must=(HasId((key,)),)))
        called = self.now
        outcome = Outcome.OK
        try:
            state = self.nodes[node].state.collections["c"]
            parts = split_change(state, change, None)
            await asyncio.gather(
                *(self._deliver(node, state, shard_id, part) for shard_id, part in parts.items())
            )
        except (VecraftError, TimeoutError):
            outcome = Outcome.UNKNOWN
        self._record(kind, key, value, called, outcome, client)

    async def _deliver(self, node: int, state: CollectionState, shard_id: int, part: PointChange) -> None:
        """As ``router.points`` does."""
        end = self.now + REQUEST_S
        due = [(state, shard_id, Request(part, operation_id=self.rng.randbytes(16)))]
        while due:
            then, shard, request = due.pop()
            try:
                await self._repeat(node, then, shard, request, end)
            except PointsMoved:
                await asyncio.sleep(0.05)
                now = self.nodes[node].state.collections["c"]
                due += [(now, at, piece) for at, piece in self._parted(then, now, shard, request)]
                self.counts["writes moved"] += 1
                if self.now > end:
                    raise Timeout("on its way for too long") from None

    def _parted(
        self, then: CollectionState, now: CollectionState, shard: int, request: Request
    ) -> list[tuple[int, Request]]:
        assert request.change is not None
        parts = moved_parts(then, now, shard, request.change)
        if parts.keys() == {shard} and not self.variant.retried_as_new:
            return [(shard, replace(request, change=parts[shard]))]
        former = () if self.variant.retried_as_new else (*request.former_ids, request.operation_id)
        return [
            (at, replace(request, change=part, operation_id=self.rng.randbytes(16), former_ids=former))
            for at, part in parts.items()
        ]

    async def _repeat(
        self, node: int, state: CollectionState, shard: int, request: Request, end: float
    ) -> None:
        """As ``router.primaries`` does."""
        request = replace(request, answers_since=state.shards[shard].answers_since)
        while True:
            if shard not in self.nodes[node].state.collections["c"].shards:
                raise PointsMoved("the shard is gone")
            try:
                await self.write(node, shard, request)
            except PointsMoved:
                raise
            except (ShardUnavailable, Timeout, TimeoutError):
                if self.now > end:
                    raise
                await asyncio.sleep(self.rng.uniform(0.01, 0.2))
            else:
                return

    async def _read(self, client: int, node: int, key: int) -> None:
        called = self.now
        try:
            value = await self._anew_if_moved(partial(self._read_one, node, key))
        except (VecraftError, TimeoutError):
            return
        self._record(Kind.READ, key, value, called, Outcome.OK, client)

    async def _read_one(self, node: int, key: int) -> int | None:
        state = self.nodes[node].state.collections["c"]
        shard_id = shard_of(state, id_key(key))
        return (await self._ask(node, state, shard_id)).get(key)

    async def _looks(self) -> None:
        """At everything: each point that nobody changes is there, once."""
        while not self._over:
            await asyncio.sleep(self.rng.expovariate(1 / 0.1))
            node = self.rng.choice(NODES)
            try:
                found = await self._anew_if_moved(partial(self._look, node))
            except (VecraftError, TimeoutError):
                self.counts["looks without an answer"] += 1
                continue
            self.counts["looks"] += 1
            twice = [point_id for point_id, times in found.items() if times > 1]
            assert not twice, f"seen twice: {twice}"
            missed = [point_id for point_id in STEADY if point_id not in found]
            assert not missed, f"not seen: {missed}"

    async def _look(self, node: int) -> Counter[PointId]:
        state = self.nodes[node].state.collections["c"]
        asked = [self._ask(node, state, shard_id) for shard_id in owning_shards(state)]
        found: Counter[PointId] = Counter()
        for answer in await asyncio.gather(*asked):
            found.update(answer.keys())
        return found

    async def _ask(self, node: int, state: CollectionState, shard_id: int) -> dict[PointId, int]:
        await self._way(long=0.1)
        if shard_id not in self.nodes[node].state.collections["c"].shards:
            raise PointsMoved("the shard is gone")
        primary, term = self.believed(node, shard_id)
        found = self.shards[shard_id].read(primary, term, state.shards[shard_id].answers_since)
        await self._way()
        return found

    async def _anew_if_moved(self, read: Callable[[], Awaitable[T]]) -> T:
        """As ``router.queries.operations`` does."""
        end = self.now + REQUEST_S
        while True:
            try:
                return await read()
            except PointsMoved:
                self.counts["reads moved"] += 1
                if self.now > end:
                    raise
            await asyncio.sleep(0.05)

    def _record(
        self, kind: Kind, key: int, value: int | None, called: float, outcome: Outcome, client: int
    ) -> None:
        times = int(called * 1e9), int(self.now * 1e9)
        self.history.append(Operation(kind, key, value, *times, outcome, client))
        self.counts[f"{kind.value} {outcome.value}"] += 1

    # --- faults and the operator --------------------------------------------------------------------------

    async def _faults(self) -> None:
        while not self._over:
            await asyncio.sleep(self.rng.expovariate(1 / 0.7))
            if self._over:
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
        while not self._over:
            await asyncio.sleep(self.rng.uniform(0.1, 1.5))
            if self._over:
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
        for counterexample in check(self.history):
            raise AssertionError(str(counterexample))

    # --- chance -----------------------------------------------------------------------------------------

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    async def _way(self, long: float = 0.03) -> None:
        slow = self.chance(long)
        await asyncio.sleep(self.rng.uniform(0, 1.0 if slow else CALL_S))


class _Session:
    """One session of a move; the ports of ``BucketMove`` over the model."""

    def __init__(self, world: World, node: Node, operation: str, move: Move, term: int) -> None:
        self._world, self._node, self._operation, self._move, self._term = world, node, operation, move, term
        self._shard = world.shards[move.source]
        node.lives += 1
        self._session: Session = (term, node.lives)
        self._sent = 0

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
        agreed = self._node.state.collections["c"].shards.get(self._move.source)
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
        await self._world._way()
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
            await self._world._way()
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
        collection = self._node.state.collections["c"]
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
        await self._world._tried(self._world.propose(self._node.number, command))

    def expect(self, total: int) -> None:
        pass

    def advance(self, done: int) -> None:
        pass


def _put(point_id: PointId, value: int) -> Upsert:
    return Upsert([point_id], (), [b'{"v":%d}' % value])


def _record(point_id: PointId, state: State) -> Record:
    return Record(point_id, 0, b'{"v":%d}' % state.points[point_id], {})
