"""One life of a replica: its files, opened once, and the machine that goes with them.

Lives here: carrying out the machine's effects (two lanes for the files, mail, proposals), clients that wait.
May not live here: what to do when a life has failed (``shard``), what requests mean (``session``).

The *log lane* persists and cuts, the *state lane* applies and rebuilds, each in order; a cut waits for all
that was given to either lane before it. So the log goes on while a long operation is applied.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import structlog
from msgspec import Struct
from msgspec.structs import replace

from node.replica.identity import Identity
from node.replica.opened import CheckpointPostponed, Machinery, ReplicaFiles
from node.replica.recovery import DAMAGE, Opened
from node.replica.staging import Done, Write, storage_error
from node.replica.updates import Updates
from node.replica.writer import Writer
from node.replication import effects as do
from node.replication import events as ev
from node.replication.machine import ReplicaMachine
from node.replication.messages import Entry, Message, encode_message
from node.replication.tuning import Tuning
from node.shard.disk import Disk
from node.shard.refusals import LOST, refused
from node.shard.waiting import Milestones
from protos.errors import ServiceError, Timeout, VecraftError
from protos.shard import Position, ShardInfo

log = structlog.get_logger()

CLOSE_S = 2.0  # for writes under way when the end comes; then their outcome is unknown
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
    """``failure`` says why it is over, if it is. Not for use before ``start``."""

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
        self._reading: set[asyncio.Task[None]] = set()
        self._asking: set[asyncio.Task[None]] = set()
        self._applied = Milestones(self.machine.applied)
        self._committed = Milestones(self.machine.committed)
        self._tokens: dict[int, asyncio.Future[Done]] = {}
        self._next_token = 0
        self._closing = self._over = False
        self.writer = Writer(self._commit)
        self.updates = Updates(self.writer)
        self._lanes = [asyncio.create_task(lane) for lane in (self._run_log(), self._run_state())]

    def _take_files(self, opened: Opened) -> None:
        self._hooks = _Checkpoints(self)
        self.files = ReplicaFiles(opened, self._machinery, self._hooks)
        self._disk = Disk(self._options.directory, self._identity, opened.contents, opened.wal)

    # --- the machine ------------------------------------------------------------------------------------

    def step(self, event: ev.Event) -> None:
        if self.failure is not None and not isinstance(event, ev.PersistFailed):
            return
        for effect in self.machine.step(event, self._world.now_ms()):
            self._do(effect)
        self._applied.reached(self.machine.applied)
        self._committed.reached(self.machine.committed)

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
                self._applied.give_up(after)
                self._log_lane.append(effect)
                self._log_work.set()
            case do.Acknowledge(token, seq):
                self._answer(token, Done(seq))
            case do.Refuse(token, refusal, primary):
                self._answer(token, Done(None, refused(refusal, primary, self.failure)))
            case do.OutcomeUnknown(token):
                self._answer(token, Done(None, Timeout(LOST)))
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

    def _answer(self, token: int, done: Done) -> None:
        future = self._tokens.pop(token, None)
        if future is not None and not future.done():
            future.set_result(done)

    def _in_background(self, tasks: set[asyncio.Task[None]], call: Any) -> None:
        task = asyncio.create_task(call)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _read_log(self, effect: do.ReadLog) -> None:
        entries: tuple[Entry, ...] = ()
        try:
            read = self._disk.read
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
        self._give_up()
        self._world.failed()

    def _give_up(self) -> None:
        for token in list(self._tokens):
            self._answer(token, Done(None, Timeout(LOST)))
        self._applied.give_up()
        self._committed.give_up()

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
            await self._on_log(self._disk.persist, entries)
        self.step(ev.Persisted(entries[-1].seq))

    async def _cut(self, effect: do.CutTail) -> None:
        await self._state_idle.wait()
        if self._reading:
            await asyncio.wait(self._reading)
        async with self._log_turn:
            await self._on_log(self._disk.cut, effect.after, effect.term)
        await self.files.on_writer(self._disk.forget_staged)
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
        await self.files.on_writer(self._disk.apply, entries)
        self.files.changed()
        self.step(ev.Applied(entries[-1].seq))

    async def _rebuild(self) -> int:
        """Open the last checkpoint again and replay the log. Raises: ``recovery.DAMAGE``."""
        async with self.files.quiet, self._log_turn:
            log.info("replica_rebuilding", directory=str(self._options.directory))
            self._hooks.close()
            await self.files.close(checkpoint=False)
            await self._on_log(self._disk.close_log)
            opened = await self._world.reopen()
            self._take_files(opened)
            return opened.contents.applier.seq

    # --- writes -----------------------------------------------------------------------------------------

    async def _commit(self, writes: Sequence[Write]) -> Sequence[Done | asyncio.Future[Done]]:
        """Log ``writes`` in groups; each group is resolved on the state that the one before it left here."""
        outcomes: dict[int, Done | asyncio.Future[Done]] = {}
        position = 0
        while position < len(writes):
            refusal = self._why_not()
            if refusal is not None:
                outcomes.update(dict.fromkeys(range(position, len(writes)), Done(None, refusal)))
                break
            async with self.files.quiet:
                position = await self._commit_group(writes, position, outcomes)
        return [outcomes[place] for place in range(len(writes))]

    def _why_not(self) -> VecraftError | None:
        refusal = self.machine.refusal()
        if self._closing or self.failure is not None:
            refusal = do.Refusal.FAILED
        return None if refusal is None else refused(refusal, self.machine.primary, self.failure)

    async def _commit_group(
        self, writes: Sequence[Write], first: int, outcomes: dict[int, Done | asyncio.Future[Done]]
    ) -> int:
        group, following = await self.files.on_writer(self._disk.stage, writes, first)
        outcomes.update(group.failed)
        last = self.machine.last_seq + len(group.staged)
        if group.staged and group.staged[0].seq != self.machine.last_seq + 1:
            await self.files.on_writer(self._disk.discard, group)  # the log went on: no primary any more
            refusal = Done(None, refused(do.Refusal.NOT_PRIMARY, self.machine.primary, self.failure))
            outcomes.update({one.position: refusal for one in group.staged})
            outcomes.update({position: refusal for position, _ in group.repeats})
            return following
        proposed = []
        for one in group.staged:
            write = writes[one.position]
            token = self._expect(outcomes, one.position, one.error)
            proposed.append(ev.Write(token, one.body, write.visible, write.confirm_term))
        if proposed:
            logged = self.machine.last_seq
            self.step(ev.Proposed(tuple(proposed)))
            if self.machine.last_seq == logged:  # it was refused
                await self.files.on_writer(self._disk.discard, group)
                last = logged
        for position, seq in group.repeats:
            write = writes[position]
            token = self._expect(outcomes, position, None)
            self.step(ev.RepeatProposed(token, seq, write.visible, write.confirm_term))
        if self._over:
            self._give_up()  # nobody carries out what was just asked for
        await self._applied.wait(last)
        return following

    def _expect(
        self,
        outcomes: dict[int, Done | asyncio.Future[Done]],
        position: int,
        error: VecraftError | None,
    ) -> int:
        """A token for a write; ``error``: what its answer tells although it is logged."""
        self._next_token += 1
        loop = asyncio.get_running_loop()
        raw: asyncio.Future[Done] = loop.create_future()
        self._tokens[self._next_token] = raw
        outcomes[position] = raw if error is None else _with_error(raw, error)
        return self._next_token

    # --- reads ------------------------------------------------------------------------------------------

    def position(self, seq: int) -> Position:
        """Of the operation ``seq``; term 0 if the log tells no more of it."""
        return Position(self.machine.term_at(seq) or 0, seq)

    async def info(self) -> ShardInfo:
        info = await self.files.info()
        return replace(info, update_queue_length=self.writer.length)

    # --- waiting ----------------------------------------------------------------------------------------

    async def until_applied(self, seq: int) -> None:
        """Raises: ServiceError when this life ends before."""
        if not await self._applied.wait(seq):
            raise ServiceError("the replica is being closed")

    async def until_committed(self, seq: int) -> bool:
        """False: this life ended before."""
        return await self._committed.wait(seq)

    async def log_shortened(self, seq: int) -> None:
        """A checkpoint holds everything up to ``seq``."""
        async with self._log_turn:
            first = await self._on_log(self._disk.trim, seq + 1, self._world.keep_bytes())
        await self.files.on_writer(self._disk.trim_terms, first)
        if self.failure is None:
            self.step(ev.Checkpointed(seq, first))

    # --- the end ----------------------------------------------------------------------------------------

    async def close(self, *, checkpoint: bool) -> None:
        """Answer those who wait, store what may be stored, let go of the files."""
        self._closing = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self.writer.close()
        self._hooks.close()
        self._over = True
        for task in (*self._lanes, *self._reading, *self._asking):
            task.cancel()
        await asyncio.gather(*self._lanes, *self._reading, *self._asking, return_exceptions=True)
        self._give_up()
        await self.writer.close()
        try:
            await self.files.close(checkpoint=checkpoint and self.failure is None)
        finally:
            await self._on_log(self._disk.close_log)


class _Checkpoints:
    """``opened.Checkpoints`` of one opening of the files: nothing is stored that a cut may take back."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._limit: int | None = None
        self._closed = False

    def limit(self, seq: int | None) -> None:
        """What memory holds after ``seq`` is being cut; None: no more."""
        self._limit = seq if self._limit is None or seq is None else min(self._limit, seq)
        if self._limit is not None:
            self._life._committed.give_up(self._limit)

    def close(self) -> None:
        """Do not wait any more."""
        self._closed = True
        self._life._committed.give_up()

    async def before_store(self, seq: int) -> None:
        committed = self._life.machine.committed >= seq
        if not committed and not self._closed and not self._beyond(seq):
            committed = await self._life.until_committed(seq)
        if not committed or self._beyond(seq):
            raise CheckpointPostponed

    async def checkpointed(self, seq: int) -> None:
        await self._life.log_shortened(seq)

    def _beyond(self, seq: int) -> bool:
        return self._limit is not None and seq > self._limit


def _with_error(raw: asyncio.Future[Done], error: VecraftError) -> asyncio.Future[Done]:
    """``raw``'s outcome, with the error that part of the change met."""
    whole: asyncio.Future[Done] = asyncio.get_running_loop().create_future()

    def pass_on(done: asyncio.Future[Done]) -> None:
        outcome = done.result()
        whole.set_result(outcome if outcome.error is not None else Done(outcome.seq, error))

    raw.add_done_callback(pass_on)
    return whole
