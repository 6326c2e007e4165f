"""Calls between members over gRPC: ``node.peer.calls.PeerCalls``.

What an outcome means. Until there is a line (``node.peer.lines``) nothing was sent. A call on a line has
certainly not begun only if the other side says so itself: it refuses the caller, has no handler, does not
know the service; or if gRPC says that it found no connection, since the line broke as it was taken. Whatever
else ends it, the time, a broken connection, a server that stops, may have come after the handler had begun:
gRPC's UNAVAILABLE means both, so it counts as Timeout.

A caller that gives up, or whose time is up, cancels the handler.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterator
from contextlib import aclosing
from typing import Any, TypeVar

import grpc
import grpc.aio

from node.peer import call_frames as frames
from node.peer.call_frames import BODY, ERROR, BadFrame, Refused
from node.peer.calls import Handler, StreamHandler
from node.peer.door import Door
from node.peer.lines import CONNECT_S, Line, Lines, NoLine
from node.peer.security import NO_SECURITY, PeerSecurity
from node.peer.service import MESSAGE_BYTES_MAX
from protos import spans
from protos.errors import ServiceError, ShardUnavailable, Timeout, VecraftError
from protos.logger import get_logger
from protos.peer.peer_pb2 import CallHead, Refusal, Welcome
from protos.request_ids import HEADER, REQUEST_ID

BODY_BYTES_MAX = MESSAGE_BYTES_MAX - (64 << 10)  # the rest is for what stands before a body
GREETING = "hello"  # the method that tells who answers
# How the details of a call begin that was given to no connection. Should gRPC word it anew, such a call
# counts as one that may have been done, which is safe.
_NOT_SENT = "failed to connect to all addresses"

_T = TypeVar("_T")
_log = get_logger(__name__)


class GrpcCalls:
    """A ``PeerCalls``; ``serve_call`` and ``serve_stream`` are what the peer port serves.

    ``own``: this member's id; what it asks of itself needs no connection.
    """

    def __init__(
        self,
        door: Door,
        *,
        own: int,
        security: PeerSecurity = NO_SECURITY,
        connect_s: float = CONNECT_S,
    ) -> None:
        self._door, self._own = door, own
        self._connect_s = connect_s
        self._handlers: dict[str, Handler] = {GREETING: self._welcome}
        self._stream_handlers: dict[str, StreamHandler] = {}
        self._lines = Lines(door.uri_of, self._greet, security=security, connect_s=connect_s)
        self._closed = False

    def handle(self, method: str, handler: Handler) -> None:
        assert method not in self._handlers, f"{method} is handled already"
        self._handlers[method] = handler

    def handle_stream(self, method: str, handler: StreamHandler) -> None:
        assert method not in self._stream_handlers, f"{method} is handled already"
        self._stream_handlers[method] = handler

    def renew(self, peer_id: int, incarnation: int) -> None:
        """A peer runs as another process now."""
        self._lines.renew(peer_id, incarnation)

    async def close(self) -> None:
        """End the calls that run, and take no more."""
        self._closed = True
        await self._lines.close()

    # --- calling -----------------------------------------------------------------------------------------

    async def call(self, peer_id: int, method: str, request: bytes, *, timeout_s: float) -> bytes:
        if peer_id == self._own:
            return await self._call_here(method, request, timeout_s)
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        line = await self._line(peer_id, request, min(timeout_s, self._connect_s))
        left_s = max(deadline_s - asyncio.get_running_loop().time(), 0.0)
        return await self._ask(line, peer_id, method, request, left_s)

    async def stream(self, peer_id: int, method: str, request: bytes) -> AsyncIterator[bytes]:
        if peer_id == self._own:
            async with aclosing(self._stream_here(method, request)) as parts:
                async for part in parts:
                    yield part
            return
        line = await self._line(peer_id, request, self._connect_s)
        framed = self._framed(line, peer_id, method, request)
        with self._explained(peer_id, method, line), line.streaming(framed) as call:
            while (part := await call.read()) is not grpc.aio.EOF:
                yield frames.decode_answer(part)

    async def _line(self, peer_id: int, request: bytes, timeout_s: float) -> Line:
        if self._closed:
            raise ShardUnavailable("this member stops")
        if len(request) > BODY_BYTES_MAX:
            raise ServiceError(f"a call may have {BODY_BYTES_MAX} bytes, this one has {len(request)}")
        try:
            return await self._lines.to(peer_id, timeout_s=timeout_s)
        except NoLine as error:
            raise ShardUnavailable(f"Peer {peer_id} cannot be called: {error}") from error

    async def _ask(self, line: Line, peer_id: int, method: str, request: bytes, timeout_s: float) -> bytes:
        framed = self._framed(line, peer_id, method, request)
        with self._explained(peer_id, method, line), line.calling(framed, timeout_s=timeout_s) as call:
            return frames.decode_answer(await call)

    def _framed(self, line: Line, peer_id: int, method: str, request: bytes) -> bytes:
        prefix = line.prefixes.get(method)
        if prefix is None:
            head = CallHead(caller=self._door.hello(peer_id), method=method)
            prefix = line.prefixes[method] = frames.request_prefix(head)
        return b"".join((prefix, request))

    @contextlib.contextmanager
    def _explained(self, peer_id: int, method: str, line: Line) -> Iterator[None]:
        """Say what the end of a call means that was sent."""
        try:
            yield
        except (NoLine, Refused) as error:
            raise ShardUnavailable(f"Peer {peer_id} did not take {method}: {error}") from error
        except BadFrame as error:
            raise Timeout(f"{method} at peer {peer_id} may have been done: {error}") from error
        except grpc.aio.AioRpcError as error:
            raise self._meaning(error, peer_id, method, line) from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if line.cut and (task is None or not task.cancelling()):
                raise Timeout(f"{method} at peer {peer_id} may have been done, but {line.cut}") from error
            raise

    def _meaning(self, error: grpc.aio.AioRpcError, peer_id: int, method: str, line: Line) -> VecraftError:
        why = error.details() or error.code().name
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            return ShardUnavailable(f"Peer {peer_id} takes no calls")
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            self._lines.drop(peer_id, line)  # it may go on looking ready for a moment
            if why.startswith(_NOT_SENT):
                return ShardUnavailable(f"Peer {peer_id} cannot be called: {why}")
        return Timeout(f"{method} at peer {peer_id} may have been done, but: {why}")

    async def _greet(self, peer_id: int, line: Line) -> int:
        """See ``Lines``. Raises: NoLine."""
        try:
            answer = await self._ask(line, peer_id, GREETING, b"", self._connect_s)
        except VecraftError as error:
            raise NoLine(error.message) from error
        return int(Welcome.FromString(answer).incarnation)

    async def _welcome(self, caller: int, _: bytes) -> bytes:
        hello = self._door.hello(caller)
        return Welcome(peer_id=hello.peer_id, incarnation=hello.incarnation).SerializeToString()

    # --- calls of this member to itself ---------------------------------------------------------------------

    async def _call_here(self, method: str, request: bytes, timeout_s: float) -> bytes:
        handler = self._handlers.get(method)
        if handler is None or self._closed:
            raise ShardUnavailable(f"this peer takes no calls of {method} yet")
        limit = asyncio.timeout(timeout_s)
        try:
            async with limit:
                return await _known_errors(handler(self._own, request), method)
        except TimeoutError:
            raise Timeout(f"{method} took longer than {timeout_s:g} s and may have been done") from None

    def _stream_here(self, method: str, request: bytes) -> AsyncGenerator[bytes, None]:
        handler = self._stream_handlers.get(method)
        if handler is None or self._closed:
            raise ShardUnavailable(f"this peer takes no calls of {method} yet")
        return _known_errors_of_parts(handler(self._own, request), method)

    # --- answering -----------------------------------------------------------------------------------------

    async def serve_call(self, request: bytes, context: Any) -> bytes:
        _continue_request(context)
        head, body, refusal = self._admit(request)
        handler = None if head is None else self._handlers.get(head.method)
        if head is None or handler is None:
            return refusal or _not_handled(head)
        try:
            call = _traced(handler(head.caller.peer_id, body), head.method, context)
            answer = await _known_errors(call, head.method)
        except VecraftError as error:
            return frames.encode_answer(ERROR, frames.encode_error(error))
        return _body(answer, head.method)

    async def serve_stream(self, request: bytes, context: Any) -> None:
        """Each part is written when the transport takes it, which is how the caller's pace gets here."""
        _continue_request(context)
        head, body, refusal = self._admit(request)
        handler = None if head is None else self._stream_handlers.get(head.method)
        if head is None or handler is None:
            await context.write(refusal or _not_handled(head))
            return
        parts = handler(head.caller.peer_id, body)
        async with aclosing(_known_errors_of_parts(parts, head.method)) as known:
            try:
                async for part in known:
                    await context.write(_body(part, head.method))
            except VecraftError as error:
                await context.write(frames.encode_answer(ERROR, frames.encode_error(error)))

    def _admit(self, request: bytes) -> tuple[CallHead | None, bytes, bytes]:
        """Returns: head and body; or no head, and the refusal to answer with."""
        try:
            head, body = frames.decode_request(request)
        except BadFrame as error:
            return None, b"", frames.refusal(Refusal.FORMAT, str(error))
        if self._closed:
            return None, b"", frames.refusal(Refusal.NOT_READY, "this member stops")
        refused = self._door.why_refuse(head.caller)
        if refused is not None:
            return None, b"", frames.refusal(refused.reason, refused.text)
        return head, body, b""


def _continue_request(context: Any) -> None:
    """What is done for a call is done for the request that it was made for."""
    for key, value in context.invocation_metadata() or ():
        if key == HEADER and isinstance(value, str):
            REQUEST_ID.set(value)


def _traced(call: Awaitable[bytes], method: str, context: Any) -> Awaitable[bytes]:
    """``call``; if this process traces requests, as a part of the one it was made for."""
    tracer = spans.tracer()
    if tracer is None:
        return call
    header = dict(context.invocation_metadata() or ()).get

    async def spanned() -> bytes:
        with tracer.serving(method, header) as span:
            answer = await call
            span.answered(method, status=0, failed=False)
            return answer

    return call if header(HEADER) is None else spanned()


async def _known_errors(answer: Awaitable[_T], method: str) -> _T:
    """Raises: VecraftError, whatever the handler raises."""
    try:
        return await answer
    except VecraftError:
        raise
    except Exception as error:
        raise _unexpected(error, method) from error


async def _known_errors_of_parts(parts: AsyncIterator[bytes], method: str) -> AsyncGenerator[bytes, None]:
    """As ``_known_errors``, for a stream; closed with it."""
    try:
        async for part in parts:
            yield part
    except VecraftError:
        raise
    except Exception as error:
        raise _unexpected(error, method) from error
    finally:
        close = getattr(parts, "aclose", None)
        if close is not None:
            await close()


def _unexpected(error: Exception, method: str) -> ServiceError:
    _log.error("call_failed", method=method, exc_info=error)
    return ServiceError(f"{method} failed: {type(error).__name__}: {error}")


def _not_handled(head: CallHead | None) -> bytes:
    assert head is not None
    return frames.refusal(Refusal.NOT_READY, f"it takes no calls of {head.method} yet")


def _body(answer: bytes, method: str) -> bytes:
    if len(answer) > BODY_BYTES_MAX:
        text = f"The answer of {method} has {len(answer)} bytes, {BODY_BYTES_MAX} can be sent: ask for less"
        return frames.encode_answer(ERROR, frames.encode_error(ServiceError(text)))
    return frames.encode_answer(BODY, answer)
