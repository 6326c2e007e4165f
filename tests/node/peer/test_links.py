"""Raft's streams on loopback: who is let in, in which order things arrive, when a stream ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc.aio
import pytest

from consensus.raft.transport import Event
from node.peer import service
from node.peer.link import FRAME_FORMAT
from node.peer.links import PeerLinks
from protos.peer.peer_pb2 import Frame, Hello, Refusal
from tests.node.peer.test_member import until


class End:
    """One side: links, their server, what happened on them. It is the links' ``Door``, too."""

    def __init__(self, peer_id: int) -> None:
        self.peer_id = peer_id
        self.incarnation = 1
        self.uris: dict[int, str] = {}
        self.unwanted: dict[int, Refusal] = {}
        self.refusals: list[Refusal] = []
        self.events: list[Event] = []
        self.links = PeerLinks(self)
        self.links.attach(self.events.append)
        self.server = grpc.aio.server(options=service.SERVER_OPTIONS)
        self.server.add_generic_rpc_handlers((service.links_handler(service.RAFT, self.links.accept),))
        self.port = self.server.add_insecure_port("127.0.0.1:0")

    @property
    def received(self) -> list[bytes]:
        return [event.data for event in self.events if event.data is not None]

    @property
    def ups(self) -> list[bool]:
        return [event.up for event in self.events if event.data is None]

    def hello(self, peer_id: int) -> Hello:
        return Hello(
            cluster_id="c", peer_id=self.peer_id, incarnation=self.incarnation, wanted_peer_id=peer_id
        )

    def why_refuse(self, hello: Hello) -> Refusal | None:
        return self.unwanted.get(hello.peer_id)

    def uri_of(self, peer_id: int) -> str | None:
        return self.uris.get(peer_id)

    def met(self, hello: Hello) -> None:
        pass

    def refused(self, peer_id: int, refusal: Refusal) -> None:
        self.refusals.append(refusal)


@pytest.fixture
async def make() -> AsyncIterator[Callable[[int], Any]]:
    ends: list[End] = []

    async def made(peer_id: int) -> End:
        end = End(peer_id)
        for other in ends:
            end.uris[other.peer_id] = f"http://127.0.0.1:{other.port}"
            other.uris[peer_id] = f"http://127.0.0.1:{end.port}"
        await end.server.start()
        ends.append(end)
        return end

    yield made
    for end in ends:
        await end.links.close()
        await end.server.stop(0)


async def pair(make: Callable[[int], Any]) -> tuple[End, End]:
    one, other = await make(1), await make(2)
    one.links.watch(frozenset({"2"}))
    await until(lambda: one.ups == [True] and other.ups == [True])
    return one, other


async def test_one_that_is_dialled_can_send_back(make: Callable[[int], Any]) -> None:
    one, other = await pair(make)
    assert one.links.send("2", b"there")
    assert other.links.send("1", b"back")
    await until(lambda: one.received == [b"back"] and other.received == [b"there"])


async def test_what_is_sent_arrives_once_and_in_order(make: Callable[[int], Any]) -> None:
    one, other = await pair(make)
    sent = [b"%d" % number * 50 for number in range(500)]
    assert all(one.links.send("2", data) for data in sent)
    await until(lambda: len(other.received) >= len(sent))
    assert other.received == sent
    await until(lambda: one.links.backlog("2") == 0)  # the last is counted until its writing has returned


async def test_without_a_stream_nothing_is_kept_for_later(make: Callable[[int], Any]) -> None:
    one, other = await make(1), await make(2)
    assert not one.links.send("2", b"lost")
    one.links.watch(frozenset({"2"}))
    await until(lambda: one.ups == [True])
    one.links.send("2", b"sent")
    await until(lambda: other.received)
    assert other.received == [b"sent"]


async def test_a_stream_that_ended_is_made_anew(make: Callable[[int], Any]) -> None:
    one, other = await pair(make)
    one.links.reset("2", "it makes no sense")
    await until(lambda: one.ups == [True, False, True] and other.ups == [True, False, True])


async def test_one_that_is_refused_is_told_why_and_tries_again(make: Callable[[int], Any]) -> None:
    one, other = await make(1), await make(2)
    other.unwanted[1] = Refusal(reason=Refusal.STRANGER, text="this is a member of cluster x")
    one.links.watch(frozenset({"2"}))
    await until(lambda: len(one.refusals) > 1)
    assert "this is a member of cluster x" in one.links.failures[2].latest_error
    other.unwanted.clear()
    await until(lambda: one.ups == [True])


async def test_one_that_is_not_wanted_any_more_is_let_go(make: Callable[[int], Any]) -> None:
    one, other = await pair(make)
    other.unwanted[1] = Refusal(reason=Refusal.REMOVED, text="gone")
    other.links.review()
    await until(lambda: one.ups == [True, False] and one.refusals)


async def test_an_older_process_is_refused_and_its_stream_ended(make: Callable[[int], Any]) -> None:
    older, host = await pair(make)
    newer = await make(3)
    newer.peer_id, newer.incarnation = 1, 2
    newer.links.watch(frozenset({"2"}))
    await until(lambda: newer.ups == [True])
    await until(lambda: any(refusal.reason == Refusal.STALE for refusal in older.refusals))
    host.links.send("1", b"to the newer")
    await until(lambda: newer.received == [b"to the newer"])


async def test_an_outbox_that_is_full_ends_the_stream(
    make: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = await pair(make)
    monkeypatch.setattr("node.peer.link.OUTBOX_FRAMES_MAX", 3)
    assert [one.links.send("2", b"x") for _ in range(4)] == [True, True, True, False]
    await until(lambda: one.ups == [True, False, True])


async def test_a_silent_stream_is_ended(make: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.peer.link.SILENCE_S_MAX", 0.1)
    host = await make(1)
    channel = service.channel(f"127.0.0.1:{host.port}")
    call = service.open_stream(channel)
    hello = Hello(cluster_id="c", peer_id=2, incarnation=1, wanted_peer_id=1)
    await call.write(Frame(format=FRAME_FORMAT, hello=hello))
    assert (await call.read()).WhichOneof("body") == "welcome"
    await until(lambda: host.ups == [True, False])
    call.cancel()
    await channel.close()


@pytest.mark.parametrize("frame", [Frame(format=99, message=b"x"), Frame(format=FRAME_FORMAT, message=b"x")])
async def test_one_that_does_not_say_hello_is_refused(make: Callable[[int], Any], frame: Any) -> None:
    host = await make(1)
    channel = service.channel(f"127.0.0.1:{host.port}")
    call = service.open_stream(channel)
    await call.write(frame)
    answer = await call.read()
    assert answer.refusal.reason == Refusal.FORMAT
    assert not host.events
    call.cancel()
    await channel.close()


async def test_streams_that_are_up_are_told_to_a_late_receiver(make: Callable[[int], Any]) -> None:
    one, _ = await pair(make)
    late: list[Event] = []
    one.links.attach(late.append)
    assert [(event.peer, event.up) for event in late] == [("2", True)]
