"""The long-lived connections on which this member calls others: one to each peer.

A line is made when a call first needs one, for the address that the peer has then, and begins with a
greeting, which tells who is at the other end. It serves as long as it is ready; then it is put aside, where
calls that run on it may end, and the next call makes another, so that names are resolved anew and no
waiting time is inherited. Whatever goes wrong before a caller has a line: it has sent nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import grpc

from node.peer import service
from node.peer.addresses import address_of
from node.peer.security import NO_SECURITY, Metadata, PeerSecurity
from protos import spans
from protos.errors import BadInput
from protos.request_ids import HEADER, REQUEST_ID
from protos.tasks import end_all

CONNECT_S = 1.0
REDIAL_S = 0.1  # so long the outcome of a failed try holds: a peer that is away is not flooded
OPEN_CALLS_MAX = 4096  # on one line
OPEN_BYTES_MAX = 512 << 20  # of requests without an answer, on one line; a single one always goes


class NoLine(Exception):
    """The peer cannot be called now."""


class Line:
    """A channel to a peer at an address. ``incarnation``: of the process there, once it was greeted.

    ``cut`` tells why its calls were cancelled, if they were. ``prefixes``: of requests, by method.
    """

    def __init__(self, uri: str, security: PeerSecurity = NO_SECURITY) -> None:
        """Raises: BadInput: the URI is none."""
        self.uri = uri
        self.incarnation = 0
        self.cut = ""
        self.prefixes: dict[str, bytes] = {}
        self._channel = service.channel(address_of(uri), security, options=service.CALL_OPTIONS)
        self._shown = security.metadata
        self._call, self._stream = service.call_methods(self._channel)
        self._running: set[Any] = set()
        self._open_bytes = 0
        self._aside = False
        self._closing: asyncio.Task[None] | None = None

    @property
    def is_ready(self) -> bool:
        return bool(self._channel.get_state() is grpc.ChannelConnectivity.READY)

    @property
    def is_closed(self) -> bool:
        return self._closing is not None and self._closing.done()

    async def connect(self) -> None:
        """Return when it is ready. Raises: NoLine."""
        while True:
            state = self._channel.get_state(try_to_connect=True)
            if state is grpc.ChannelConnectivity.READY:
                return
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                raise NoLine(f"it cannot be reached at {self.uri}")
            await self._channel.wait_for_state_change(state)

    @contextlib.contextmanager
    def calling(self, request: bytes, *, timeout_s: float) -> Iterator[Any]:
        """A unary call; one that still runs when the block ends is cancelled. Raises: NoLine."""
        self._make_room(len(request))
        with self._until_done(
            self._call(request, timeout=timeout_s, metadata=self._metadata()), len(request)
        ) as call:
            yield call

    @contextlib.contextmanager
    def streaming(self, request: bytes) -> Iterator[Any]:
        """As ``calling``, with a stream of answers."""
        self._make_room(len(request))
        with self._until_done(self._stream(request, metadata=self._metadata()), len(request)) as call:
            yield call

    def _metadata(self) -> Metadata:
        """The key, and of the request that a call is made for, if it is made for one, its id and its span."""
        request_id, tracer = REQUEST_ID.get(), spans.tracer()
        if not request_id:
            return self._shown
        return (*self._shown, (HEADER, request_id), *(() if tracer is None else tracer.outgoing()))

    def _make_room(self, size: int) -> None:
        if self._closing is not None:
            raise NoLine(f"the connection to {self.uri} has ended")
        full = self._running and self._open_bytes + size > OPEN_BYTES_MAX
        if full or len(self._running) >= OPEN_CALLS_MAX:
            raise NoLine(f"{len(self._running)} calls of {self._open_bytes} bytes are open already")

    @contextlib.contextmanager
    def _until_done(self, call: Any, size: int) -> Iterator[Any]:
        self._running.add(call)
        self._open_bytes += size
        try:
            yield call
        finally:
            if not call.done():
                call.cancel()
            self._running.discard(call)
            self._open_bytes -= size
            if self._aside:
                self.put_aside()

    def cut_off(self, why: str) -> None:
        """Take no more calls, and end those that run: their answers will not come."""
        self.cut = why
        for call in self._running:
            call.cancel()
        if self._closing is None:
            self._closing = asyncio.create_task(self._channel.close())

    def put_aside(self) -> None:
        """Take no more calls, and close when the last one has ended."""
        self._aside = True
        if not self._running and self._closing is None:
            self._closing = asyncio.create_task(self._channel.close())

    async def closed(self) -> None:
        """Return when it is closed, if that has begun."""
        if self._closing is not None:
            await self._closing


UriOf = Callable[[int], str | None]
Greet = Callable[[int, Line], Awaitable[int]]  # the peer; returns its incarnation, raises NoLine


class Lines:
    """Use on one event loop."""

    def __init__(
        self,
        uri_of: UriOf,
        greet: Greet,
        *,
        security: PeerSecurity = NO_SECURITY,
        connect_s: float = CONNECT_S,
    ) -> None:
        self._uri_of, self._greet = uri_of, greet
        self._security = security
        self._connect_s = connect_s
        self._lines: dict[int, Line] = {}
        self._dialling: dict[tuple[int, str], asyncio.Task[Line]] = {}
        self._failed: dict[tuple[int, str], tuple[float, str]] = {}  # when, why
        self._all: set[Line] = set()

    async def to(self, peer_id: int, *, timeout_s: float) -> Line:
        """A line that is ready. Raises: NoLine."""
        uri = self._uri_of(peer_id)
        line = self._lines.get(peer_id)
        if line is not None:
            if line.uri == uri and line.is_ready:
                return line
            self.drop(peer_id, line)
        if uri is None:
            raise NoLine("its address is not known")
        dialled = self._dialled(peer_id, uri)
        await asyncio.wait({dialled}, timeout=timeout_s)  # whoever else waits for it goes on
        if not dialled.done():
            raise NoLine(f"it did not answer at {uri} within {timeout_s:g} s")
        if dialled.cancelled():
            raise NoLine("this member stops")
        return dialled.result()

    def drop(self, peer_id: int, line: Line) -> None:
        """Have another line made for the next call; those that run on this one may end."""
        if self._lines.get(peer_id) is line:
            del self._lines[peer_id]
        line.put_aside()

    def renew(self, peer_id: int, incarnation: int) -> None:
        """The peer runs as ``incarnation`` now: what was asked of an older process stays unanswered."""
        for key in [key for key in self._failed if key[0] == peer_id]:
            del self._failed[key]
        line = self._lines.get(peer_id)
        if line is not None and line.incarnation < incarnation:
            del self._lines[peer_id]
            line.cut_off("another process runs under its id now")

    async def close(self) -> None:
        await end_all(self._dialling.values())
        self._lines.clear()
        lines = list(self._all)
        for line in lines:
            line.cut_off("this member stops")
        await asyncio.gather(*(line.closed() for line in lines))

    def _dialled(self, peer_id: int, uri: str) -> asyncio.Task[Line]:
        """One try, for all who wait. Raises: NoLine: one has just failed."""
        key = (peer_id, uri)
        if key not in self._dialling:
            at_s, why = self._failed.get(key, (float("-inf"), ""))
            if asyncio.get_running_loop().time() - at_s < REDIAL_S:
                raise NoLine(why)
            self._dialling[key] = asyncio.create_task(self._dial(peer_id, uri))
            self._dialling[key].add_done_callback(lambda task: self._dialling_ended(key, task))
        return self._dialling[key]

    def _dialling_ended(self, key: tuple[int, str], task: asyncio.Task[Line]) -> None:
        self._dialling.pop(key, None)
        self._all = {line for line in self._all if not line.is_closed}
        if not task.cancelled() and task.exception() is not None:
            self._failed = {other: at for other, at in self._failed.items() if other[0] != key[0]}
            self._failed[key] = (asyncio.get_running_loop().time(), str(task.exception()))

    async def _dial(self, peer_id: int, uri: str) -> Line:
        try:
            line = Line(uri, self._security)
        except BadInput as error:
            raise NoLine(str(error)) from error
        self._all.add(line)
        try:
            async with asyncio.timeout(self._connect_s):
                await line.connect()
                line.incarnation = await self._greet(peer_id, line)
            if self._uri_of(peer_id) != uri:
                raise NoLine(f"it is not at {uri} any more")
        except TimeoutError:
            line.put_aside()
            raise NoLine(f"it did not answer at {uri} within {self._connect_s:g} s") from None
        except BaseException:
            line.put_aside()
            raise
        older = self._lines.get(peer_id)
        if older is not None:
            self.drop(peer_id, older)
        self._lines[peer_id] = line
        return line
