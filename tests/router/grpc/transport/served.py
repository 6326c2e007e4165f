"""A server of methods that tell what happens to them, on a free port, and raw HTTP/2 to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import h2.config
import h2.connection
import h2.events
from grpc import StatusCode

from router.grpc.transport.calls import Incoming, Method, Reply, Requests, Streaming, Unary
from router.grpc.transport.messages import Refused, frame
from router.grpc.transport.server import GrpcServer

HOST = "127.0.0.1"
METADATA_BYTES_MAX = 1 << 15


class Methods:
    """``held``: calls of Hold that are under way; ``cancelled``: those that were given up."""

    def __init__(self) -> None:
        self.begun = self.held = self.cancelled = 0
        self.go = asyncio.Event()
        self.changed = asyncio.Condition()
        self.seen: list[Incoming] = []

    @property
    def all(self) -> Mapping[str, Method]:
        return {
            "/test/Echo": Unary(self.echo),
            "/test/Gzip": Unary(self.gzip),
            "/test/Long": Unary(self.long),
            "/test/Fail": Unary(self.fail),
            "/test/Crash": Unary(self.crash),
            "/test/Hold": Unary(self.hold),
            "/test/Each": Streaming(self.each),
            "/test/Many": Streaming(self.many),
        }

    async def echo(self, data: bytes, incoming: Incoming) -> Reply:
        self.seen.append(incoming)
        return Reply(data, trailing=[("x-seen", str(len(data)))])

    async def gzip(self, data: bytes, _: Incoming) -> Reply:
        return Reply(data, compress=True)

    async def long(self, data: bytes, _: Incoming) -> Reply:
        """As many bytes as the request says."""
        self.begun += 1
        return Reply(b"x" * int(data))

    async def fail(self, data: bytes, _: Incoming) -> Reply:
        return Reply(code=StatusCode.NOT_FOUND, text=data.decode(), trailing=[("retry-after", "1")])

    async def crash(self, data: bytes, _: Incoming) -> Reply:
        raise ZeroDivisionError("a mistake")

    async def hold(self, data: bytes, _: Incoming) -> Reply:
        await self._count(1)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            await self._count(-1)
        return Reply(data)

    async def each(self, requests: Requests, _: Incoming) -> AsyncIterator[bytes]:
        async for request in requests:
            if request == b"refuse":
                raise Refused(StatusCode.OUT_OF_RANGE, "enough")
            yield request

    async def many(self, requests: Requests, _: Incoming) -> AsyncIterator[bytes]:
        """Answers of 10,000 bytes without end."""
        async for _request in requests:
            while True:
                self.begun += 1
                yield b"x" * 10_000

    async def _count(self, more: int) -> None:
        self.held += more
        async with self.changed:
            self.changed.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(condition)

    async def until_still(self) -> None:
        """Until no more is begun."""
        async with asyncio.timeout(20):
            before = -1
            while not 0 < before == self.begun:
                before = self.begun
                await asyncio.sleep(0.05)


class Served:
    def __init__(self, server: GrpcServer, port: int, methods: Methods) -> None:
        self.server, self.port, self.methods = server, port, methods

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"


@asynccontextmanager
async def serving() -> AsyncIterator[Served]:
    methods = Methods()
    server = GrpcServer(metadata_bytes_max=METADATA_BYTES_MAX)
    server.add(methods.all)
    port = await server.listen(HOST, 0)
    try:
        yield Served(server, port, methods)
    finally:
        await server.stop(0)


class Raw:
    """A client that does what it is told, by hyper-h2; it opens its windows only when asked to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(validate_outbound_headers=False))
        self.events: list[h2.events.Event] = []
        self.closed = False

    async def greet(self) -> None:
        self.h2.initiate_connection()
        await self.send()

    async def send(self) -> None:
        self.writer.write(self.h2.data_to_send())
        await self.writer.drain()

    @staticmethod
    def headers(path: str, fields: Sequence[tuple[str, str]] = ()) -> list[tuple[str, str]]:
        return [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "test"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            *fields,
        ]

    async def begin(self, path: str, fields: Sequence[tuple[str, str]] = (), *, end: bool = False) -> int:
        """A stream, without its messages."""
        stream: int = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, self.headers(path, fields), end_stream=end)
        await self.send()
        return stream

    async def call(self, path: str, body: bytes, fields: Sequence[tuple[str, str]] = ()) -> int:
        stream = await self.begin(path, fields)
        self.h2.send_data(stream, frame(body), end_stream=True)
        await self.send()
        return stream

    async def until(
        self, found: Callable[[h2.events.Event], bool], *, open_windows: bool = True
    ) -> h2.events.Event:
        """Read until there was such an event. Raises: ConnectionError if the server closes before."""
        async with asyncio.timeout(20):
            while True:
                for event in self.events:
                    if found(event):
                        return event
                await self.read(open_windows=open_windows)

    async def read(self, *, open_windows: bool = True) -> None:
        """Raises: ConnectionError if the server has closed."""
        data = await self._reader.read(1 << 16)
        if not data:
            self.closed = True
            raise ConnectionError("closed")
        for event in self.h2.receive_data(data):
            self.events.append(event)
            if open_windows and isinstance(event, h2.events.DataReceived) and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        await self.send()

    async def ended(self, stream: int) -> dict[str, str]:
        """All headers and trailers of an answer."""
        await self.until(lambda event: isinstance(event, h2.events.StreamEnded) and event.stream_id == stream)
        found: dict[str, str] = {}
        for event in self.events:
            heads = isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived)
            if heads and event.stream_id == stream:
                found |= {name.decode(): value.decode() for name, value in event.headers}
        return found

    async def rest(self) -> bytes:
        """Whatever comes until the server closes."""
        async with asyncio.timeout(20):
            return await self._reader.read()

    async def until_closed(self) -> None:
        async with asyncio.timeout(20):
            while not self.closed:
                try:
                    await self.read()
                except ConnectionError:
                    return


@asynccontextmanager
async def raw(served: Served, *, greet: bool = True) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection(HOST, served.port)
    client = Raw(reader, writer)
    try:
        if greet:
            await client.greet()
        yield client
    finally:
        writer.close()
