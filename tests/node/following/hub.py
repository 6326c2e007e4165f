"""A router and the peer it follows, without a network."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from consensus.raft_log import RaftLog
from node.following.followed_log import FollowedLog
from node.peer import feed_wire as wire
from node.peer.calls import Handler, StreamHandler
from node.peer.feed import Feed
from protos.errors import ShardUnavailable

ROUTER = 99


class Handlers:
    """As much of ``PeerCalls`` as a feed needs."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}
        self.streams: dict[str, StreamHandler] = {}

    def handle(self, method: str, handler: Handler) -> None:
        self.handlers[method] = handler

    def handle_stream(self, method: str, handler: StreamHandler) -> None:
        self.streams[method] = handler

    async def call(self, peer_id: int, method: str, request: bytes, *, timeout_s: float) -> bytes:
        raise AssertionError

    def stream(self, peer_id: int, method: str, request: bytes) -> AsyncIterator[bytes]:
        raise AssertionError


class Followed:
    """The peer as ``FollowedLog`` asks it; ``refusals``: so many calls are not taken."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self.refusals = 0

    async def ask(self, method: str, request: bytes, *, timeout_s: float) -> bytes:
        if self.refusals:
            self.refusals -= 1
            raise ShardUnavailable("nobody is there")
        async with asyncio.timeout(timeout_s):
            return await self._handlers.handlers[method](ROUTER, request)

    def why_not(self) -> str | None:
        return None


async def parts(handlers: Handlers, router: int = ROUTER, **ask: Any) -> AsyncIterator[wire.Part]:
    """What a peer tells a router."""
    wanted = wire.Ask(**{"feature_level": 1000, **ask})
    stream: Any = handlers.streams[wire.FOLLOW](router, wire.encode_ask(wanted))
    async with aclosing(stream) as messages:
        async for message in messages:
            for part in wire.decode_parts(message):
                yield part


@asynccontextmanager
async def following(log: RaftLog) -> AsyncIterator[FollowedLog]:
    handlers = Handlers()
    Feed(log).serve(handlers)
    followed = FollowedLog(ROUTER, Followed(handlers))
    begun = asyncio.Event()

    async def follow() -> None:
        stream: Any = parts(handlers)
        async with aclosing(stream) as told:
            async for part in told:
                followed.told(part)
                begun.set()

    task = asyncio.create_task(follow())
    await begun.wait()
    yield followed
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await followed.close()
