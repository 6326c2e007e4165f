"""The chart's service as clients meet it: connections to whatever pod is ready, and one try more.

``Service`` is what kube-proxy is: each new connection goes to one endpoint and stays there; who cannot be
reached is not made up for. ``Again`` is a careful client: a request that was refused, cut off or answered 503
is sent once more, under the same Idempotency-Key, and anything worse is the caller's to see.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType

import httpx

from tests_cluster.kubelet import Pod

BUFFER = 1 << 16
PAUSE_S = 0.3  # before a request is sent a third time
CUT_OFF = (httpx.ConnectError, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)


class Service:
    """As an asynchronous context manager; ``port``: the pods' port by name."""

    def __init__(self, endpoints: Callable[[], Sequence[Pod]], port: str = "http") -> None:
        self.connections: Counter[str] = Counter()  # by pod
        self._endpoints, self._port = endpoints, port
        self._rng = random.Random(0)
        self._server: asyncio.Server | None = None
        self._running: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()
        return f"{host}:{port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    async def __aenter__(self) -> Service:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=200)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            with contextlib.suppress(asyncio.CancelledError):  # nobody waits for what streams begin
                await self._carry(reader, writer)
        finally:
            self._running.discard(task)
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        endpoints = self._endpoints()
        if not endpoints:
            return
        pod = self._rng.choice(endpoints)
        self.connections[pod.name] += 1
        try:
            inner_reader, inner_writer = await asyncio.open_connection(pod.node.address, pod.port(self._port))
        except OSError:
            return
        try:
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
        finally:
            inner_writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until one side has no more to say, which the other side is told."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(BUFFER):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()


class Again(httpx.AsyncBaseTransport):
    """Sends a request up to ``times`` times; ``why``: how often, and for what, one was sent again."""

    def __init__(self) -> None:
        self.times = 2
        self.why: Counter[str] = Counter()
        self._inner = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=None))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        request.headers["Idempotency-Key"] = uuid.uuid4().hex
        for attempt in range(self.times - 1):
            try:
                response = await self._inner.handle_async_request(request)
                if response.status_code != 503:
                    return response
                self.why[(await response.aread()).decode()[:200]] += 1
            except CUT_OFF as error:
                self.why[type(error).__name__] += 1
            if attempt:
                await asyncio.sleep(PAUSE_S)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()
