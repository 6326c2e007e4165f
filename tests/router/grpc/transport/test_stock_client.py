"""gRPC's own client finds what it expects of a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc.aio
import pytest
from grpc import Compression, StatusCode

from tests.router.grpc.transport.served import Served

UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@pytest.fixture
async def channel(served: Served) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(served.address, options=UNLIMITED) as found:
        yield found


async def failure(call: object) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call  # type: ignore[misc]
    return failed.value


async def test_a_call_is_answered(served: Served, channel: grpc.aio.Channel) -> None:
    call = channel.unary_unary("/test/Echo")(b"hello", metadata=(("x-text", "t"), ("x-data-bin", b"\0\xff")))
    assert await call == b"hello"
    assert ("x-seen", "5") in tuple(await call.trailing_metadata())
    (seen,) = served.methods.seen
    assert (seen.metadata["x-text"], seen.metadata["x-data-bin"]) == ("t", b"\0\xff")
    assert str(seen.metadata["user-agent"]).startswith("grpc-python")
    assert seen.peer().startswith("ipv4:127.0.0.1:")


async def test_an_empty_message_is_a_message(channel: grpc.aio.Channel) -> None:
    assert await channel.unary_unary("/test/Echo")(b"") == b""


async def test_headers_that_differ_are_not_mistaken_for_each_other(
    served: Served, channel: grpc.aio.Channel
) -> None:
    for text in ("a", "b", "b", "a"):
        await channel.unary_unary("/test/Echo")(b"", metadata=(("x-text", text),))
    assert [seen.metadata["x-text"] for seen in served.methods.seen] == ["a", "b", "b", "a"]


async def test_an_error_has_its_code_its_text_and_its_metadata(channel: grpc.aio.Channel) -> None:
    text = "nothing here: 100 %, naïve\nand more"
    error = await failure(channel.unary_unary("/test/Fail")(text.encode()))
    assert (error.code(), error.details()) == (StatusCode.NOT_FOUND, text)
    assert ("retry-after", "1") in tuple(error.trailing_metadata() or ())


async def test_a_crash_is_our_fault(channel: grpc.aio.Channel) -> None:
    error = await failure(channel.unary_unary("/test/Crash")(b""))
    assert (error.code(), error.details()) == (StatusCode.INTERNAL, "ZeroDivisionError: a mistake")


async def test_what_does_not_exist_is_unimplemented(channel: grpc.aio.Channel) -> None:
    for body in (b"", b"x" * 5_000_000):  # the second is refused while it is being sent
        error = await failure(channel.unary_unary("/test/Nothing")(body))
        assert error.code() is StatusCode.UNIMPLEMENTED
    assert await channel.unary_unary("/test/Echo")(b"still here") == b"still here"


@pytest.mark.parametrize("size", [1, 65_535, 65_536, 3_000_000, 40_000_000])
async def test_messages_of_any_size_go_both_ways(channel: grpc.aio.Channel, size: int) -> None:
    body = bytes(size)
    assert await channel.unary_unary("/test/Echo")(body) == body


async def test_many_large_messages_at_once_go_both_ways(channel: grpc.aio.Channel) -> None:
    """More than a connection may hold: their clients wait, and all get done."""
    bodies = [bytes([each]) * 4_000_000 for each in range(30)]
    assert await asyncio.gather(*(channel.unary_unary("/test/Echo")(body) for body in bodies)) == bodies


async def test_more_calls_than_streams_are_all_answered(channel: grpc.aio.Channel) -> None:
    bodies = [str(each).encode() for each in range(3000)]
    assert await asyncio.gather(*(channel.unary_unary("/test/Echo")(body) for body in bodies)) == bodies


@pytest.mark.parametrize("compression", [Compression.Gzip, Compression.Deflate])
@pytest.mark.parametrize("size", [2000, 100_000])
async def test_compressed_requests_are_taken(
    served: Served, channel: grpc.aio.Channel, compression: Compression, size: int
) -> None:
    call = channel.unary_unary("/test/Echo")(b"x" * size, compression=compression)
    assert await call == b"x" * size


async def test_answers_are_compressed_for_those_who_take_it(channel: grpc.aio.Channel) -> None:
    assert await channel.unary_unary("/test/Gzip")(b"x" * 100_000) == b"x" * 100_000


async def test_a_deadline_ends_the_call_and_its_work(served: Served, channel: grpc.aio.Channel) -> None:
    error = await failure(channel.unary_unary("/test/Hold")(b"", timeout=0.2))
    assert error.code() is StatusCode.DEADLINE_EXCEEDED
    await served.methods.until(lambda: served.methods.held == 0)
    assert served.methods.cancelled == 1


async def test_a_deadline_that_is_met_changes_nothing(channel: grpc.aio.Channel) -> None:
    assert await channel.unary_unary("/test/Echo")(b"x", timeout=20) == b"x"


async def test_whoever_leaves_cancels_the_work(served: Served, channel: grpc.aio.Channel) -> None:
    call = channel.unary_unary("/test/Hold")(b"")
    await served.methods.until(lambda: served.methods.held == 1)
    call.cancel()
    await served.methods.until(lambda: served.methods.held == 0)
    assert served.methods.cancelled == 1


async def test_a_connection_that_breaks_cancels_the_work(served: Served) -> None:
    async with grpc.aio.insecure_channel(served.address) as channel:
        calls = [channel.unary_unary("/test/Hold")(b"") for _ in range(5)]
        await served.methods.until(lambda: served.methods.held == 5)
        del calls
    await served.methods.until(lambda: served.methods.held == 0)
    assert served.methods.cancelled == 5


async def test_messages_are_answered_in_turn(channel: grpc.aio.Channel) -> None:
    call = channel.stream_stream("/test/Each")()
    for each in (b"a", b"", b"b" * 100_000):
        await call.write(each)
        assert await call.read() == each
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is StatusCode.OK


async def test_a_stream_may_be_refused_in_the_middle(channel: grpc.aio.Channel) -> None:
    call = channel.stream_stream("/test/Each")()
    await call.write(b"a")
    assert await call.read() == b"a"
    await call.write(b"refuse")
    error = await failure(call.read())
    assert (error.code(), error.details()) == (StatusCode.OUT_OF_RANGE, "enough")


async def test_many_messages_that_nobody_takes_yet_wait(channel: grpc.aio.Channel) -> None:
    call = channel.stream_stream("/test/Each")(bytes(10_000) for _ in range(2000))
    assert [len(each) async for each in call] == [10_000] * 2000


async def test_a_message_of_many_that_is_too_long_is_refused(channel: grpc.aio.Channel) -> None:
    call = channel.stream_stream("/test/Each")(iter([bytes(5_000_000)]))
    error = await failure(call.read())
    assert error.code() is StatusCode.RESOURCE_EXHAUSTED


async def test_one_message_is_one(channel: grpc.aio.Channel) -> None:
    for sent in ([], [b"a", b"b"]):
        error = await failure(channel.stream_unary("/test/Echo")(iter(sent)))
        assert error.code() is StatusCode.UNIMPLEMENTED


async def test_an_endless_answer_ends_when_its_client_leaves(
    served: Served, channel: grpc.aio.Channel
) -> None:
    call = channel.unary_stream("/test/Many")(b"")
    for _ in range(300):
        assert len(await call.read()) == 10_000
    call.cancel()
    while served.server.calls:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.01)


async def test_what_runs_when_the_end_comes_is_answered_and_what_comes_after_is_not(
    served: Served, channel: grpc.aio.Channel
) -> None:
    running = channel.unary_unary("/test/Hold")(b"x")
    await served.methods.until(lambda: served.methods.held == 1)
    stopping = asyncio.create_task(served.server.stop(20))
    await asyncio.sleep(0)
    async with grpc.aio.insecure_channel(served.address) as late:
        error = await failure(late.unary_unary("/test/Echo")(b""))
        assert error.code() is StatusCode.UNAVAILABLE
    served.methods.go.set()
    assert await running == b"x"
    await stopping


async def test_what_takes_too_long_at_the_end_is_cancelled(served: Served, channel: grpc.aio.Channel) -> None:
    running = channel.unary_unary("/test/Hold")(b"x")
    await served.methods.until(lambda: served.methods.held == 1)
    await served.server.stop(0.05)
    assert (await failure(running)).code() is StatusCode.UNAVAILABLE
    assert (served.methods.held, served.methods.cancelled) == (0, 1)


async def test_a_client_that_is_sent_away_ends_its_call_and_comes_again(
    served: Served, channel: grpc.aio.Channel
) -> None:
    held = channel.unary_unary("/test/Hold")(b"held")
    await served.methods.until(lambda: served.methods.held == 1)
    served.server.send_away()
    served.server.send_away()
    assert await channel.unary_unary("/test/Echo")(b"elsewhere") == b"elsewhere"
    assert served.server.connections == 2
    served.methods.go.set()
    assert await held == b"held"
    async with asyncio.timeout(10):
        while served.server.connections != 1:  # noqa: ASYNC110 - the end of a connection is told to nobody
            await asyncio.sleep(0.01)
    assert await channel.unary_unary("/test/Echo")(b"again") == b"again"
