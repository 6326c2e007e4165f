"""One node of the simulation: the dull shell around a replica machine, with a disk that can lose and fail.

It does what the real shell does: one writer that logs and applies, checkpoints that wait for what is
committed, resolving of client operations on the applied state, operation ids that make repeats harmless.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from node.replication import effects as do
from node.replication import events as ev
from node.replication.machine import ReplicaMachine
from node.replication.messages import Entry
from node.replication.primary import NOOP_BODY
from node.replication.terms import TermList
from tests.sim.replication.agreement import Command
from tests.sim.replication.model import Operation, State, applied

if TYPE_CHECKING:
    from tests.sim.replication.world import World

GROUP_MAX = 8


class Disk:
    """What survives a crash. ``log`` keeps what was trimmed, too, for the checks only."""

    def __init__(self) -> None:
        self.log: list[Entry] = []
        self.first_seq = 0
        self.checkpoint: tuple[int, State] = (-1, State())
        self.term = 0


class Request(NamedTuple):
    operation_id: int
    kind: str
    key: int
    visible: bool
    confirm_term: bool
    answer: Callable[[str], None]


class SimNode:
    def __init__(self, world: World, peer: int) -> None:
        self.world, self.peer = world, peer
        self.disk = Disk()
        self.machine: ReplicaMachine | None = None
        self.incarnation = 0
        self.config_index = 0
        self.clock_offset_ms = world.rng.uniform(0, 1e6)
        self.clock_rate = 1 + world.rng.uniform(-0.01, 0.01)
        self.two_lanes = world.rng.random() < 0.5
        self.disk_slowness = 1.0
        self.paused_until = 0.0
        self.raft_cut = False
        self.disk_broken = False
        self.wiped = False

    # --- life ------------------------------------------------------------------------------------------

    @property
    def up(self) -> bool:
        return self.machine is not None

    def clock(self) -> int:
        return int(self.clock_offset_ms + self.world.now * self.clock_rate)

    def start(self) -> None:
        """Open the files, as a process does that knows nothing else."""
        self.incarnation += 1
        disk = self.disk
        seq, state = disk.checkpoint
        for entry in disk.log[seq + 1 :]:
            state = applied(state, entry)
        self.state, self.applied = state, len(disk.log) - 1
        self.log = list(disk.log)
        self.seen_committed = seq
        self._tasks: list[tuple[str, do.Effect]] = []
        self._running: set[str] = set()
        self._failed = False
        self._begun: list[Entry] = []  # Noops of this replica that are not durable yet
        self._draft: tuple[int, State] | None = None
        self._inbox: deque[Request] = deque()
        self._staged: dict[int, int] = {}
        self._busy_until = -1
        self._tokens: dict[int, Request] = {}
        self._next_token = 0
        terms = TermList()
        for entry in disk.log:
            terms = terms.extended(entry.term, entry.seq)
        recovered = ev.Recovered(
            terms.trimmed(disk.first_seq - 1), len(disk.log) - 1, floor=seq, term=disk.term
        )
        self.machine = self.world.machine_class(
            self.peer, recovered, incarnation=self.incarnation, tuning=self.world.tuning
        )
        # The agreement is read again from a log of its own, which may lag behind what was known.
        rng = self.world.rng
        self.config_index = rng.choice((0, self.config_index, rng.randint(0, self.config_index)))
        self.later(self.world.rng.uniform(0, 20), self._learn)
        self.later(0, self._tick)
        self.later(self.world.rng.uniform(10, 300), self._checkpoint)

    def crash(self) -> None:
        """What was not synced may or may not have reached the disk, in order."""
        for _, task in [] if self._failed else self._tasks:
            if isinstance(task, do.Persist):
                kept = self.world.rng.randint(0, len(task.entries))
                self.disk.log += task.entries[:kept]
                if kept < len(task.entries):
                    break
            elif isinstance(task, do.CutTail):
                self._store_term(task.term)
                if len(self.disk.log) > task.after + 1:
                    del self.disk.log[self.world.rng.randint(task.after + 1, len(self.disk.log)) :]
                break
        for entry in self._begun:
            if entry not in self.disk.log[entry.seq : entry.seq + 1]:
                self.world.ledger.forget(entry)  # nothing is sent before it is durable
        self.machine = None
        self.disk_broken = False
        self.world.checker.stored(self)

    def restart(self) -> None:
        if self.up:
            self.crash()
        self.start()

    def wipe(self) -> None:
        """Drop the files, to be given a base."""
        assert self.machine is not None
        term = self.machine.term
        self.crash()
        self.disk = Disk()
        self._store_term(term)
        self.wiped = True
        self.world.checker.stored(self)

    def install(self, log: list[Entry], state: State) -> None:
        if self.up:
            self.crash()
        self.disk.log, self.disk.first_seq = log, len(log)
        self.disk.checkpoint = (len(log) - 1, state)
        self.wiped = False
        self.start()

    def later(self, delay_ms: float, call: Callable[..., None], *args: object) -> None:
        self.world.at(delay_ms, self._guarded, self.incarnation, call, args)

    def _guarded(self, incarnation: int, call: Callable[..., None], args: tuple[object, ...]) -> None:
        if self.machine is None or incarnation != self.incarnation:
            return
        if self.world.now < self.paused_until:
            delay_ms = self.paused_until - self.world.now
            self.world.at(delay_ms, self._guarded, incarnation, call, args)
            return
        call(*args)

    def _tick(self) -> None:
        self.step(ev.Tick())
        self.later(10, self._tick)

    def _learn(self) -> None:
        """Take in what the cluster agreed on, some of it or all."""
        history, rng = self.world.agreement.history, self.world.rng
        if not self.raft_cut:
            last = len(history) - 1
            self.config_index = max(self.config_index, rng.randint(min(self.config_index + 1, last), last))
        config = history[self.config_index]
        self.step(ev.ConfigChanged(config))
        if self._is_to_be_filled():
            self.world.begin_transfer(self)
            return
        self.later(rng.uniform(2, 30) if rng.random() < 0.9 else rng.uniform(30, 600), self._learn)

    def _is_to_be_filled(self) -> bool:
        assert self.machine is not None
        agreed = self.peer in self.world.agreement.to_be_filled[self.config_index]
        return agreed and (self.machine.stranded or "files are dropped early" in self.world.flaws)

    # --- the machine -----------------------------------------------------------------------------------

    def step(self, event: ev.Event) -> None:
        machine = self.machine
        assert machine is not None
        for effect in machine.step(event, self.clock()):
            self._do(effect)
        self.world.checker.stepped(self)
        self._store_draft()
        self._take_up()

    def _do(self, effect: do.Effect) -> None:
        world = self.world
        match effect:
            case do.Send(peer, message):
                world.send(self.peer, peer, message)
            case do.Persist(entries):
                self._logged(entries)
                self._enqueue("log", effect)
            case do.CutTail(after, _):
                del self.log[after + 1 :]
                self._draft = None
                self._busy_until = min(self._busy_until, after)
                self._enqueue("log", effect)
            case do.Apply() | do.Rebuild():
                self._enqueue("state", effect)
            case do.Acknowledge(token, seq):
                world.checker.acknowledged(self, self._tokens[token].operation_id, seq)
                self._answer(token, "done")
            case do.Refuse(token, _, _):
                self._answer(token, "refused")
            case do.OutcomeUnknown(token):
                self._answer(token, "unknown")
            case do.ReadLog():
                self.later(world.rng.uniform(0.2, 5), self._read_log, effect)
            case _:
                self._propose(effect)

    def _propose(self, effect: do.Effect) -> None:
        world = self.world
        match effect:
            case do.ProposeEviction(peer, term, epoch):
                world.propose(self, Command("evict", peer, term, epoch))
            case do.ProposeAdmission(peer, term, epoch):
                world.propose(self, Command("admit", peer, term, epoch))
            case do.ProposeNewTerm(term):
                world.propose(self, Command("promote", self.peer, term))
            case do.AskReplacement(term):
                world.replace_primary(self, term)
            case do.ReportFailed():
                world.failed_followers.add(self.peer)
            case do.NeedsTransfer(peer):
                world.propose(self, Command("recover", peer, self.machine.term))  # type: ignore[union-attr]
            case do.ConfirmTerm(term, number):
                world.at(world.raft_delay(), self._confirm, self.incarnation, term, number)
            case do.PrimaryReady():
                world.count("terms")

    def _confirm(self, incarnation: int, term: int, number: int) -> None:
        if not self.raft_cut and self.world.agreement.latest.term == term:
            self._guarded(incarnation, self.step, (ev.TermConfirmed(number),))

    def _read_log(self, effect: do.ReadLog) -> None:
        entries: tuple[Entry, ...] = ()
        if effect.from_seq >= self.disk.first_seq:
            entries = tuple(self.disk.log[effect.from_seq : effect.from_seq + self.world.rng.randint(1, 20)])
        self.world.count("log reads")
        self.step(ev.LogRead(effect.peer, effect.session, entries))

    # --- the disk --------------------------------------------------------------------------------------

    def _logged(self, entries: tuple[Entry, ...]) -> None:
        machine, ledger = self.machine, self.world.ledger
        assert machine is not None
        for entry in entries:
            previous = (self.log[-1].term, self.log[-1].seq) if self.log else (0, -1)
            if machine.is_primary and entry.term == machine.term and not ledger.knows(entry):
                ledger.stamp(entry, previous)
                if entry.body is NOOP_BODY:
                    self._begun.append(entry)
                    self.world.term_begins(self)
            else:
                ledger.check(entry, previous)
            self.log.append(entry)

    def _enqueue(self, lane: str, task: do.Effect) -> None:
        self._tasks.append((lane if self.two_lanes else "log", task))
        self._run_tasks()

    def _run_tasks(self) -> None:
        blocked: set[str] = set(self._running)
        for lane, task in self._tasks:
            if lane not in blocked and not (isinstance(task, do.CutTail) and blocked):
                self._running.add(lane)
                self.later(self._duration(task), self._finish, lane, task)
            blocked.add(lane)
            if isinstance(task, do.CutTail):
                return

    def _duration(self, task: do.Effect) -> float:
        rng = self.world.rng
        match task:
            case do.Persist() | do.CutTail():
                return rng.expovariate(1) * self.disk_slowness
            case do.Rebuild():
                return rng.uniform(1, 100)
        return rng.expovariate(5)

    def _finish(self, lane: str, task: do.Effect) -> None:
        self._running.discard(lane)
        self._tasks.remove((lane, task))
        event = self._perform(task)
        self._run_tasks()
        self.step(event)

    def _perform(self, task: do.Effect) -> ev.Event:
        match task:
            case do.Persist(entries):
                if self.disk_broken or self._failed:
                    self._failed = True
                    return ev.PersistFailed("disk")
                self.disk.log += entries
                self._begun = [entry for entry in self._begun if entry not in entries]
                return ev.Persisted(entries[-1].seq)
            case do.CutTail(after, term):
                if self.disk_broken or self._failed:
                    self._failed = True
                    return ev.PersistFailed("disk")
                self._store_term(term)
                if len(self.disk.log) > after + 1:
                    self.world.count("cuts")
                    del self.disk.log[after + 1 :]
                self.world.checker.stored(self)
                return ev.TailCut(after)
            case do.Apply(entries):
                for entry in entries:
                    self.state = applied(self.state, entry)
                    self._staged.pop(getattr(entry.body, "operation_id", -1), None)
                self.applied = entries[-1].seq
                return ev.Applied(self.applied)
            case do.Rebuild():
                return self._rebuild()
        raise AssertionError(task)

    def _store_term(self, term: int) -> None:
        if "files forget the term" not in self.world.flaws:
            self.disk.term = max(self.disk.term, term)

    def _rebuild(self) -> ev.Event:
        self.world.count("rebuildings")
        seq, state = self.disk.checkpoint
        if "no rebuilding" in self.world.flaws:
            seq, state = min(self.applied, len(self.disk.log) - 1), self.state
        for entry in self.disk.log[seq + 1 :]:
            state = applied(state, entry)
        if "operation ids outlive a cut" in self.world.flaws:
            kept = self.state.operation_ids.update(state.operation_ids)
            state = state._replace(operation_ids=kept)
        self.state, self.applied = state, len(self.disk.log) - 1
        self._draft = None
        self._staged.clear()
        return ev.Rebuilt(self.applied)

    def _checkpoint(self) -> None:
        if self._draft is None and self.applied > self.disk.checkpoint[0] and not self._cut_is_pending():
            self._draft = (self.applied, self.state)
        self._store_draft()
        self.later(self.world.rng.uniform(20, 400), self._checkpoint)

    def _cut_is_pending(self) -> bool:
        return any(isinstance(task, do.CutTail | do.Rebuild) for _, task in self._tasks)

    def _store_draft(self) -> None:
        """A checkpoint is stored once all of it is committed."""
        draft, machine, disk = self._draft, self.machine, self.disk
        if draft is None or machine is None:
            return
        if draft[0] > machine.committed and "checkpoints do not wait" not in self.world.flaws:
            return
        self._draft = None
        if draft[0] <= disk.checkpoint[0]:
            return
        disk.checkpoint = draft
        disk.first_seq = self.world.rng.randint(disk.first_seq, draft[0] + 1)
        self.step(ev.Checkpointed(min(draft[0], machine.committed), disk.first_seq))

    # --- clients ---------------------------------------------------------------------------------------

    def request(self, request: Request) -> None:
        self._inbox.append(request)
        self._take_up()

    def read(self, key: int) -> tuple[int, tuple[int, ...] | None] | None:
        """Answer a strong read: (the view's seq, the marks), or None if it cannot."""
        machine = self.machine
        if machine is None or not machine.may_serve_strong_read(self.clock()):
            return None
        found = self.state.points.get(key)
        return self.applied, None if found is None else found[0]

    def _take_up(self) -> None:
        """One group at a time: the next is resolved on what the last one did."""
        machine = self.machine
        while self._inbox and machine is not None:
            if machine.is_ready and self.applied < self._busy_until:
                return
            writes: list[ev.Write] = []
            repeats: list[ev.RepeatProposed] = []
            for _ in range(min(len(self._inbox), GROUP_MAX)):
                self._stage(self._inbox.popleft(), writes, repeats)
            if writes:
                self._busy_until = machine.last_seq + len(writes)
                self.step(ev.Proposed(tuple(writes)))
            for repeat in repeats:
                self.step(repeat)
            machine = self.machine

    def _stage(self, request: Request, writes: list[ev.Write], repeats: list[ev.RepeatProposed]) -> None:
        machine = self.machine
        assert machine is not None
        self._next_token += 1
        token = self._next_token
        self._tokens[token] = request
        if machine.refusal() is not None:
            self.world.count(f"refused: {machine.refusal().name}")  # type: ignore[union-attr]
            self._answer(token, "refused")
            return
        seq = self._staged.get(request.operation_id, self.state.operation_ids.get(request.operation_id))
        if seq is not None:
            self.world.count("repeats")
            repeats.append(ev.RepeatProposed(token, seq, request.visible, request.confirm_term))
            return
        kind = request.kind
        if kind == "put if absent":
            kind = "nothing" if request.key in self.state.points else "put"
        body = Operation(kind, request.key, request.operation_id, request.operation_id)
        self._staged[request.operation_id] = machine.last_seq + 1 + len(writes)
        writes.append(ev.Write(token, body, request.visible, request.confirm_term))  # type: ignore[arg-type]

    def _answer(self, token: int, outcome: str) -> None:
        request = self._tokens.pop(token)
        if outcome == "unknown":
            self._staged.pop(request.operation_id, None)
        self.world.at(self.world.rng.uniform(0.2, 3), request.answer, outcome)
