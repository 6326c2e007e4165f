"""Letters on loopback: over which connections they go, and which are lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import grpc.aio
import pytest

from node.peer import mail, service
from node.peer.link import FRAME_FORMAT
from node.peer.mail import decode_letter, encode_letter
from protos.peer.peer_pb2 import Frame, Hello, Refusal
from tests.node.peer.callers import Caller
from tests.node.peer.proxy import Proxy
from tests.node.peer.test_member import until

Make = Callable[..., Awaitable[Caller]]
UUID = "0b5a7e5e-6c1b-4f0e-9a53-0d2a4f8f0a11"


async def pair(caller: Make) -> tuple[Caller, Caller]:
    one, other = await caller(1), await caller(2)
    one.mail.watch([2])
    await connected(one, other)
    return one, other


async def connected(one: Caller, other: Caller) -> None:
    await until(lambda: one.mail.is_connected(2) and other.mail.is_connected(1))


async def test_letters_arrive_once_in_order_both_ways(caller: Make) -> None:
    one, other = await pair(caller)
    for number in range(300):
        one.mail.send(2, UUID, number % 3, b"%d" % number)
    other.mail.send(1, UUID, 9, b"back")
    await until(lambda: len(other.letters) >= 300 and one.letters)
    assert other.letters == [(1, UUID, number % 3, b"%d" % number) for number in range(300)]
    assert one.letters == [(2, UUID, 9, b"back")]
    assert one.mail.backlog(2) == 0


async def test_without_a_connection_letters_are_dropped(caller: Make) -> None:
    one, other = await caller(1), await caller(2)
    one.mail.send(2, UUID, 0, b"lost")
    one.mail.watch([2])
    await connected(one, other)
    one.mail.send(2, UUID, 0, b"sent")
    await until(lambda: other.letters)
    assert other.letters == [(1, UUID, 0, b"sent")]


async def test_a_connection_that_breaks_is_made_anew_and_nothing_comes_twice(caller: Make) -> None:
    one, other = await caller(1), await caller(2)
    proxy = Proxy(other.port)
    await proxy.start()
    one.uris[2] = f"http://127.0.0.1:{proxy.port}"
    one.mail.watch([2])
    for turn in range(3):
        await connected(one, other)
        for number in range(100):
            one.mail.send(2, UUID, turn, b"%d" % number)
        proxy.cut()
        await until(lambda: not one.mail.is_connected(2))
    await connected(one, other)
    one.mail.send(2, UUID, 3, b"last")
    await until(lambda: (1, UUID, 3, b"last") in other.letters)
    assert len(set(other.letters)) == len(other.letters)
    for turn in range(3):
        numbers = [int(message) for _, _, shard, message in other.letters if shard == turn]
        assert numbers == list(range(len(numbers)))  # a part from the beginning on; the rest is lost
    await proxy.close()


async def test_a_peer_that_comes_back_elsewhere_is_found(caller: Make) -> None:
    one, other = await pair(caller)
    await other.stop()
    await until(lambda: not one.mail.is_connected(2))
    await other.serve()
    one.knows(other)
    await connected(one, other)
    one.mail.send(2, UUID, 0, b"x")
    await until(lambda: other.letters)


async def test_a_peer_that_is_watched_no_more_gets_no_letters(caller: Make) -> None:
    one, other = await pair(caller)
    one.mail.watch([])
    await until(lambda: not one.mail.is_connected(2) and not other.mail.is_connected(1))
    one.mail.send(2, UUID, 0, b"lost")
    assert one.mail.backlog(2) == 0


async def test_letters_of_one_that_is_not_wanted_any_more_are_not_taken(caller: Make) -> None:
    one, other = await pair(caller)
    other.unwanted[1] = Refusal(reason=Refusal.REMOVED, text="gone")
    other.mail.review()
    await until(lambda: one.refusals)
    one.mail.send(2, UUID, 0, b"late")
    assert not one.mail.is_connected(2)
    assert not other.letters


async def test_a_letter_that_finds_the_outbox_full_is_dropped_alone(
    caller: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = await pair(caller)
    monkeypatch.setattr("node.peer.link.OUTBOX_FRAMES_MAX", 3)
    for number in range(5):
        one.mail.send(2, UUID, number, b"")
    await until(lambda: one.mail.backlog(2) == 0)
    one.mail.send(2, UUID, 9, b"")
    await until(lambda: len(other.letters) == 4)
    assert [shard for _, _, shard, _ in other.letters] == [0, 1, 2, 9]


async def test_a_letter_that_is_too_large_costs_only_itself(
    caller: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = await pair(caller)
    monkeypatch.setattr(mail, "MESSAGE_BYTES_MAX", 10)
    one.mail.send(2, UUID, 0, b"x" * 11)
    one.mail.send(2, UUID, 0, b"x" * 10)
    await until(lambda: other.letters)
    assert other.letters == [(1, UUID, 0, b"x" * 10)]


async def test_a_letter_of_32_mib_goes_through(caller: Make) -> None:
    one, other = await pair(caller)
    one.mail.send(2, UUID, 0, b"x" * (33 << 20))
    assert one.mail.backlog(2) > 33 << 20
    await until(lambda: other.letters, timeout_s=60)
    assert len(other.letters[0][3]) == 33 << 20


async def test_a_reader_that_fails_does_not_cost_the_next_letter(caller: Make) -> None:
    one, other = await pair(caller)
    seen: list[bytes] = []

    def read(peer_id: int, collection_uuid: str, shard_id: int, message: bytes) -> None:
        seen.append(message)
        raise KeyError("k")

    other.mail.receive(read)
    one.mail.send(2, UUID, 0, b"1")
    one.mail.send(2, UUID, 0, b"2")
    await until(lambda: len(seen) == 2)


async def test_without_a_reader_letters_are_dropped(caller: Make) -> None:
    one, other = await pair(caller)
    other.mail.receive(None)
    one.mail.send(2, UUID, 0, b"lost")
    await until(lambda: one.mail.backlog(2) == 0)
    other.mail.send(1, UUID, 0, b"x")
    await until(lambda: one.letters)
    assert not other.letters


async def test_what_is_no_letter_ends_the_connection(caller: Make) -> None:
    host = await caller(1)
    channel = service.channel(f"127.0.0.1:{host.port}")
    call = service.open_stream(channel, service.MAIL)
    await call.write(Frame(format=FRAME_FORMAT, hello=Hello(peer_id=2, wanted_peer_id=1)))
    assert (await call.read()).WhichOneof("body") == "welcome"
    await call.write(Frame(format=FRAME_FORMAT, message=b"\x09nonsense"))
    frame = await call.read()
    while frame is not grpc.aio.EOF:
        assert frame.WhichOneof("body") == "ping"
        frame = await call.read()
    assert not host.letters
    await channel.close()


def test_letters_of_format_1_are_read() -> None:
    letter = b"\x01\x00\x00\x00\x07\x02u1message"
    assert decode_letter(letter) == ("u1", 7, b"message")
    assert encode_letter("u1", 7, b"message") == letter


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x02\x00\x00\x00\x07\x02u1x"])
def test_what_is_no_letter_is_told(data: bytes) -> None:
    with pytest.raises(ValueError, match="a letter of format 1 is expected"):
        decode_letter(data)
