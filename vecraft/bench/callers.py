"""Many connections to a server at once, each sending one prepared request after another.

What a client costs is kept small (bytes made ready, nothing decoded): it shares the machine with the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

import grpc.aio

from vecraft.bench.server import ServerFailed


class Caller(Protocol):
    """One connection."""

    async def call(self, body: bytes) -> bytes:
        """The answer's body. Raises: ServerFailed on an error."""
        ...


class RestCaller:
    """HTTP/1.1, kept alive."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
        self._reader, self._writer, self._path = reader, writer, path

    async def call(self, body: bytes) -> bytes:
        self._writer.write(
            f"POST {self._path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        answer = await self._reader.readexactly(length)
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise ServerFailed(f"{self._path}: {head!r} {answer[:500]!r}")
        return answer


class GrpcCaller:
    def __init__(self, channel: grpc.aio.Channel, method: str) -> None:
        self._call: Any = channel.unary_unary(method)

    async def call(self, body: bytes) -> bytes:
        try:
            answer: bytes = await self._call(body)
        except grpc.aio.AioRpcError as error:
            raise ServerFailed(f"gRPC: {error.code()} {error.details()}") from error
        return answer


@asynccontextmanager
async def rest_callers(port: int, path: str, count: int) -> AsyncIterator[Sequence[Caller]]:
    async with AsyncExitStack() as stack:
        callers = []
        for _ in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            callers.append(RestCaller(reader, writer, path))
        yield callers


@asynccontextmanager
async def grpc_callers(port: int, method: str, count: int) -> AsyncIterator[Sequence[Caller]]:
    # A pool of its own for each, or all of them would share one connection.
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    async with AsyncExitStack() as stack:
        callers = []
        for _ in range(count):
            channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options)
            callers.append(GrpcCaller(await stack.enter_async_context(channel), method))
        yield callers


async def call_all(callers: Sequence[Caller], bodies: Sequence[bytes]) -> list[bytes]:
    """Send every body once, over whichever connection is free; answers in the order of the bodies."""
    answers = [b""] * len(bodies)
    waiting: Iterator[tuple[int, bytes]] = iter(enumerate(bodies))

    async def lane(caller: Caller) -> None:
        for i, body in waiting:
            answers[i] = await caller.call(body)

    await asyncio.gather(*map(lane, callers))
    return answers
