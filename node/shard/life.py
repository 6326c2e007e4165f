"""One life of a replica: its files, opened once, and the machine that goes with them.

Lives here: carrying out the machine's effects: two lanes for the files, mail, proposals.
May not live here: clients' writes (``writes``), what to do when a life has failed (``shard``), what requests
mean (``session``).

The *log lane* persists and cuts, the *state lane* applies and rebuilds, each in order; a cut waits for all
that was given to either lane before it. So the log goes on while a long operation is applied.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from node.measures import TAILS_CUT
from node.replica.identity import Identity
from node.replica.opened import Machinery, ReplicaFiles
from node.replica.recovery import DAMAGE, Opened
from node.replica.staging import storage_error
from node.replica.updates import Updates
from node.replica.writer import Writer
from node.replication import effects as do
from node.replication import events as ev
from node.replication.machine import ReplicaMachine
from node.replication.messages import Entry, Message, encode_message
from node.replication.tuning import Tuning
from node.shard.checkpoints import CommittedCheckpoints
from node.shard.disk import Disk
from node.shard.waiting import Milestones
from node.shard.writes import Writes
from protos.errors import ServiceError, VecraftError
from protos.logger import get_logger
from protos.operations import PointChange
from protos.shard import Position, ReplicationInfo, ShardInfo
from protos.tasks import end_all

log = get_logger()

CLOSE_S = 2.0  # for writes under way when the end comes; then their outcome is unknown
ENTRIES_BYTES = 4 << 20  # of the log that somebody reads at a time, about
BATCH_ENTRIES_MAX = 1024  # entries that one sync, or one run of the state lane, covers at most


class World(Protocol):
    """What a life needs of its surroundings; on the event loop."""

    def now_ms(self) -> int:
        """A monotonic clock."""
        ...

    def send(self, peer: int, message: bytes) -> None: ...

    def propose(self, effect: do.Effect) -> None:
        """Try to have the cluster agree; never mind if it does not."""
        ...

    async def confirms(self, term: int) -> bool:
        """Has the cluster, asked now, agreed on no later term of this shard? Raises: VecraftError."""
        ...

    def keep_bytes(self) -> int:
        """How much of the log to keep for other replicas."""
        ...

    async def reopen(self) -> Opened:
        """Open the files again, after they were closed. Raises: ``recovery.DAMAGE``."""
        ...

    def failed(self) -> None:
        """This life is over."""
        ...


class LifeOptions(Struct, frozen=True):
    directory: Path
    me: int
    incarnation: int
    tuning: Tuning


class Life:
    """``failure`` says why it is over, if it is."""

    def __init__(
        self,
        options: LifeOptions,
        opened: Opened,
        identity: Identity,
        machinery: Machinery,
        world: World,
    ) -> None:
        self._options, self._machinery, self._world = options, machinery, world
        self._identity = identity
        self.failure: VecraftError | None = None
        self._take_files(opened)
        applier = opened.contents.applier
        recovered = ev.Recovered(
            terms=applier.terms, last_seq=opened.wal.last_seq, floor=opened.floor, term=identity.term
        )
        self.machine = ReplicaMachine(
            options.me, recovered, incarnation=options.incarnation, tuning=options.tuning
        )
        self._log_lane: deque[do.Persist | do.CutTail] = deque()
        self._state_lane: deque[do.Apply | do.Rebuild] = deque()
        self._log_work, self._state_work = asyncio.Event(), asyncio.Event()
        self._log_turn = asyncio.Lock()  # held while the log is written, or must not be
        self._state_idle = asyncio.Event()
        self._state_idle.set()
        self._reading: set[asyncio.Future[Any]] = set()
        self._asking: set[asyncio.Task[None]] = set()
        self.applied = Milestones(self.machine.applied)
        self.committed = Milestones(self.machine.committed)
        self._writes = Writes(self)
        self.writer = Writer(self._writes.commit)
        self.updates = Updates(self.writer, self._admit)
        self._lanes = [asyncio.create_task(lane) for lane in (self._run_log(), self._run_state())]

    def _admit(self, change: PointChange) -> None:
        """Quotas are the primary's business: who is not it tells so, whatever is used here."""
        if self.machine.is_primary:
            self._machinery.quotas.admit(change)

    def _take_files(self, opened: Opened) -> None:
        self._hooks = CommittedCheckpoints(self)
        collection = self._identity.collection
        self.files = ReplicaFiles(opened, self._machinery, self._hooks, collection=collection)
        self.disk = Disk(self._options.directory, self._identity, opened.contents, opened.wal)

    # --- the machine ------------------------------------------------------------------------------------

    def step(self, event: ev.Event) -> None:
        if self.failure is not None and not isinstance(event, ev.PersistFailed):
            return
        for effect in self.machine.step(event, self._world.now_ms()):
            self._do(effect)
        self.applied.reached(self.machine.applied)
        self.committed.reached(self.machine.committed)

    def _do(self, effect: do.Effect) -> None:
        match effect:
            case do.Send(peer, message):
                self._send(peer, message)
            case do.Persist():
                self._log_lane.append(effect)
                self._log_work.set()
            case do.Apply() | do.Rebuild():
                self._state_idle.clear()
                self._state_lane.append(effect)
                self._state_work.set()
            case do.CutTail(after, _):
                self._hooks.limit(after)
                self.applied.give_up(after)
                self._log_lane.append(effect)
                self._log_work.set()
            case do.Acknowledge(token, seq):
                self._writes.acknowledged(token, seq)
            case do.Refuse(token, refusal, primary):
                self._writes.refused(token, refusal, primary)
            case do.OutcomeUnknown(token):
                self._writes.lost(token)
            case do.ReadLog():
                self._in_background(self._reading, self._read_log(effect))
            case do.ConfirmTerm(term, number):
                self._in_background(self._asking, self._confirm(term, number))
            case do.PrimaryReady(term):
                log.info("primary_ready", directory=str(self._options.directory), term=term)
                self._world.propose(effect)
            case _:
                self._world.propose(effect)

    def _send(self, peer: int, message: Message) -> None:
        self._world.send(peer, encode_message(message))

    def _in_background(
        self, tasks: set[asyncio.Future[Any]] | set[asyncio.Task[None]], call: Coroutine[Any, Any, None]
    ) -> None:
        task: asyncio.Task[None] = asyncio.create_task(call)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _read_log(self, effect: do.ReadLog) -> None:
        entries: tuple[Entry, ...] = ()
        try:
            read = self.disk.read
            entries = await self._machinery.background.run(
                read, effect, self._options.tuning.append_entries_max
            )
        except DAMAGE:
            log.exception("log_not_read", directory=str(self._options.directory))
        self.step(ev.LogRead(effect.peer, effect.session, entries))

    async def _confirm(self, term: int, number: int) -> None:
        try:
            if await self._world.confirms(term):
                self.step(ev.TermConfirmed(number))
        except VecraftError as error:  # asked again after a while
            log.info("term_not_confirmed", error=str(error))

    def _fail(self, error: VecraftError) -> None:
        """The files are of no use any more, until they are opened anew."""
        if self.failure is not None:
            return
        log.error("replica_failed", directory=str(self._options.directory), reason=str(error))
        self.failure = error
        self.step(ev.PersistFailed(str(error)))
        self._writes.give_up()
        self._wake_all()
        self._world.failed()

    def _wake_all(self) -> None:
        self.applied.give_up()
        self.committed.give_up()

    # --- the log lane -----------------------------------------------------------------------------------

    async def _run_log(self) -> None:
        while True:
            await self._log_work.wait()
            self._log_work.clear()
            while self._log_lane and self.failure is None:
                try:
                    await self._next_of_log()
                except DAMAGE as error:
                    self._fail(storage_error(error))

    async def _next_of_log(self) -> None:
        first = self._log_lane[0]
        if isinstance(first, do.CutTail):
            await self._cut(first)
            return
        entries: list[Entry] = []
        while self._log_lane and len(entries) < BATCH_ENTRIES_MAX:
            effect = self._log_lane[0]
            if not isinstance(effect, do.Persist):
                break
            entries += effect.entries
            self._log_lane.popleft()
        async with self._log_turn:
            await self._on_log(self.disk.persist, entries)
        self.step(ev.Persisted(entries[-1].seq))

    async def _cut(self, effect: do.CutTail) -> None:
        await self._state_idle.wait()
        if self._reading:
            await asyncio.wait(self._reading)
        async with self._log_turn:
            await self._on_log(self.disk.cut, effect.after, effect.term)
        TAILS_CUT.inc()
        await self.files.on_writer(self.disk.forget_staged)
        self._log_lane.popleft()
        self.step(ev.TailCut(effect.after))
        if not any(isinstance(task, do.Rebuild) for task in self._state_lane):
            self._hooks.limit(None)

    async def _on_log(self, call: Callable[..., Any], *args: Any) -> Any:
        return await self._machinery.writers.run((id(self), "log"), call, *args)

    # --- the state lane ---------------------------------------------------------------------------------

    async def _run_state(self) -> None:
        while True:
            await self._state_work.wait()
            self._state_work.clear()
            while self._state_lane and self.failure is None:
                try:
                    await self._next_of_state()
                except DAMAGE as error:
                    self._fail(ServiceError(f"operations are logged but could not be applied: {error}"))
            self._state_idle.set()

    async def _next_of_state(self) -> None:
        first = self._state_lane[0]
        if isinstance(first, do.Rebuild):
            seq = await self._rebuild()
            self._state_lane.popleft()
            self.step(ev.Rebuilt(seq))
            return
        entries: list[Entry] = []
        while self._state_lane and len(entries) < BATCH_ENTRIES_MAX:
            effect = self._state_lane[0]
            if not isinstance(effect, do.Apply):
                break
            entries += effect.entries
            self._state_lane.popleft()
        await self.files.on_writer(self.disk.apply, entries)
        self.files.changed()
        self.step(ev.Applied(entries[-1].seq))

    async def _rebuild(self) -> int:
        """Open the last checkpoint again and replay the log. Raises: ``recovery.DAMAGE``."""
        async with self.files.quiet, self._log_turn:
            log.info("replica_rebuilding", directory=str(self._options.directory))
            self._hooks.close()
            await self.files.close(checkpoint=False)
            await self._on_log(self.disk.close_log)
            opened = await self._world.reopen()
            self._take_files(opened)
            return opened.contents.applier.seq

    async def entries(self, from_seq: int) -> tuple[Entry, ...]:
        """Some durable operations from ``from_seq`` on; none: there is none, or they are in no log any more.

        Raises: ``recovery.DAMAGE``.
        """
        effect = do.ReadLog(self._options.me, 0, from_seq, ENTRIES_BYTES)
        read = self._machinery.background.run(self.disk.read, effect, BATCH_ENTRIES_MAX)
        task = asyncio.ensure_future(read)
        self._reading.add(task)  # a cut waits for it
        task.add_done_callback(self._reading.discard)
        return await asyncio.shield(task)

    # --- reads ------------------------------------------------------------------------------------------

    def position(self, seq: int) -> Position:
        """Of the operation ``seq``; term 0 if the log tells no more of it."""
        return Position(self.machine.term_at(seq) or 0, seq)

    async def info(self) -> ShardInfo:
        info = await self.files.info()
        return replace(
            info,
            update_queue_length=self.writer.length,
            replication=ReplicationInfo(
                term=self.machine.term,
                logged=self.machine.last_seq,
                committed=self.machine.committed,
                applied=self.machine.applied,
                followers=self.machine.followers(),
            ),
        )

    # --- waiting ----------------------------------------------------------------------------------------

    async def until_applied(self, seq: int) -> None:
        """Raises: ServiceError when this life ends before."""
        if not await self.applied.wait(seq):
            raise ServiceError("the replica is being closed")

    async def shorten_log(self, seq: int) -> None:
        """A checkpoint holds everything up to ``seq``."""
        async with self._log_turn:
            first = await self._on_log(self.disk.trim, seq + 1, self._world.keep_bytes())
        await self.files.on_writer(self.disk.trim_terms, first)
        if self.failure is None:
            self.step(ev.Checkpointed(seq, first))

    # --- the end ----------------------------------------------------------------------------------------

    async def close(self, *, checkpoint: bool) -> None:
        """Answer those who wait, store what may be stored, let go of the files."""
        self._writes.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self.writer.close()
        self._hooks.close()
        await end_all([*self._lanes, *self._reading, *self._asking])
        self._writes.end()
        self._wake_all()
        await self.writer.close()
        try:
            await self.files.close(checkpoint=checkpoint and self.failure is None)
        finally:
            await self._on_log(self.disk.close_log)
