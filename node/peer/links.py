"""Messages over gRPC streams: whom to dial, who is let in, which stream carries what.

Raft's messages have streams of their own, and so have those of replicas, whose bulk must not delay Raft's.

Both sides of a pair dial, and either's stream carries messages both ways, so a pair is connected when one
of them can reach the other. The first stream of a pair carries what is sent; another is a spare. A stream
that ends takes its outbox with it: who sends repeats what matters, and a repeat made here would not be safe.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import Any

import grpc
import grpc.aio

from consensus.raft.transport import Event, Receiver
from node.client.cluster import SendFailures
from node.peer import service
from node.peer.addresses import address_of
from node.peer.door import Door
from node.peer.link import FRAME_FORMAT, Link, LinkEnded, Stream
from node.peer.security import NO_SECURITY, PeerSecurity
from protos.errors import BadInput
from protos.logger import get_logger
from protos.peer.peer_pb2 import Frame, Hello, Refusal, Welcome
from protos.tasks import end_all, post

HANDSHAKE_S = 2.0
REDIAL_MIN_S, REDIAL_MAX_S = 0.05, 0.5

_log = get_logger(__name__)


class PeerLinks:
    """A ``consensus.raft.transport.Wire``. Make it on a running event loop.

    ``service_name``: of ``node.peer.service``. ``drops``: what finds an outbox full is dropped; otherwise the
    stream ends, and its outbox goes.
    """

    def __init__(
        self,
        door: Door,
        *,
        security: PeerSecurity = NO_SECURITY,
        service_name: str = service.RAFT,
        drops: bool = False,
    ) -> None:
        self._door = door
        self._security = security
        self._service_name = service_name
        self._drops = drops
        self._loop = asyncio.get_running_loop()
        self._receiver: Receiver | None = None
        self._links: dict[int, list[Link]] = {}
        self._current: dict[str, Link] = {}  # replaced, never changed: Raft's thread reads it
        self._incarnations: dict[int, int] = {}
        self._dialers: dict[int, asyncio.Task[None]] = {}
        self._alone: dict[int, asyncio.Event] = {}
        self._down_since_ms: dict[int, int] = {}
        self.failures: dict[int, SendFailures] = {}

    # --- the wire: from Raft's thread, if it is Raft's ---------------------------------------------------

    def attach(self, receiver: Receiver) -> None:
        """On the event loop."""
        self._receiver = receiver
        for peer in self._current:
            receiver(Event(peer, up=True))

    def watch(self, peers: frozenset[str]) -> None:
        post(self._loop, self._watch, frozenset(map(int, peers)))

    def send(self, peer: str, data: bytes) -> bool:
        link = self._current.get(peer)
        return link is not None and link.post(data)

    def backlog(self, peer: str) -> int:
        link = self._current.get(peer)
        return 0 if link is None else link.backlog

    def reset(self, peer: str, reason: str) -> None:
        post(self._loop, self._end, int(peer), f"it sent what makes no sense: {reason}")

    # --- on the event loop --------------------------------------------------------------------------------

    def is_connected(self, peer_id: int) -> bool:
        return str(peer_id) in self._current

    def down_since_ms(self) -> dict[int, int]:
        """Peers that are watched and not connected, and since when (milliseconds of the monotonic clock)."""
        return dict(self._down_since_ms)

    def review(self) -> None:
        """Let go of those who would not be let in any more."""
        for links in list(self._links.values()):
            for link in list(links):
                refusal = link.hello and self._door.why_refuse(link.hello)
                if refusal:
                    link.end(refusal.text)

    async def close(self) -> None:
        self._receiver = None
        await end_all(self._dialers.values())
        for peer_id in list(self._links):
            self._end(peer_id, "this member stops")

    async def accept(self, requests: Any, context: Any) -> None:
        """Serve a ``Connect`` call."""
        del requests  # read through the context, whose reads can be given up
        if self._receiver is None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "this member is not ready")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HANDSHAKE_S):
                hello = await self._welcome(context)
            if hello is not None:
                self._door.met(hello)
                await self._carry(self._link(context, hello.peer_id, hello.incarnation, hello))

    async def _welcome(self, context: Stream) -> Hello | None:
        frame = await context.read()
        refusal = self._why_refuse(frame)
        if refusal is not None:
            await context.write(Frame(format=FRAME_FORMAT, refusal=refusal))
            return None
        mine = self._door.hello(frame.hello.peer_id)
        welcome = Welcome(peer_id=mine.peer_id, incarnation=mine.incarnation)
        await context.write(Frame(format=FRAME_FORMAT, welcome=welcome))
        hello: Hello = frame.hello
        return hello

    def _why_refuse(self, frame: Any) -> Refusal | None:
        if frame is grpc.aio.EOF or frame.format != FRAME_FORMAT or frame.WhichOneof("body") != "hello":
            return Refusal(
                reason=Refusal.FORMAT, text=f"frame format {FRAME_FORMAT} and a hello are expected"
            )
        hello = frame.hello
        if hello.incarnation < self._incarnations.get(hello.peer_id, 0):
            return Refusal(reason=Refusal.STALE, text="a newer process runs under this id")
        return self._door.why_refuse(hello)

    # --- dialling -------------------------------------------------------------------------------------------

    def _watch(self, peers: frozenset[int]) -> None:
        for peer_id in self._dialers.keys() - peers:
            self._dialers.pop(peer_id).cancel()
            self._down_since_ms.pop(peer_id, None)
            self._end(peer_id, "it is no peer any more")
        for peer_id in peers - self._dialers.keys():
            self._dialers[peer_id] = asyncio.create_task(self._keep_dialling(peer_id))
            if not self.is_connected(peer_id):
                self._down_since_ms[peer_id] = _now_ms()

    async def _keep_dialling(self, peer_id: int) -> None:
        wait_s = REDIAL_MIN_S
        while True:
            await self._alone_with(peer_id).wait()
            try:
                await self._dial(peer_id)
                wait_s = REDIAL_MIN_S
            except (TimeoutError, grpc.RpcError, LinkEnded, BadInput, OSError) as error:
                self._note(peer_id, error)
            # Spread, so that two members do not dial each other at the same moment for ever.
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311
            wait_s = min(2 * wait_s, REDIAL_MAX_S)

    async def _dial(self, peer_id: int) -> None:
        """Connect, and carry messages until the stream ends."""
        uri = self._door.uri_of(peer_id)
        if uri is None:
            raise LinkEnded("its address is not known")
        channel = service.channel(address_of(uri), self._security)
        try:
            call = service.open_stream(channel, self._service_name, self._security.metadata)
            try:
                async with asyncio.timeout(HANDSHAKE_S):
                    welcome = await self._introduce(call, peer_id)
                await self._carry(self._link(call, peer_id, welcome.incarnation))
            finally:
                call.cancel()
        finally:
            await channel.close()

    async def _introduce(self, call: Stream, peer_id: int) -> Welcome:
        await call.write(Frame(format=FRAME_FORMAT, hello=self._door.hello(peer_id)))
        frame = await call.read()
        if frame is grpc.aio.EOF:
            raise LinkEnded("it closed the stream")
        if frame.WhichOneof("body") == "refusal":
            self._door.refused(peer_id, frame.refusal)
            raise LinkEnded(f"it refused: {frame.refusal.text}")
        if frame.WhichOneof("body") != "welcome" or frame.welcome.peer_id != peer_id:
            raise LinkEnded("somebody else answered")
        welcome: Welcome = frame.welcome
        return welcome

    def _note(self, peer_id: int, error: BaseException) -> None:
        failures = self.failures.setdefault(peer_id, SendFailures())
        failures.count += 1
        details = getattr(error, "details", None)  # of a gRPC error: without its bulk
        failures.latest_error = str(details() if callable(details) else error) or type(error).__name__
        failures.latest_unix_s = time.time()

    # --- established streams ------------------------------------------------------------------------------

    def _link(self, stream: Stream, peer_id: int, incarnation: int, hello: Hello | None = None) -> Link:
        return Link(stream, peer_id=peer_id, incarnation=incarnation, hello=hello, drops=self._drops)

    async def _carry(self, link: Link) -> None:
        for older in list(self._links.get(link.peer_id, [])):
            if older.incarnation < link.incarnation:
                older.end("a newer process runs under this id")
        self._incarnations[link.peer_id] = max(link.incarnation, self._incarnations.get(link.peer_id, 0))
        peer = str(link.peer_id)
        self._links.setdefault(link.peer_id, []).append(link)
        self._alone_with(link.peer_id).clear()
        self._choose(link.peer_id)
        try:
            why = await link.run(lambda data: self._tell(Event(peer, data=data)))
            _log.info("peer_link_ended", service=self._service_name, peer=link.peer_id, reason=why)
        finally:
            self._links[link.peer_id].remove(link)
            self._choose(link.peer_id)
            if not self._links[link.peer_id]:
                self._alone_with(link.peer_id).set()

    def _choose(self, peer_id: int) -> None:
        """Send on the oldest stream that there is, and tell if that is another one."""
        peer, links = str(peer_id), self._links[peer_id]
        before, after = self._current.get(peer), links[0] if links else None
        if before is after:
            return
        others = {name: link for name, link in self._current.items() if name != peer}
        self._current = others if after is None else {**others, peer: after}
        if before is not None:
            self._tell(Event(peer, up=False))
        if after is not None:
            self._down_since_ms.pop(peer_id, None)
            self._tell(Event(peer, up=True))
        elif peer_id in self._dialers:
            self._down_since_ms[peer_id] = _now_ms()

    def _tell(self, event: Event) -> None:
        if self._receiver is not None:
            self._receiver(event)

    def _end(self, peer_id: int, reason: str) -> None:
        for link in self._links.get(peer_id, []):
            link.end(reason)

    def _alone_with(self, peer_id: int) -> asyncio.Event:
        """Set while there is no stream with ``peer_id``."""
        event = self._alone.get(peer_id)
        if event is None:
            event = self._alone[peer_id] = asyncio.Event()
            event.set()
        return event


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
