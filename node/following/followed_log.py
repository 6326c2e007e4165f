"""The metadata log as a router has it: the state that a peer tells, commands that a peer proposes.

A form of ``consensus.log.ClusterLog``. Who is followed at the moment is not its business: it asks through
``Followed``. A proposal that a peer certainly did not begin with is taken to the next one; one whose outcome
is unknown, since that peer was lost with it, is a Timeout, as when a peer loses the leader.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

from consensus.commands import Command, encode_command
from consensus.log import RaftStatus, Subscriber
from consensus.state import ClusterState
from consensus.subscribers import Subscribers
from consensus.transitions import Events, rejection
from node.following.copy import Copy, begun_anew, take
from node.peer import feed_wire as wire
from node.peer.feed_wire import Part, Told
from protos.errors import ServiceError, ShardUnavailable, Timeout
from protos.tasks import heed

PROPOSE_TIMEOUT_S = 10.0
ANSWER_MARGIN_S = 1.0  # the peer itself is to say that the time is up: it knows what may have become of it
RETRY_S = 0.1


class Followed(Protocol):
    """The peer that is followed."""

    async def ask(self, method: str, request: bytes, *, timeout_s: float) -> bytes:
        """Raises: ShardUnavailable if nobody has begun with it; as ``PeerCalls.call``."""
        ...

    def why_not(self) -> str | None:
        """Why nobody is followed; None: somebody is, or was a moment ago."""
        ...


class FollowedLog:
    """For one event loop. ``told`` and ``begin_anew`` are for whoever follows."""

    def __init__(self, peer_id: int, followed: Followed) -> None:
        self._peer_id, self._followed = peer_id, followed
        self._copy = Copy()
        self._last_told = Told(0, 0, 0, None, (), has_quorum=False, stopped=False)
        self._told_unix_s = 0.0
        self._commit = 0
        self._subscribers = Subscribers[ClusterState, Events]()
        self._advanced = asyncio.Event()
        self._proposals: set[asyncio.Task[Any]] = set()
        self._closed = False

    @property
    def peer_id(self) -> int:
        """This router's; no peer's."""
        return self._peer_id

    @property
    def state(self) -> ClusterState:
        return self._copy.state

    @property
    def applied_index(self) -> int:
        return self._copy.index

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        return self._subscribers.add(subscriber)

    async def propose(self, command: Command) -> Events:
        """See ``MetadataLog.propose``; on return this router has heard of what it led to."""
        data = encode_command(command)
        answer = await self._carry_out(
            wire.PROPOSE, lambda left_s: wire.encode_proposal(data, timeout_s=left_s)
        )
        index, events = wire.decode_outcome(answer)
        await self._reached(index)
        refused = rejection(events)
        if refused is not None:
            raise refused.error
        return events

    async def barrier(self) -> int:
        answer = await self._carry_out(wire.BARRIER, lambda _: b"")
        index = wire.decode_index(answer)
        await self._reached(index)
        return index

    def status(self) -> RaftStatus:
        """As the peer that is followed has told last. ``role`` is None: a router has none."""
        last = self._last_told
        return RaftStatus(
            term=last.term,
            commit=max(last.commit, self._commit, self._copy.index),
            applied=self._copy.index,
            pending_operations=max(0, last.index - self._copy.index),
            leader=last.leader,
            role=None,
            is_voter=False,
            voters=last.voters,
            has_quorum=last.has_quorum,
            stopped=self._closed,
            error=self._followed.why_not(),
            last_update_unix_s=self._told_unix_s,
        )

    async def close(self) -> None:
        self._closed = True

    # --- from who is followed -----------------------------------------------------------------------------

    def begin_anew(self) -> None:
        self._copy = begun_anew(self._copy)

    def forget(self) -> None:
        """What was told does not hold together: the next state counts, however old."""
        self._copy = Copy(0, self._copy.state)

    def told(self, part: Part) -> bool:
        """Returns: is the state another one? Raises: Parted, TooNew."""
        self._copy, events = take(self._copy, part)
        if isinstance(part, Told):
            self._last_told, self._told_unix_s = part, time.time()
        self._advance()
        if events is not None:
            self._subscribers.tell(self._copy.state, events)
        return events is not None

    def _advance(self) -> None:
        advanced, self._advanced = self._advanced, asyncio.Event()
        advanced.set()

    # --- asking ---------------------------------------------------------------------------------------------

    async def _carry_out(self, method: str, request: Callable[[float], bytes]) -> bytes:
        """A caller that is cancelled leaves it to complete."""
        task = asyncio.create_task(self._ask(method, request))
        self._proposals.add(task)
        task.add_done_callback(self._proposals.discard)
        task.add_done_callback(heed)
        return await asyncio.shield(task)

    async def _ask(self, method: str, request: Callable[[float], bytes]) -> bytes:
        loop = asyncio.get_running_loop()
        end_s = loop.time() + PROPOSE_TIMEOUT_S
        while True:
            if self._closed:
                raise ServiceError("The metadata log takes no commands: it is closed")
            left_s = end_s - loop.time()
            try:
                data = request(max(left_s, RETRY_S))
                return await self._followed.ask(
                    method, data, timeout_s=max(left_s, RETRY_S) + ANSWER_MARGIN_S
                )
            except ShardUnavailable as error:
                if loop.time() + RETRY_S >= end_s:
                    why = f"No peer took the operation within {PROPOSE_TIMEOUT_S:g} s: {error}"
                    raise ServiceError(why) from error
                await asyncio.sleep(RETRY_S)

    async def _reached(self, index: int) -> None:
        """Return when this router has heard of what is at ``index``. Raises: Timeout."""
        self._commit = max(self._commit, index)
        try:
            async with asyncio.timeout(PROPOSE_TIMEOUT_S):
                while self._copy.index < index:
                    await self._advanced.wait()
        except TimeoutError:
            raise Timeout(
                "The operation was agreed on, but this router has not heard of it within "
                f"{PROPOSE_TIMEOUT_S:g} s"
            ) from None
