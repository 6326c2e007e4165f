"""One client's connection: aiohttp's, with a shorter way from a request to the answer.

aiohttp parses what comes, guards the connection's bounds, streams bodies and ends connections. Two things
are done otherwise here, for each costs as much as decoding a query. aiohttp keeps a task per connection that
waits for requests and begins another for each of them; here a request that is there has one task, and a
connection that waits for requests has none. And an answer that is whole becomes the bytes that aiohttp
would make of it in one step, and is written by one call; any other is left to aiohttp.

Lives here: when a request begins, what follows it, how a whole answer is written. May not live here:
parsing, routes, what an answer says. The only module that knows the inside of aiohttp's ``RequestHandler``.

Invariants: requests of a connection are answered one after another, in their order; ``_task_handler`` is the
task of the request that runs, None when none does; a whole answer has the same bytes by either way.
"""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate

from aiohttp import HttpVersion11, StreamReader, hdrs, web
from aiohttp.http import SERVER_SOFTWARE, StreamWriter
from aiohttp.web_protocol import ERROR, RequestHandler, _ErrInfo

_BODILESS = frozenset((*range(100, 200), 204, 205, 304))  # whatever they are given
_PIECE_MAX = 64 << 10  # larger ones may hold back what comes after them until they are read
_OWN = frozenset(  # lines that are added to each answer here
    (hdrs.CONTENT_LENGTH, hdrs.TRANSFER_ENCODING, hdrs.DATE, hdrs.SERVER, hdrs.CONNECTION)
)


class Server(web.Server):
    """``web.Server`` with these connections. Its options are those of ``RequestHandler``."""

    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop, **self._kwargs)


class Connection(RequestHandler):
    __slots__ = ()

    # --- when a request begins ---------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._messages and self._task_handler is None:
            self._begin()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """aiohttp's bodies ask for it whenever they have been read, which is seldom after a pause."""
        if self._reading_paused or self._buffer_paused:
            super().resume_reading(resume_parser)

    def _begin(self) -> None:
        self._task_handler = self._loop.create_task(self.start())

    async def start(self) -> None:
        """Answer the request that has waited longest, if one does, and see to what comes after it."""
        if not self._messages or self._force_close:
            self._task_handler = None
            return
        alive = False
        try:
            alive = await self._answer_next()
        except ConnectionError:
            self.log_debug("the client has gone")
        except asyncio.CancelledError:
            self.force_close()
            raise
        except Exception as error:  # noqa: BLE001 - told, and the end of this connection alone
            self.log_exception("a request ended its connection", exc_info=error)
            self.force_close()
        except BaseException:
            self.force_close()
            raise
        finally:
            self._task_handler = None
        self._follow(alive)

    def _follow(self, alive: bool) -> None:
        """A request has been answered; ``alive``: another may come."""
        if not alive:
            if not self._force_close and self.transport is not None:
                self.transport.close()
            return
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(
                self._next_keepalive_close_time, self._process_keepalive
            )
        if self._messages:
            self._begin()

    def _process_keepalive(self) -> None:
        self._keepalive_handle = None
        if self._force_close or not self._keepalive or self._task_handler is not None:
            return
        if self._loop.time() < self._next_keepalive_close_time:
            self._keepalive_handle = self._loop.call_at(
                self._next_keepalive_close_time, self._process_keepalive
            )
        else:
            self.force_close()

    # --- a request -----------------------------------------------------------------------------------------

    async def _answer_next(self) -> bool:
        """May the connection be used again? Raises: ConnectionError: the client has gone."""
        message, payload = self._messages.popleft()
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()
        manager, handler, make = self._manager, self._request_handler, self._request_factory
        assert manager is not None
        assert handler is not None
        assert make is not None
        manager.requests_count += 1
        if isinstance(message, _ErrInfo):  # what could not be parsed
            handler, message = self._make_error_handler(message), ERROR
        writer = StreamWriter(self, self._loop)
        task = self._task_handler
        assert task is not None
        request = make(message, payload, self, writer, task)
        try:
            started_s = self._loop.time() if self._logging_enabled else None
            response, gone = await self._handle_request(request, started_s, handler)
            if gone:
                return False
            self._keepalive = keeps_alive(request, response)
            if not payload.is_eof():
                await self._discard(payload)
        finally:
            request._task = None  # type: ignore[assignment] # or the two would keep each other
        return self._keepalive and not self._close and not self._force_close

    async def _discard(self, payload: StreamReader) -> None:
        """The rest of a body that was answered before it had come, for a while; then the connection ends:
        a client that sends on would lose the answer if it ended at once."""
        try:
            async with asyncio.timeout(self._lingering_time):
                while not payload.is_eof() and not self._force_close:
                    await payload.readany()
        except TimeoutError:
            pass
        if not payload.is_eof():
            self.close()

    # --- its answer ----------------------------------------------------------------------------------------

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """The answer, and whether the client has gone."""
        whole = None if self._logging_enabled or self._upgraded else whole_answer(request, resp)
        if whole is None:
            return await super().finish_response(request, resp, start_time)
        transport = self.transport
        if transport is None or transport.is_closing():
            return resp, True
        transport.write(whole)
        if self._paused:
            await self._drain_helper()
        return resp, False


def piece_of(body: StreamReader) -> bytes | None:
    """A body that has come, small and in one piece, as it is; None: read it. It may be read all the same."""
    if type(body) is not StreamReader or not body._eof or body._exception is not None:
        return None
    pieces = body._buffer
    if len(pieces) != 1 or body._buffer_offset or body._size > _PIECE_MAX:
        return None
    return pieces[0]


def whole_answer(request: web.BaseRequest, response: web.StreamResponse) -> bytes | None:
    """Head and body of an answer that is just that, over HTTP/1.1; None: aiohttp has to look at it."""
    if type(response) is not web.Response or request.version != HttpVersion11:
        return None
    body, status = response.body, response.status
    if status in _BODILESS or request.method == hdrs.METH_HEAD or not (body is None or type(body) is bytes):
        return None
    if response.chunked or response.compression or response.prepared:
        return None
    lines = [f"HTTP/1.1 {status} {response.reason}"]
    for name, value in response.headers.items():
        if name in _OWN or not value.isprintable():
            return None
        lines.append(f"{name}: {value}")
    if body and hdrs.CONTENT_TYPE not in response.headers:
        return None
    lines.append(f"Content-Length: {len(body) if body else 0}")
    lines.append(_DATED.lines())
    if not keeps_alive(request, response):
        lines.append("Connection: close")
    head = "\r\n".join(lines) + "\r\n\r\n"
    return head.encode() + (body or b"")


def keeps_alive(request: web.BaseRequest, response: web.StreamResponse) -> bool:
    asked = response.keep_alive
    return request.keep_alive if asked is None else asked


class _Dated:
    """The lines of a head that change with the second."""

    def __init__(self) -> None:
        self._second, self._lines = 0, ""

    def lines(self) -> str:
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._lines = f"Date: {formatdate(now, usegmt=True)}\r\nServer: {SERVER_SOFTWARE}"
        return self._lines


_DATED = _Dated()
