"""Calls: what a method is given, what it gives back, and how its messages come together.

A call knows nothing of HTTP/2: it is fed the bytes of its stream and answers through a port, ``Answering``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol

from grpc import StatusCode
from msgspec import Struct

from router.grpc.transport.headers import Head, Metadata
from router.grpc.transport.messages import PREFIX_BYTES, Assembler, Framed, Refused, frame, gzipped, plain

WAITING_MAX = 16  # messages of a stream that its method has not taken
STREAMED_BYTES_MAX = 4 << 20  # of a message where many may come


class Incoming(Struct, frozen=True):
    """``peer``: as gRPC writes addresses, ``ipv4:10.0.0.1:5678``."""

    metadata: Metadata
    peer: Callable[[], str]


class Reply(Struct):
    """``text``: of an error. ``compress``: for clients that take gzip."""

    body: bytes = b""
    code: StatusCode = StatusCode.OK
    text: str = ""
    trailing: Sequence[tuple[str, str]] = ()
    compress: bool = False


Requests = AsyncIterator[bytes]


class Unary(Struct, frozen=True):
    """A method that takes a message and answers with one. May raise: Refused."""

    answer: Callable[[bytes, Incoming], Awaitable[Reply]]


class Streaming(Struct, frozen=True):
    """A method that takes as many messages as come, and answers with as many as it likes, in one go or in
    turn. May raise: Refused."""

    answers: Callable[[Requests, Incoming], AsyncIterator[bytes]]


Method = Unary | Streaming


class Answering(Protocol):
    """A connection, as its calls see it."""

    def conclude(self, call: Call, reply: Reply, framed: bytes = b"", *, compressed: bool = False) -> None:
        """All there is to say, or the end of it; ``framed``: the message, if there is but one."""
        ...

    async def send(self, call: Call, framed: bytes) -> None:
        """One answer of many; waits while the client takes none."""
        ...

    def taken(self, call: Call, size: int) -> None:
        """The method of a call with many messages has taken so many bytes of them."""
        ...


class Call:
    """One stream. ``complete``: its client has said all; ``begun``: this side has said something;
    ``answered``: it has said all, or need not."""

    __slots__ = (
        "answered",
        "begun",
        "complete",
        "deadline",
        "head",
        "incoming",
        "messages",
        "stream",
        "task",
    )

    def __init__(self, stream: int, head: Head, incoming: Incoming) -> None:
        self.stream, self.head, self.incoming = stream, head, incoming
        self.messages = Assembler()
        self.complete = self.begun = self.answered = False
        self.task: asyncio.Task[None] | None = None
        self.deadline: asyncio.TimerHandle | None = None

    @property
    def ready(self) -> bool:
        """May its method begin?"""
        raise NotImplementedError

    @property
    def full(self) -> bool:
        """Has more come than its method takes?"""
        return False

    def receive(self, data: bytes) -> None:
        """Raises: Refused."""
        raise NotImplementedError

    def end(self) -> None:
        """The client has said all. Raises: Refused."""
        self.complete = True
        if not self.messages.between:
            raise Refused(StatusCode.INTERNAL, "the request ends within a message")

    async def run(self, answering: Answering) -> None:
        """Raises: Refused, and what its method raises."""
        raise NotImplementedError

    def settle(self) -> None:
        """It is answered, or nobody waits for it: its deadline does not matter any more."""
        self.answered = True
        if self.deadline is not None:
            self.deadline.cancel()

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()


class UnaryCall(Call):
    __slots__ = ("_method", "_request")

    def __init__(self, stream: int, head: Head, incoming: Incoming, method: Unary) -> None:
        super().__init__(stream, head, incoming)
        self._method = method
        self._request: Framed | None = None

    @property
    def ready(self) -> bool:
        return self.complete

    def receive(self, data: bytes) -> None:
        for found in self.messages.feed(data):
            if self._request is not None:
                raise Refused(StatusCode.UNIMPLEMENTED, "this method takes one message, and more came")
            self._request = found

    def end(self) -> None:
        super().end()
        if self._request is None:
            raise Refused(StatusCode.UNIMPLEMENTED, "this method takes a message, and none came")

    async def run(self, answering: Answering) -> None:
        request, self._request = self._request, None
        assert request is not None, "it is ready"
        reply = await self._method.answer(await plain(request, self.head.encoding), self.incoming)
        compressed = reply.compress and self.head.takes_gzip
        body = await gzipped(reply.body) if compressed else reply.body
        answering.conclude(self, reply, frame(body, compressed=compressed), compressed=compressed)


class StreamingCall(Call):
    __slots__ = ("_arrived", "_method", "_requests")

    def __init__(self, stream: int, head: Head, incoming: Incoming, method: Streaming) -> None:
        super().__init__(stream, head, incoming)
        self._method = method
        self._requests: deque[Framed] = deque()
        self._arrived = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Not before there is a message: gRPC's own client takes an answer that comes while it is about to
        send the first for an error of its own."""
        return self.task is None and (self.complete or bool(self._requests))

    @property
    def full(self) -> bool:
        return len(self._requests) >= WAITING_MAX

    def receive(self, data: bytes) -> None:
        self._requests += self.messages.feed(data)
        if self.messages.wanted > STREAMED_BYTES_MAX:
            text = f"a message of many has at most {STREAMED_BYTES_MAX} bytes here"
            raise Refused(StatusCode.RESOURCE_EXHAUSTED, text)
        self._arrived.set()

    def end(self) -> None:
        super().end()
        self._arrived.set()

    async def run(self, answering: Answering) -> None:
        async for body in self._method.answers(self._bodies(answering), self.incoming):
            await answering.send(self, frame(body))
        answering.conclude(self, Reply())

    async def _bodies(self, answering: Answering) -> AsyncIterator[bytes]:
        while True:
            while self._requests:
                request = self._requests.popleft()
                answering.taken(self, PREFIX_BYTES + len(request.body))
                yield await plain(request, self.head.encoding)
            if self.complete:
                return
            self._arrived.clear()
            await self._arrived.wait()


def call_of(stream: int, head: Head, incoming: Incoming, method: Method) -> Call:
    if isinstance(method, Unary):
        return UnaryCall(stream, head, incoming, method)
    return StreamingCall(stream, head, incoming, method)
