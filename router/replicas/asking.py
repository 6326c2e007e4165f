"""Reads of one shard from its replicas: asking, hedging, replacing, giving up.

Lives here: the asyncio shell around ``router.replicas.consistency``. Time is the event loop's.
May not live here: what answers mean, where replicas are, how a remote one is reached.

One read is one ``_Read``: it asks the plan's replicas at once, one more when answers are late, another in
place of one that fails for a reason that may not concern the next (``error.transient``), and again those
that turn out to be behind. Whatever is still under way when it ends is cancelled.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

from node.client import ReplicaClient
from protos.errors import PointsMoved, ServiceError, Timeout, VecraftError
from protos.shard import Position, ReadSession
from protos.shard_client import ShardClient
from protos.tasks import heed
from router.replicas.consistency import Answer, AskAgain, Plan, Resolved
from router.replicas.hedging import Hedging

T = TypeVar("T")

ATTEMPT_MS = 10_000  # one replica's time for one answer; then it counts as failed
ROUNDS_MAX = 3  # of asking replicas that are behind again


class Plain:
    """A replica that serves its shard directly and does not tell positions."""

    def __init__(self, shard: ShardClient) -> None:
        self._shard = shard

    def open(self, session: ReadSession) -> ShardClient:  # noqa: ARG002 - the port's signature
        return self._shard


Call = Callable[[ShardClient], Awaitable[T]]
Resolve = Callable[[Sequence[Answer[T]], bool], Resolved[T] | AskAgain]  # the flag: settle now


class ReplicaReads:
    """The reads of one shard; keeps what is learnt from one for the next.

    ``load`` counts requests under way by peer and may be shared by all shards of a node.
    """

    def __init__(self, load: Counter[int] | None = None) -> None:
        self.load: Counter[int] = Counter() if load is None else load
        self.hedging = Hedging()

    async def read(
        self,
        plan: Plan,
        replicas: Mapping[int, ReplicaClient],
        call: Call[T],
        resolve: Resolve[T],
        *,
        hedge_delay_ms: int | None = None,
        attempt_ms: int | None = ATTEMPT_MS,
        at_least: Position | None = None,
        answers_since: int | None = None,
    ) -> T:
        """Ask as ``plan`` says until ``resolve`` has a value.

        Args:
            replicas: clients by peer; one without counts as failed.
            call: the read itself; made once per replica asked, perhaps again.
            hedge_delay_ms: ``read_fan_out_delay_ms``; None: as experience says, within a budget; 0: never.
            attempt_ms: one replica's time for one answer; None: as long as the caller waits.
            at_least: every answer is as of this position or later.
            answers_since: of the shard, as in ``ReadSession``.
        Raises: the first replica's error when too few can answer; at once if it is not transient.
        """
        self.hedging.earn()
        attempt_s = None if attempt_ms is None else attempt_ms / 1000
        demands = ReadSession(plan.consistency != 1, at_least, answers_since=answers_since)
        read = _Read(self, plan, replicas, call, resolve, hedge_delay_ms, attempt_s, demands)
        try:
            return await read.run()
        finally:
            read.cancel()


class _Read(Generic[T]):
    def __init__(
        self,
        owner: ReplicaReads,
        plan: Plan,
        replicas: Mapping[int, ReplicaClient],
        call: Call[T],
        resolve: Resolve[T],
        hedge_delay_ms: int | None,
        attempt_s: float | None,
        demands: ReadSession,
    ) -> None:
        self._owner, self._plan, self._replicas = owner, plan, replicas
        self._call, self._resolve = call, resolve
        self._hedge_delay_ms, self._attempt_s = hedge_delay_ms, attempt_s
        self._demands = demands
        self._spare = deque(plan.spare)
        self._running: dict[asyncio.Task[Answer[T]], int] = {}
        self._answers: dict[int, Answer[T]] = {}
        self._asked_again: set[int] = set()
        self._rounds = 0
        self._may_hedge = hedge_delay_ms != 0
        self._error: VecraftError | None = None

    async def run(self) -> T:
        for peer in self._plan.ask:
            self._ask(peer)
        while True:
            resolved = self._try_to_resolve()
            if resolved is not None:
                return resolved.value
            if not self._running:
                raise self._error or ServiceError("No replica was asked")
            await self._progress()

    def cancel(self) -> None:
        for task in self._running:
            task.cancel()

    # --- asking --------------------------------------------------------------------------------------

    def _ask(self, peer: int, at_least: Position | None = None) -> None:
        """``at_least``: further than the read demands by itself, of a replica that was behind others."""
        task = asyncio.create_task(self._attempt(peer, at_least))
        task.add_done_callback(heed)  # losers are not waited for
        self._running[task] = peer

    async def _attempt(self, peer: int, at_least: Position | None) -> Answer[T]:
        client = self._replicas.get(peer)
        if client is None:
            raise ServiceError(f"Peer {peer} is not known here")
        demands = self._demands
        demanded = [each for each in (at_least, demands.at_least) if each is not None]
        session = ReadSession(
            demands.strong, max(demanded, default=None), answers_since=demands.answers_since
        )
        loop = asyncio.get_running_loop()
        started = loop.time()
        self._owner.load[peer] += 1
        try:
            async with asyncio.timeout(self._attempt_s):
                value = await self._call(client.open(session))
        except TimeoutError as error:
            raise Timeout(f"Replica on peer {peer} gave no answer within {self._attempt_s:g}s") from error
        finally:
            self._owner.load[peer] -= 1
        if at_least is None:
            self._owner.hedging.answered((loop.time() - started) * 1000)
        return Answer(peer, value, session.position)

    # --- waiting -------------------------------------------------------------------------------------

    async def _progress(self) -> None:
        """Wait for an answer, a failure, or the moment to ask one more."""
        done, _ = await asyncio.wait(
            self._running, timeout=self._patience_s(), return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            self._finished(task)
        if not done:
            self._hedge()

    def _patience_s(self) -> float | None:
        if not self._spare or not self._may_hedge:
            return None
        return self._owner.hedging.delay_ms(self._hedge_delay_ms) / 1000

    def _hedge(self) -> None:
        self._may_hedge = self._hedge_delay_ms is not None or self._owner.hedging.spend()
        if self._may_hedge:
            self._ask(self._spare.popleft())

    def _finished(self, task: asyncio.Task[Answer[T]]) -> None:
        """Raises: what is not transient; the first error when the votes are out of reach."""
        peer = self._running.pop(task)
        try:
            self._answers[peer] = task.result()
        except VecraftError as error:
            if not error.transient:
                raise
            if self._error is None or isinstance(error, PointsMoved):  # which says what to do about it
                self._error = error
            if peer not in self._asked_again and self._spare:
                self._ask(self._spare.popleft())
            if len(self._answers) + len(self._running) < self._plan.votes:
                raise self._error from None

    # --- resolving -----------------------------------------------------------------------------------

    def _try_to_resolve(self) -> Resolved[T] | None:
        """None while more answers are needed and may come."""
        waiting = bool(self._running)
        if len(self._answers) < self._plan.votes or self._asked_again & set(self._running.values()):
            return None
        complete = len(self._answers) >= self._plan.wanted or not waiting
        outcome = self._resolve(list(self._answers.values()), complete and self._rounds == ROUNDS_MAX)
        if isinstance(outcome, Resolved):
            return outcome if complete or outcome.unanimous else None
        if complete:
            self._ask_again(outcome)
        return None

    def _ask_again(self, behind: AskAgain) -> None:
        """The old answers stay, for the case that a replica fails now."""
        self._rounds += 1
        self._asked_again.update(behind.peers)
        for peer in behind.peers:
            self._ask(peer, behind.at_least)
