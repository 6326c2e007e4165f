"""What a peer does for routers: tells them the state and its changes, proposes what they propose.

Nothing of this outlives a connection: who goes away is forgotten with it. A router is told from memory, so it
holds nothing back: neither the log's truncation nor anybody's agreement. One that takes what it is told too
slowly is sent away, and begins anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable

import msgspec

from consensus.commands import decode_command
from consensus.raft_log import RaftLog
from consensus.raft_machine import Applied, Restored
from node.measures import ROUTERS_FOLLOWING
from node.peer import feed_wire as wire
from node.peer.calls import PeerCalls
from node.peer.feed_wire import Change, Part
from protos.errors import BadInput, ShardUnavailable
from protos.logger import get_logger

TELL_S = 0.25  # what a router hears at least
WAITING_MAX = 1024  # parts that a router has not taken yet
UNKNOWN_S = 3.0  # a router that does not say for so long that it knows of a change is not waited for

_log = get_logger(__name__)


class Feed:
    """``serve`` has it answer; ``known`` is how far this peer and all who follow it have come."""

    def __init__(self, log: RaftLog, now_s: Callable[[], float] = time.monotonic) -> None:
        self._log, self._now_s = log, now_s
        self._readers: dict[int, _Reader] = {}
        log.watch(self._taken)

    def serve(self, calls: PeerCalls) -> None:
        calls.handle_stream(wire.FOLLOW, self._follow)
        calls.handle(wire.KNOWN, self._knows)
        calls.handle(wire.PROPOSE, self._propose)
        calls.handle(wire.BARRIER, self._barrier)

    def known(self) -> int:
        """Up to where the log is known here, and to all routers that follow this peer and answer."""
        now_s = self._now_s()
        readers = [reader for reader in self._readers.values() if not reader.is_late(now_s)]
        if not readers:
            return self._log.status().commit
        behind = (reader.known for reader in readers if reader.is_behind())
        return min([self._log.applied_index, *behind])

    def _taken(self, what: Applied | Restored) -> None:
        now_s = self._now_s()
        for reader in self._readers.values():
            if isinstance(what, Restored):
                reader.begin(list(wire.pieces(what.state.cluster, what.state.index)), what.state.index, now_s)
            elif what.cluster is not None:
                change = Change(what.index, what.cluster.version, what.envelope.command)
                reader.add(change, now_s)

    # --- what routers ask -----------------------------------------------------------------------------------

    async def _follow(self, caller: int, request: bytes) -> AsyncIterator[bytes]:
        ask, state, index = wire.decode_ask(request), self._log.state, self._log.applied_index
        if self._log.status().stopped:
            raise ShardUnavailable("this member is not of a running cluster")
        if ask.feature_level < state.feature_level:
            raise ShardUnavailable(
                f"feature level {state.feature_level} is in use, and the router knows {ask.feature_level}"
            )
        reader = _Reader()
        self._readers[caller] = reader  # what it followed before, it follows no more
        ROUTERS_FOLLOWING.set(len(self._readers))
        _log.info("router_follows", router=caller, version=ask.version)
        reader.begin(list(wire.pieces(state, index)), index, self._now_s())
        try:
            while self._readers.get(caller) is reader:
                messages = reader.take()
                # As of now: what is applied while these are sent is no part of them.
                told = wire.told(self._log.applied_index, self._log.status())
                for parts in messages:
                    yield wire.encode_parts(parts)
                yield wire.encode_parts([told])
                if reader.is_late(self._now_s()):
                    raise ShardUnavailable("the router does not say that it knows what it was told")
                await reader.wait(TELL_S)
        finally:
            if self._readers.get(caller) is reader:
                del self._readers[caller]
            ROUTERS_FOLLOWING.set(len(self._readers))
            _log.info("router_left", router=caller)

    async def _knows(self, caller: int, request: bytes) -> bytes:
        reader = self._readers.get(caller)
        if reader is not None:
            reader.knows(wire.decode_index(request))
        return b""

    async def _propose(self, _caller: int, request: bytes) -> bytes:
        data, timeout_s = wire.decode_proposal(request)
        self._refuse_if_stopped()
        try:
            command = decode_command(data)
        except msgspec.MsgspecError as error:
            raise BadInput(f"the operation is not known here: {error}") from error
        result = await self._log.outcome(command, timeout_s=timeout_s)
        self._tell_soon()
        return wire.encode_outcome(result.index, result.events)

    async def _barrier(self, _caller: int, _request: bytes) -> bytes:
        self._refuse_if_stopped()
        index = await self._log.barrier()
        self._tell_soon()
        return wire.encode_index(index)

    def _refuse_if_stopped(self) -> None:
        """Raises: ShardUnavailable: another peer may take it."""
        if self._log.status().stopped:
            raise ShardUnavailable("this member is not of a running cluster")

    def _tell_soon(self) -> None:
        """Who has proposed waits until he has heard of it."""
        for reader in self._readers.values():
            reader.wake()


class _Reader:
    """What one router is still to be told, and what it knows. ``known``: as it has said itself."""

    def __init__(self) -> None:
        self.known = 0
        self._waiting: deque[Part] = deque()
        self._nudge = asyncio.Event()
        self._changed_at = 0  # the index of the last change
        self._unknown_since_s: float | None = None
        self._lost = False

    def begin(self, state: list[wire.Piece], index: int, now_s: float) -> None:
        """Tell the whole state, which stands for all that was not told yet."""
        self._waiting = deque(state)
        self._to_be_known(index, now_s)

    def add(self, change: Change, now_s: float) -> None:
        if len(self._waiting) >= WAITING_MAX:
            self._lost = True
        else:
            self._waiting.append(change)
        self._to_be_known(change.index, now_s)

    def _to_be_known(self, index: int, now_s: float) -> None:
        self._changed_at = index
        if self._unknown_since_s is None:
            self._unknown_since_s = now_s
        self.wake()

    def knows(self, index: int) -> None:
        self.known = max(self.known, index)
        if not self.is_behind():
            self._unknown_since_s = None

    def is_behind(self) -> bool:
        return self.known < self._changed_at

    def is_late(self, now_s: float) -> bool:
        return self._unknown_since_s is not None and now_s - self._unknown_since_s > UNKNOWN_S

    def take(self) -> list[list[Part]]:
        """Messages to send.

        Raises: ShardUnavailable: there was more than can be kept.
        """
        self._nudge.clear()
        if self._lost:
            raise ShardUnavailable("the router takes too slowly what it is told")
        waiting, self._waiting = self._waiting, deque()
        return wire.messages(waiting)

    def wake(self) -> None:
        self._nudge.set()

    async def wait(self, seconds: float) -> None:
        """Until there is something to tell, at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._nudge.wait()
