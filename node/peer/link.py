"""One established stream between two members: an outbox, a reader, a pulse.

``post`` may be called from any one thread, as Raft's; everything else happens on the event loop. What is in
the outbox when the stream ends is dropped and never sent on another one.
"""

from __future__ import annotations

import asyncio
import collections
import threading
from collections.abc import Callable
from typing import Any, Protocol

import grpc.aio

from protos.peer.peer_pb2 import Frame, Hello, Messages, Ping
from protos.tasks import post

FRAME_FORMAT = 1
PULSE_S = 0.5  # a frame goes out at least so often
SILENCE_S_MAX = 3.0  # a stream so long without a frame is dead
OUTBOX_BYTES_MAX = 64 << 20
OUTBOX_FRAMES_MAX = 10_000
GATHERED_BYTES_MAX, GATHERED_MAX = 256 << 10, 256  # of messages in one frame


class Stream(Protocol):
    """Either side of a call."""

    async def read(self) -> Any: ...

    async def write(self, frame: Any) -> None: ...


class LinkEnded(Exception):
    """Why a stream is over."""


class Link:
    """``hello``: what the other side said of itself, if it dialled.

    ``drops``: a message that finds the outbox full is dropped alone; otherwise the stream ends.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        peer_id: int,
        incarnation: int,
        hello: Hello | None = None,
        drops: bool = False,
    ) -> None:
        self.peer_id, self.incarnation, self.hello = peer_id, incarnation, hello
        self._stream = stream
        self._drops = drops
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._outbox: collections.deque[bytes] = collections.deque()
        self._more = asyncio.Event()
        self._ended: asyncio.Future[str] = self._loop.create_future()
        # Posted counts on the thread that posts, sent on the event loop: each has one writer.
        self._posted_bytes = self._posted_frames = 0
        self._sent_bytes = self._sent_frames = 0

    @property
    def backlog(self) -> int:
        return self._posted_bytes - self._sent_bytes

    def post(self, data: bytes) -> bool:
        """Send ``data`` after what was posted before. Returns: whether the outbox had room for it."""
        full = (
            self.backlog + len(data) > OUTBOX_BYTES_MAX
            or self._posted_frames - self._sent_frames >= OUTBOX_FRAMES_MAX
        )
        if full:
            if not self._drops:
                self._post(self.end, "the outbox is full")
            return False
        self._posted_bytes += len(data)
        self._posted_frames += 1
        self._post(self._push, data)
        return True

    def _post(self, callback: Callable[..., None], argument: object) -> None:
        if threading.get_ident() == self._loop_thread:
            callback(argument)
            return
        post(self._loop, callback, argument)

    def end(self, reason: str) -> None:
        if not self._ended.done():
            self._ended.set_result(reason)

    async def run(self, receive: Callable[[bytes], None]) -> str:
        """Carry frames until the stream is over. Returns: why it is."""
        parts = [asyncio.create_task(part) for part in (self._read(receive), self._write())]
        first: set[asyncio.Future[Any]] = {*parts, self._ended}
        try:
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in parts:
                part.cancel()
            results = await asyncio.gather(*parts, return_exceptions=True)
        self.end(next((str(result) or type(result).__name__ for result in results if _is_cause(result)), "?"))
        return self._ended.result()

    def _push(self, data: bytes) -> None:
        self._outbox.append(data)
        self._more.set()

    async def _read(self, receive: Callable[[bytes], None]) -> None:
        while True:
            try:
                async with asyncio.timeout(SILENCE_S_MAX):
                    frame = await self._stream.read()
            except TimeoutError:
                raise LinkEnded(f"nothing was heard for {SILENCE_S_MAX} s") from None
            if frame is grpc.aio.EOF:
                raise LinkEnded("the other side closed it")
            if frame.format != FRAME_FORMAT:
                raise LinkEnded(f"frame format {frame.format} is not known here")
            body = frame.WhichOneof("body")
            if body == "message":
                receive(frame.message)
            elif body == "messages":
                for message in frame.messages.messages:
                    receive(message)

    async def _write(self) -> None:
        while True:
            if not self._outbox:
                self._more.clear()
                try:
                    async with asyncio.timeout(PULSE_S):
                        await self._more.wait()
                except TimeoutError:
                    await self._stream.write(Frame(format=FRAME_FORMAT, ping=Ping()))
                    continue
            gathered = self._take()
            await self._stream.write(_frame_of(gathered))
            self._sent_bytes += sum(map(len, gathered))
            self._sent_frames += len(gathered)

    def _take(self) -> list[bytes]:
        """What has gathered, as much as one frame takes. A frame costs more than what is in it."""
        taken = [self._outbox.popleft()]
        size = len(taken[0])
        while self._outbox and size < GATHERED_BYTES_MAX and len(taken) < GATHERED_MAX:
            taken.append(self._outbox.popleft())
            size += len(taken[-1])
        return taken


def _frame_of(gathered: list[bytes]) -> Frame:
    if len(gathered) == 1:
        return Frame(format=FRAME_FORMAT, message=gathered[0])
    return Frame(format=FRAME_FORMAT, messages=Messages(messages=gathered))


def _is_cause(result: object) -> bool:
    return isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError)
