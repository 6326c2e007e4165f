"""Streams of answers: order, errors, pace, and what becomes of the handler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing

import pytest

from protos.errors import NotPrimary, ServiceError, ShardUnavailable, Timeout
from protos.peer.peer_pb2 import Refusal
from tests.node.peer.callers import Caller
from tests.node.peer.test_member import until

Make = Callable[..., Awaitable[Caller]]
EITHER = pytest.mark.parametrize("peer_id", [1, 2], ids=["here", "there"])


class Parts:
    """A stream handler: so many parts, then an error if there is one; tells how far it came."""

    def __init__(self, count: int, *, part: bytes = b"x", error: Exception | None = None) -> None:
        self.count, self.part, self.error = count, part, error
        self.made = self.ended = 0

    async def __call__(self, peer_id: int, request: bytes) -> AsyncIterator[bytes]:
        try:
            for number in range(self.count):
                self.made = number + 1
                yield self.part
            if self.error is not None:
                raise self.error
        finally:
            self.ended += 1


async def pair(caller: Make, parts: Parts) -> tuple[Caller, Caller]:
    one, other = await caller(1), await caller(2)
    one.calls.handle_stream("parts", parts)
    other.calls.handle_stream("parts", parts)
    return one, other


@EITHER
async def test_parts_come_in_order(caller: Make, peer_id: int) -> None:
    one, other = await pair(caller, Parts(0))

    async def count(caller_id: int, request: bytes) -> AsyncIterator[bytes]:
        for number in range(int(request)):
            yield b"%d:%d" % (caller_id, number)

    one.calls.handle_stream("count", count)
    other.calls.handle_stream("count", count)
    found = [part async for part in one.calls.stream(peer_id, "count", b"300")]
    assert found == [b"1:%d" % number for number in range(300)]
    assert [part async for part in one.calls.stream(peer_id, "count", b"0")] == []


@EITHER
async def test_an_error_comes_after_the_parts_before_it(caller: Make, peer_id: int) -> None:
    parts = Parts(3, error=NotPrimary("not here", primary=5))
    one, _ = await pair(caller, parts)
    stream = one.calls.stream(peer_id, "parts", b"")
    assert [await anext(stream) for _ in range(3)] == [b"x"] * 3
    with pytest.raises(NotPrimary) as raised:
        await anext(stream)
    assert raised.value.primary == 5
    await until(lambda: parts.ended == 1)


@EITHER
async def test_an_error_nobody_meant_is_a_service_error(caller: Make, peer_id: int) -> None:
    one, _ = await pair(caller, Parts(1, error=KeyError("k")))
    with pytest.raises(ServiceError, match="parts failed: KeyError"):
        async for _ in one.calls.stream(peer_id, "parts", b""):
            pass


@EITHER
async def test_the_handler_goes_at_the_readers_pace(caller: Make, peer_id: int) -> None:
    parts = Parts(200, part=b"x" * (1 << 20))
    one, _ = await pair(caller, parts)
    async with aclosing(one.calls.stream(peer_id, "parts", b"")) as stream:  # type: ignore[type-var]
        await anext(stream)
        settled = await _settled(parts)
        assert settled < 50  # of 200: what the transport has room for
        for _ in range(100):
            await anext(stream)
        assert 101 <= await _settled(parts) < 150


async def _settled(parts: Parts) -> int:
    """How many parts have been made when no more are."""
    made = -1
    while made != parts.made:
        made = parts.made
        await asyncio.sleep(0.2)  # longer than making and sending one takes
    return made


@EITHER
async def test_a_reader_that_stops_ends_the_handler(caller: Make, peer_id: int) -> None:
    parts = Parts(1_000_000, part=b"x" * 1000)
    one, _ = await pair(caller, parts)
    async with aclosing(one.calls.stream(peer_id, "parts", b"")) as stream:  # type: ignore[type-var]
        await anext(stream)
    await until(lambda: parts.ended == 1)
    assert parts.made < parts.count


async def test_one_that_is_refused_gets_no_part(caller: Make) -> None:
    parts = Parts(3)
    one, other = await pair(caller, parts)
    assert len([part async for part in one.calls.stream(2, "parts", b"")]) == 3
    other.unwanted[1] = Refusal(reason=Refusal.STALE, text="a newer process runs under this id")
    with pytest.raises(ShardUnavailable, match="a newer process"):
        await anext(one.calls.stream(2, "parts", b""))
    assert parts.ended == 1


async def test_a_peer_that_stops_midway_ends_the_stream_with_an_error(caller: Make) -> None:
    one, other = await pair(caller, Parts(1_000_000, part=b"x" * 1000))
    stream = one.calls.stream(2, "parts", b"")
    await anext(stream)
    await other.stop()
    with pytest.raises(Timeout, match="parts at peer 2"):
        async for _ in stream:
            pass


async def test_a_stream_that_is_not_read_does_not_keep_a_member_from_stopping(caller: Make) -> None:
    one, _ = await pair(caller, Parts(1_000_000, part=b"x" * 1000))
    stream = one.calls.stream(2, "parts", b"")
    await anext(stream)
    await one.calls.close()
    with pytest.raises(Timeout, match="this member stops"):
        async for _ in stream:
            pass
