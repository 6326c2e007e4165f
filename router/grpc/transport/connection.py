"""One connection: HTTP/2 by nghttp2 between a transport and the calls on it.

Everything happens on the event loop. Bytes go out as fast as the client takes them: while it takes none,
nothing is made ready, and while more than ``ANSWERS_BYTES_MAX`` of answers wait, no call begins.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

from grpc import StatusCode
from ngh2 import (
    Configuration,
    Connection,
    ConnectionClosed,
    DataReceived,
    NGH2Error,
    RequestReceived,
    Role,
    Setting,
    SettingsReceived,
    StreamClosed,
    StreamProtocolError,
    TrailersReceived,
)

from protos.logger import get_logger
from router.grpc.transport import flow
from router.grpc.transport.calls import Call, Incoming, Method, Reply, call_of
from router.grpc.transport.headers import Head, Headers, NoCall, answer_headers, read_head, trailers
from router.grpc.transport.messages import Refused

GREETING_S_MAX = 20.0  # until a client has said that it speaks HTTP/2
FAREWELL_S_MAX = 5.0  # until a client has taken the last there is to say
CHUNK_BYTES = 1 << 18  # made ready for the transport at a time
ANSWERS_BYTES_MAX = 1 << 24
STREAM_ANSWERS_BYTES_MAX = 1 << 16  # of one call with many answers
CONNECTION_WINDOW_BYTES = 2**31 - 1  # it is the streams' windows that bound
RESETS = (10_000, 1000)  # calls that a client may begin and give up: at once, and a second

_log = get_logger(__name__)


class Serving(Protocol):
    """What a connection needs of its server. ``metadata_bytes_max``: a call that has more is refused, and a
    connection that brings twice as much is closed."""

    metadata_bytes_max: int

    @property
    def methods(self) -> Mapping[str, Method]:
        """By their paths."""
        ...

    def opened(self, connection: ServerConnection) -> None: ...

    def closed(self, connection: ServerConnection) -> None: ...


class ServerConnection(asyncio.Protocol):
    """``Answering`` of its calls."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._loop = asyncio.get_running_loop()
        self._http2 = Connection(
            Role.SERVER,
            Configuration(
                auto_window_update=False,
                stream_reset_rate_limit=RESETS,
                max_inbound_header_list_size=2 * serving.metadata_bytes_max,
            ),
        )
        self._calls: dict[int, Call] = {}
        self._inflow = flow.Inflow(flow.HELD_BYTES_MAX)
        self._held_up: deque[asyncio.Future[None]] = deque()  # calls that begin when answers have gone
        self._drained: list[asyncio.Future[None]] = []
        self._paused = self._busy = self._over = self._greeted = False
        self._last_headers: Headers = ()
        self._last_head: Head | None = None
        self._on: dict[type, Callable[[Any], None]] = {
            RequestReceived: self._on_request,
            DataReceived: self._on_data,
            TrailersReceived: self._on_trailers,
            StreamClosed: self._on_stream_closed,
            SettingsReceived: self._on_settings,
            ConnectionClosed: lambda _: self._close(),
        }

    @property
    def calls(self) -> int:
        return len(self._calls)

    # --- the transport -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=CHUNK_BYTES)
        below = transport.get_extra_info("socket")
        if below is not None:  # so that clients which vanish are noticed
            below.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._greeting = self._loop.call_later(GREETING_S_MAX, self._miss)
        self._serving.opened(self)
        self._http2.initiate_connection(
            {
                Setting.MAX_CONCURRENT_STREAMS: flow.STREAMS_MAX,
                Setting.INITIAL_WINDOW_SIZE: flow.WINDOW_BYTES,
                Setting.MAX_HEADER_LIST_SIZE: self._serving.metadata_bytes_max,
            }
        )
        self._http2.set_local_window_size(CONNECTION_WINDOW_BYTES)
        self._flush()

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        try:
            self._http2.receive_data(data)
        except NGH2Error as error:
            self._fail(error)
        else:
            self._flush()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._flush()

    def connection_lost(self, _error: Exception | None) -> None:
        self._over = True
        self._greeting.cancel()
        for call in list(self._calls.values()):
            self._leave(call)
        self._wake()
        self._serving.closed(self)

    def _miss(self) -> None:
        if not self._greeted:
            self.abort()

    def _fail(self, error: NGH2Error) -> None:
        """HTTP/2 cannot go on, not even to say so."""
        _log.debug("grpc_connection_failed", peer=self._peer(), error=str(error))
        self._close()

    def _close(self) -> None:
        self._over = True
        self._transport.close()
        self._loop.call_later(FAREWELL_S_MAX, self._transport.abort)

    def _peer(self) -> str:
        name = self._transport.get_extra_info("peername")
        if not name:
            return "unknown"
        host = str(name[0]).removeprefix("::ffff:")  # of IPv4, where both families are listened to
        return f"ipv6:%5B{host}%5D:{name[1]}" if ":" in host else f"ipv4:{host}:{name[1]}"

    def _flush(self) -> None:
        """Handle what has come and send what can be sent, by turns: handling makes things to send, and when
        they are sent streams end, which is to be handled."""
        if self._busy or self._over:
            return
        self._busy = True
        try:
            again = True
            while again:
                for event in self._http2.events():
                    handle = self._on.get(type(event))
                    if handle is not None:
                        handle(event)
                again = not self._over and self._send()
        except NGH2Error as error:
            self._fail(error)
        finally:
            self._busy = False

    def _send(self) -> bool:
        """Did it send anything?"""
        sent = False
        while not self._paused:
            many = self._http2.queued_body_size() > CHUNK_BYTES
            data = self._http2.data_to_send(CHUNK_BYTES if many else None)
            if not data:
                break
            sent = True
            self._transport.write(data)
            if not many:  # that was all
                break
        self._let_in()
        self._wake()
        return sent

    def _congested(self) -> bool:
        return self._http2.queued_body_size() > ANSWERS_BYTES_MAX

    async def _turn(self) -> None:
        """Until answers have gone."""
        while self._congested():
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._held_up.append(waiter)
            await waiter
        self._let_in()

    def _let_in(self) -> None:
        """The next call that is held up, which lets in the next."""
        while self._held_up and not self._congested():
            waiter = self._held_up.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _wake(self) -> None:
        if self._drained:
            drained, self._drained = self._drained, []
            for waiter in drained:
                if not waiter.done():
                    waiter.set_result(None)

    # --- what clients do -----------------------------------------------------------------------------------

    def _on_settings(self, _event: SettingsReceived) -> None:
        self._greeted = True

    def _on_request(self, event: RequestReceived) -> None:
        stream = event.stream_id
        try:
            call = self._call(stream, event.headers)
        except NoCall as error:
            self._decline(stream, [(b":status", b"%d" % error.status)])
            return
        except Refused as refusal:
            ended = trailers((), refusal.code, refusal.text)
            self._decline(stream, [*answer_headers(), *ended])
            return
        self._calls[stream] = call
        if call.head.timeout_s is not None:
            call.deadline = self._loop.call_later(call.head.timeout_s, self._expire, call)
        if event.end_stream:
            self._end(call)

    def _call(self, stream: int, headers: Headers) -> Call:
        """Raises: NoCall, Refused."""
        head = self._last_head
        if head is None or headers != self._last_headers:
            head = read_head(headers, bytes_max=self._serving.metadata_bytes_max)
            # Most calls of a client differ in their messages only.
            self._last_headers, self._last_head = headers, head
        method = self._serving.methods.get(head.path)
        if method is None:
            raise Refused(StatusCode.UNIMPLEMENTED, f"there is no method {head.path}")
        return call_of(stream, head, Incoming(head.metadata, self._peer), method)

    def _on_data(self, event: DataReceived) -> None:
        call = self._calls.get(event.stream_id)
        if call is None or call.answered:
            self._acknowledge(event.stream_id, len(event.data))
            return
        try:
            self._receive(call, event.data)
        except Refused as refusal:
            self._refuse(call, refusal)
            return
        if event.end_stream:
            self._end(call)
        elif call.ready:
            self._start(call)

    def _receive(self, call: Call, data: bytes) -> None:
        """Raises: Refused."""
        call.receive(data)
        if not self._inflow.arrived(call.stream, len(data), full=call.full):
            return
        self._acknowledge(call.stream, len(data))
        if call.messages.wanted > flow.WINDOW_BYTES and self._inflow.widen(call.stream):
            self._widen(call.stream)

    def _on_trailers(self, event: TrailersReceived) -> None:
        call = self._calls.get(event.stream_id)
        if call is not None and not call.answered:
            self._end(call)

    def _end(self, call: Call) -> None:
        try:
            call.end()
        except Refused as refusal:
            self._refuse(call, refusal)
            return
        if call.ready:
            self._start(call)

    def _on_stream_closed(self, event: StreamClosed) -> None:
        call = self._calls.get(event.stream_id)
        if call is not None:
            self._leave(call)

    def _leave(self, call: Call) -> None:
        """Its stream is gone."""
        del self._calls[call.stream]
        if not call.answered:
            call.settle()
            call.cancel()
        for stream, size in self._inflow.left(call.stream):
            self._acknowledge(stream, size)
        self._wake()

    # --- calls ---------------------------------------------------------------------------------------------

    def _start(self, call: Call) -> None:
        call.task = self._loop.create_task(self._run(call))

    async def _run(self, call: Call) -> None:
        if self._congested():
            await self._turn()
        try:
            await call.run(self)
        except Refused as refusal:
            self._refuse(call, refusal)
        except Exception as error:  # noqa: BLE001 - the last resort: our fault, told once
            _log.exception("grpc_call_crashed", method=call.head.path)
            self._refuse(call, Refused(StatusCode.INTERNAL, f"{type(error).__name__}: {error}"))

    def _expire(self, call: Call) -> None:
        self._refuse(call, Refused(StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"))
        call.cancel()

    def conclude(self, call: Call, reply: Reply, framed: bytes = b"", *, compressed: bool = False) -> None:
        if call.answered or self._over:
            return
        call.settle()
        ended = trailers(reply.trailing, reply.code, reply.text)
        if reply.code is StatusCode.OK and framed:
            self._say(call.stream, answer_headers(gzipped=compressed), framed, ended)
        elif call.begun:
            self._say(call.stream, None, b"", ended)
        else:
            self._decline(call.stream, [*answer_headers(), *ended])
        self._flush()

    def _refuse(self, call: Call, refusal: Refused) -> None:
        self.conclude(call, Reply(code=refusal.code, text=refusal.text))

    async def send(self, call: Call, framed: bytes) -> None:
        if call.answered or self._over:
            return
        self._say(call.stream, None if call.begun else answer_headers(), framed)
        call.begun = True
        self._flush()
        await asyncio.sleep(0)  # others have their turn, however fast the client is
        while not self._over and self._http2.queued_body_size(call.stream) > STREAM_ANSWERS_BYTES_MAX:
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._drained.append(waiter)
            await waiter

    def taken(self, call: Call, size: int) -> None:
        if call.stream in self._calls:
            for stream, released in self._inflow.taken(call.stream, size):
                self._acknowledge(stream, released)
            self._flush()

    # --- HTTP/2, of a stream that may be gone without our knowing yet ---------------------------------------

    def _acknowledge(self, stream: int, size: int) -> None:
        """Its client may send as much again."""
        if size and not self._over:
            try:
                self._http2.acknowledge_received_data(size, stream)
            except StreamProtocolError:
                return

    def _widen(self, stream: int) -> None:
        try:
            self._http2.set_local_window_size(flow.WIDE_WINDOW_BYTES, stream_id=stream)
        except StreamProtocolError:
            return

    def _say(self, stream: int, headers: Headers | None, data: bytes, ended: Headers | None = None) -> None:
        try:
            if headers is not None:
                self._http2.send_response(stream, headers)
            if data:
                self._http2.send_data(stream, data)
            if ended is not None:
                self._http2.send_trailers(stream, ended)
        except StreamProtocolError:
            return

    def _decline(self, stream: int, headers: Headers) -> None:
        """Answer with headers alone. What the client had still to send, it stops to, or it is dropped."""
        try:
            self._http2.send_response(stream, headers, end_stream=True)
        except StreamProtocolError:
            return

    # --- the end -------------------------------------------------------------------------------------------

    def go_away(self) -> None:
        """No more calls; those under way end, and then the connection."""
        if not self._over:
            self._http2.send_goaway()
            self._flush()

    def abort(self) -> list[asyncio.Task[None]]:
        """End at once. Returns: what is cancelled by it."""
        self._over = True
        self._transport.abort()
        return [call.task for call in self._calls.values() if call.task is not None]
