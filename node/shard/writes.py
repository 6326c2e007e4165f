"""Clients' writes on their way through one life of a replica: staged, proposed to the machine, answered.

Lives here: groups, tokens, what is told to whom. May not live here: when a write counts as done
(``node.replication``), the queue in front (``node.replica.writer``).

Invariant: every write that was taken up is answered, at the latest when the life ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from node.replica.opened import ReplicaFiles
from node.replica.staging import Done, Group, Write
from node.replication import effects as do
from node.replication import events as ev
from node.replication.machine import ReplicaMachine
from node.shard.disk import Disk
from node.shard.refusals import LOST, refused
from node.shard.waiting import Milestones
from protos.errors import Timeout, VecraftError

Outcome = Done | asyncio.Future[Done]


class Owner(Protocol):
    """What writes need of the life that they go through. Its files change when it rebuilds them."""

    machine: ReplicaMachine
    files: ReplicaFiles
    disk: Disk
    applied: Milestones
    failure: VecraftError | None

    def step(self, event: ev.Event) -> None: ...


class Writes:
    """``close`` first refuses what comes, ``end`` then answers what is left."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._tokens: dict[int, asyncio.Future[Done]] = {}
        self._next_token = 0
        self._closing = self._over = False

    # --- from the machine -------------------------------------------------------------------------------

    def acknowledged(self, token: int, seq: int) -> None:
        self._answer(token, Done(seq))

    def refused(self, token: int, refusal: do.Refusal, primary: int | None) -> None:
        self._answer(token, Done(None, refused(refusal, primary, self._owner.failure)))

    def lost(self, token: int) -> None:
        self._answer(token, Done(None, Timeout(LOST)))

    def give_up(self) -> None:
        """The outcome of everything under way is unknown."""
        for token in list(self._tokens):
            self.lost(token)

    def close(self) -> None:
        """Take no more."""
        self._closing = True

    def end(self) -> None:
        """Nobody carries out any more what is proposed."""
        self._over = True
        self.give_up()

    def _answer(self, token: int, done: Done) -> None:
        future = self._tokens.pop(token, None)
        if future is not None and not future.done():
            future.set_result(done)

    # --- from clients -----------------------------------------------------------------------------------

    async def commit(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        """Log ``writes`` in groups; each group is resolved on the state that the one before it left here."""
        outcomes: dict[int, Outcome] = {}
        position = 0
        while position < len(writes):
            refusal = self._why_not()
            if refusal is not None:
                outcomes.update(dict.fromkeys(range(position, len(writes)), Done(None, refusal)))
                break
            async with self._owner.files.quiet:
                position = await self._commit_group(writes, position, outcomes)
        return [outcomes[place] for place in range(len(writes))]

    def _why_not(self) -> VecraftError | None:
        owner = self._owner
        refusal = owner.machine.refusal()
        if self._closing or owner.failure is not None:
            refusal = do.Refusal.FAILED
        return None if refusal is None else refused(refusal, owner.machine.primary, owner.failure)

    async def _commit_group(self, writes: Sequence[Write], first: int, outcomes: dict[int, Outcome]) -> int:
        owner = self._owner
        group, following = await owner.files.on_writer(owner.disk.stage, writes, first)
        outcomes.update(group.failed)
        logged = owner.machine.last_seq
        if group.staged and group.staged[0].seq != logged + 1:
            await self._discard(group, outcomes)  # the log went on: this is no primary any more
            return following
        taken = self._propose(group, writes, outcomes)
        if not taken:
            await owner.files.on_writer(owner.disk.discard, group)
        for position, seq in group.repeats:
            write = writes[position]
            token = self._expect(outcomes, position, None)
            owner.step(ev.RepeatProposed(token, seq, write.visible, write.confirm_term))
        if self._over:
            self.give_up()
        await owner.applied.wait(logged + len(group.staged) if taken else logged)
        return following

    def _propose(self, group: Group, writes: Sequence[Write], outcomes: dict[int, Outcome]) -> bool:
        """Returns: whether the machine has logged them (or there was nothing to log)."""
        proposed = []
        for one in group.staged:
            write = writes[one.position]
            token = self._expect(outcomes, one.position, one.error)
            proposed.append(ev.Write(token, one.body, write.visible, write.confirm_term))
        logged = self._owner.machine.last_seq
        if proposed:
            self._owner.step(ev.Proposed(tuple(proposed)))
        return self._owner.machine.last_seq == logged + len(proposed)

    async def _discard(self, group: Group, outcomes: dict[int, Outcome]) -> None:
        owner = self._owner
        await owner.files.on_writer(owner.disk.discard, group)
        refusal = Done(None, refused(do.Refusal.NOT_PRIMARY, owner.machine.primary, owner.failure))
        outcomes.update({one.position: refusal for one in group.staged})
        outcomes.update({position: refusal for position, _ in group.repeats})

    def _expect(self, outcomes: dict[int, Outcome], position: int, error: VecraftError | None) -> int:
        """A token for a write; ``error``: what its answer tells although it is logged."""
        self._next_token += 1
        raw: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        self._tokens[self._next_token] = raw
        outcomes[position] = raw if error is None else _with_error(raw, error)
        return self._next_token


def _with_error(raw: asyncio.Future[Done], error: VecraftError) -> asyncio.Future[Done]:
    """``raw``'s outcome, with the error that part of the change met."""
    whole: asyncio.Future[Done] = asyncio.get_running_loop().create_future()

    def pass_on(done: asyncio.Future[Done]) -> None:
        outcome = done.result()
        whole.set_result(outcome if outcome.error is not None else Done(outcome.seq, error))

    raw.add_done_callback(pass_on)
    return whole
