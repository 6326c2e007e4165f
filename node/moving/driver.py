"""What the primaries on this node do for reshardings: copying, telling, cleaning up.

Lives here: a task for each move whose source is led here, and one for each shard led here that has something
to log or to remove; they follow the agreed state, and begin anew whatever fails.
May not live here: the copying (``move``), what follows from a claim (``consensus.transitions.resharding``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator
from functools import partial
from typing import Protocol, TypeVar

from consensus.commands import (
    BeginMove,
    Command,
    LowerFence,
    MoveReady,
    MoveWhole,
)
from consensus.ownership import moves_from
from consensus.replica_sets import is_resharded
from consensus.state import (
    ClusterState,
    CollectionState,
    Move,
    Resharding,
    ShardState,
    TransferMethod,
)
from node import query
from node.moving.duties import duties
from node.moving.move import BucketMove, LogGone, Stage
from node.moving.source import LedSource
from node.replica.ownership import ShardBuckets
from node.shard.life import Life
from node.transfer.progress import Progress
from protos.errors import IntakeOver, ShardUnavailable, VecraftError
from protos.filters import Filter, InBuckets
from protos.ids import PointId
from protos.logger import get_logger
from protos.operations import UpdateResult
from protos.shard import Intake, Projection, ReadSession, ScrollRequest
from protos.shard_client import ShardClient
from protos.tasks import end_all

log = get_logger()

T = TypeVar("T")

RETRY_S, RETRY_MAX_S = 0.1, 2.0
PATIENCE_S = 20.0  # for a target that has no primary; then the session begins anew
CLEAN_POINTS = 500  # removed together


class MovingReplica(Protocol):
    """A replica that copies may be sent to."""

    def open(self, session: ReadSession) -> ShardClient: ...

    async def take(self, intake: Intake) -> UpdateResult: ...


class Host(Protocol):
    """What the tasks need of their node; on the event loop."""

    @property
    def me(self) -> int: ...

    def state(self) -> ClusterState: ...

    def life(self, collection_uuid: str, shard_id: int) -> Life:
        """Of the replica here. Raises: ShardUnavailable."""
        ...

    async def settle(self, collection_uuid: str, shard_id: int) -> None:
        """Have its log say what the shard does now. Raises: VecraftError."""
        ...

    def moving_replica(self, collection: CollectionState, shard_id: int) -> MovingReplica:
        """The replica that leads a shard. Raises: ShardUnavailable."""
        ...

    async def propose(self, command: Command) -> None: ...

    def next_incarnation(self) -> int: ...


class Reshardings:
    """One per node. ``close`` it."""

    def __init__(self, host: Host, monotonic_s: Callable[[], float]) -> None:
        self._host, self._monotonic_s = host, monotonic_s
        self._running: dict[Hashable, asyncio.Task[None]] = {}
        self._closing = False
        self._progress: dict[tuple[str, int, int], Progress] = {}  # by uuid, source, target

    def follow(self, state: ClusterState) -> None:
        """Begin what the state asks for, end what it does not any more."""
        wanted = {
            work.key: work for collection in state.collections.values() for work in self._of(collection)
        }
        for key, work in wanted.items():
            if key not in self._running:
                self._begin(key, work)
        for key, task in self._running.items():
            if key not in wanted:
                task.cancel()

    def comment(self, collection_uuid: str, source: int, target: int) -> str | None:
        """How far a move has come whose source is led here."""
        progress = self._progress.get((collection_uuid, source, target))
        return None if progress is None else progress.comment

    async def close(self) -> None:
        self._closing = True
        await end_all(self._running.values())

    def _look_again(self) -> None:
        """The state may have asked for what had just ended."""
        if not self._closing:
            self.follow(self._host.state())

    def _of(self, collection: CollectionState) -> Iterator[_Work]:
        if not collection.buckets_step:
            return
        for shard in collection.shards.values():
            if shard.primary != self._host.me:
                continue
            if is_resharded(collection) or self._lags(collection, shard):
                yield _Keeping(self._host, collection, shard)
            resharding = collection.resharding
            for move in moves_from(collection, shard.id):
                assert resharding is not None
                place = collection.uuid, move.source, move.target
                yield _Moving(self._host, collection, shard, resharding, move, partial(self._track, place))

    def _lags(self, collection: CollectionState, shard: ShardState) -> bool:
        try:
            return ownership_lags(self._host.life(collection.uuid, shard.id), collection)
        except ShardUnavailable:
            return True

    def _track(self, place: tuple[str, int, int]) -> Progress:
        progress = Progress(TransferMethod.RESHARDING_STREAM_RECORDS, self._monotonic_s)
        self._progress[place] = progress
        return progress

    def _begin(self, key: Hashable, work: _Work) -> None:
        task = asyncio.create_task(_again_and_again(work), name="resharding")
        self._running[key] = task

        def ended(done: asyncio.Task[None]) -> None:
            if self._running.get(key) is done:
                del self._running[key]
            if not done.cancelled() and done.exception() is not None:
                log.error("resharding_task_failed", error=repr(done.exception()))
            done.get_loop().call_later(RETRY_S, self._look_again)

        task.add_done_callback(ended)


async def _again_and_again(work: _Work) -> None:
    """Until there is nothing left to do; what fails is tried less and less often."""
    pause_s = RETRY_S
    while True:
        try:
            if await work.step():
                return
            pause_s = RETRY_S
        except (VecraftError, LogGone) as error:
            log.info("resharding_step_failed", step=type(work).__name__, reason=repr(error))
            pause_s = min(pause_s * 2, RETRY_MAX_S)
        await asyncio.sleep(pause_s)


class _Work:
    """Something to do for a shard that is led here."""

    def __init__(self, host: Host, collection: CollectionState, shard: ShardState) -> None:
        self._host = host
        self._name, self._uuid = collection.name, collection.uuid
        self._shard_id, self._term = shard.id, shard.term

    @property
    def key(self) -> Hashable:
        raise NotImplementedError

    async def step(self) -> bool:
        """Do what can be done now. Returns: is that all? Raises: VecraftError: not now."""
        raise NotImplementedError

    def collection(self) -> CollectionState | None:
        """As it is now; None: it is gone."""
        found = self._host.state().collections.get(self._name)
        return found if found is not None and found.uuid == self._uuid else None

    def led(self) -> Life:
        """Raises: ShardUnavailable if the shard is not led here, in the term that this is about."""
        life = self._host.life(self._uuid, self._shard_id)
        if life.failure is not None or not life.machine.is_ready or life.machine.term != self._term:
            raise ShardUnavailable(f"shard {self._shard_id} is not led here yet")
        return life


class _Moving(_Work):
    """One move, in sessions that follow each other until one is through."""

    def __init__(
        self,
        host: Host,
        collection: CollectionState,
        shard: ShardState,
        resharding: Resharding,
        move: Move,
        track: Callable[[], Progress],
    ) -> None:
        super().__init__(host, collection, shard)
        self._operation, self._target, self._buckets = resharding.uuid, move.target, move.buckets
        self._track = track

    @property
    def key(self) -> Hashable:
        return "move", self._uuid, self._operation, self._shard_id, self._target, self._term

    async def step(self) -> bool:
        self.led()
        session = (self._term, self._host.next_incarnation())
        ends = (self._name, self._uuid, self._operation, self._shard_id, self._target)
        await self._host.propose(BeginMove(*ends, session))
        claims = _Claims(self, session)
        move = BucketMove(
            LedSource(self.led, self._buckets),
            _PatientTarget(self, self._target, self._buckets),
            claims,
            self._track(),
            shard_id=self._shard_id,
            session=session,
        )
        await move.run()
        return claims.over

    def stage(self, session: tuple[int, int]) -> Stage | None:
        collection = self.collection()
        resharding = None if collection is None else collection.resharding
        if collection is None or resharding is None or resharding.uuid != self._operation:
            return None
        for move in moves_from(collection, self._shard_id):
            if move.target == self._target and move.session == session:
                return Stage(resharding.stage, collection.buckets_step, move.ready, move.whole)
        return None

    def replica(self) -> MovingReplica:
        """Raises: ShardUnavailable."""
        collection = self.collection()
        if collection is None or self._target not in collection.shards:
            raise IntakeOver("the shard that is copied to is gone")
        return self._host.moving_replica(collection, self._target)

    async def claim(self, command: Command) -> None:
        try:
            await self._host.propose(command)
        except VecraftError as error:  # it is outdated, or is claimed again
            log.info("claim_without_effect", claim=type(command).__name__, reason=str(error))

    @property
    def ends(self) -> tuple[str, str, str, int, int]:
        return self._name, self._uuid, self._operation, self._shard_id, self._target


class _Claims:
    """Implements ``move.Claims``."""

    def __init__(self, work: _Moving, session: tuple[int, int]) -> None:
        self._work, self._session = work, session

    @property
    def over(self) -> bool:
        """Is the move itself over, not only this session?"""
        collection = self._work.collection()
        return collection is None or not any(
            (move.source, move.target) == self._work.ends[3:]
            for move in moves_from(collection, self._work.ends[3])
        )

    def stage(self) -> Stage | None:
        return self._work.stage(self._session)

    async def ready(self) -> None:
        await self._work.claim(MoveReady(*self._work.ends, self._session))

    async def whole(self, step: int) -> None:
        await self._work.claim(MoveWhole(*self._work.ends, self._session, step))

    async def lower(self, step: int) -> None:
        await self._work.claim(LowerFence(*self._work.ends[:3], step))


class _PatientTarget:
    """Implements ``move.Target``: asks whoever leads the shard, again while that fails for a time."""

    def __init__(self, work: _Moving, shard_id: int, buckets: bytes) -> None:
        self._work, self._shard_id = work, shard_id
        self._filter = Filter(must=(InBuckets(buckets),))

    async def take(self, intake: Intake) -> None:
        await self._try(lambda replica: replica.take(intake))

    async def held(self, limit: int) -> list[PointId]:
        request = ScrollRequest(limit, filter=self._filter, projection=Projection())

        async def ask(replica: MovingReplica) -> list[PointId]:
            shard = replica.open(ReadSession(strong=True, everything=True))
            return [record.id for record in await shard.scroll(request)]

        return await self._try(ask)

    async def _try(self, call: Callable[[MovingReplica], Awaitable[T]]) -> T:
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE_S
        while True:
            self._work.led()
            try:
                return await call(self._work.replica())
            except VecraftError as error:
                if not error.transient or loop.time() > end:
                    raise
            await asyncio.sleep(RETRY_S)


class _Keeping(_Work):
    """What a shard's log is to say and to hold, and the claims that rest on it."""

    @property
    def key(self) -> Hashable:
        return "keep", self._uuid, self._shard_id, self._term

    async def step(self) -> bool:
        collection = self.collection()
        if collection is None or self._shard_id not in collection.shards:
            return True
        life = self.led()
        if ownership_lags(life, collection):
            await self._host.settle(self._uuid, self._shard_id)
        due = duties(collection, self._shard_id, await self._committed(life))
        if due.release is not None:
            await self._host.propose(due.release)
        if due.clean is not None and due.cleaned is not None:
            await self._clean(life, due.clean)
            await self._host.propose(due.cleaned)
        now = self.collection()
        return now is None or not (is_resharded(now) or ownership_lags(life, now))

    async def _committed(self, life: Life) -> ShardBuckets:
        """What the log says and nothing will take back."""
        view = life.files.view
        if not await life.committed.wait(view.seq):
            raise ShardUnavailable("the shard is led anew")
        return view.buckets

    async def _clean(self, life: Life, strangers: Filter) -> None:
        """Remove what is not the shard's own, until there is nothing of it."""
        request = ScrollRequest(CLEAN_POINTS, filter=strangers, projection=Projection())
        while found := await life.files.read(life.files.view, query.scroll, request):
            self.led()
            await life.updates.clean([record.id for record in found])


def ownership_lags(life: Life, collection: CollectionState) -> bool:
    return life.files.view.buckets.step < collection.buckets_step
