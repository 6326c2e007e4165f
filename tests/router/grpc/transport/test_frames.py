"""What clients do that no library would: everything is bounded, and others are not disturbed."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
import socket

import h2.events
import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from router.grpc.transport import connection, flow
from router.grpc.transport.messages import frame
from tests.router.grpc.transport.served import HOST, METADATA_BYTES_MAX, Raw, Served, raw

PING = b"\0\0\x08\6\0\0\0\0\0" + b"x" * 8

_numbers = itertools.count(1 << 32)


async def alive(served: Served) -> None:
    """Others are served."""
    async with raw(served) as client:
        assert (await client.ended(await client.call("/test/Echo", b"x")))["grpc-status"] == "0"


async def gone(served: Served) -> None:
    """Nothing is left of calls and connections."""
    async with asyncio.timeout(20):
        while served.server.calls or served.server.connections:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)


async def test_a_call_frame_by_frame(served: Served) -> None:
    async with raw(served) as client:
        stream = await client.begin("/test/Echo")
        for byte in frame(b"hello"):
            client.h2.send_data(stream, bytes([byte]))
            await client.send()
        client.h2.send_data(stream, b"", end_stream=True)
        await client.send()
        found = await client.ended(stream)
    assert (found[":status"], found["content-type"], found["grpc-status"]) == ("200", "application/grpc", "0")
    assert found["grpc-accept-encoding"] == "identity,deflate,gzip"


async def test_the_end_may_come_in_trailers(served: Served) -> None:
    async with raw(served) as client:
        stream = await client.begin("/test/Echo")
        client.h2.send_data(stream, frame(b"x"))
        client.h2.send_headers(stream, [("x-end", "1")], end_stream=True)
        await client.send()
        assert (await client.ended(stream))["grpc-status"] == "0"


@pytest.mark.parametrize(("accepted", "encoding"), [("identity, gzip", "gzip"), ("identity", None)])
async def test_answers_are_compressed_for_those_who_take_it_only(
    served: Served, accepted: str, encoding: str | None
) -> None:
    async with raw(served) as client:
        stream = await client.call("/test/Gzip", b"x" * 5000, [("grpc-accept-encoding", accepted)])
        assert (await client.ended(stream)).get("grpc-encoding") == encoding
        data = b"".join(each.data for each in client.events if isinstance(each, h2.events.DataReceived))
    assert (data[0] == 1) == (encoding is not None)
    assert (gzip.decompress(data[5:]) if encoding else data[5:]) == b"x" * 5000


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", "12"),  # none
        (b"\0\0\0\0\5ab", "13"),  # cut off
        (b"\0\0", "13"),
        (b"\7\0\0\0\1x", "13"),  # a flag that there is not
        (b"\1\0\0\0\1x", "13"),  # compressed, and not said how
        (frame(b"a") + frame(b"b"), "12"),  # two
    ],
)
async def test_what_is_no_message_is_refused(served: Served, body: bytes, status: str) -> None:
    async with raw(served) as client:
        stream = await client.begin("/test/Echo")
        client.h2.send_data(stream, body, end_stream=True)
        await client.send()
        assert (await client.ended(stream))["grpc-status"] == status
        assert (await client.ended(await client.call("/test/Echo", b"x")))["grpc-status"] == "0"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([("grpc-timeout", "soon")], "13"),
        ([("grpc-encoding", "zstd")], "12"),
        ([("x-bin", "?")], "13"),
        ([("x", "y" * METADATA_BYTES_MAX)], "8"),
    ],
)
async def test_headers_that_cannot_be_are_refused(
    served: Served, fields: list[tuple[str, str]], status: str
) -> None:
    async with raw(served) as client:
        stream = await client.call("/test/Echo", b"x", fields)
        assert (await client.ended(stream))["grpc-status"] == status
    assert not served.methods.seen


@pytest.mark.parametrize(
    ("name", "value", "status"), [(":method", "GET", "405"), ("content-type", "text/html", "415")]
)
async def test_what_is_no_call_is_told_so_by_http(served: Served, name: str, value: str, status: str) -> None:
    async with raw(served) as client:
        stream = client.h2.get_next_available_stream_id()
        fields = dict(client.headers("/test/Echo")) | {name: value}
        client.h2.send_headers(stream, list(fields.items()), end_stream=True)
        await client.send()
        assert (await client.ended(stream))[":status"] == status


@pytest.mark.parametrize(
    "greeting",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"\0" * 100,
        b"PRI * HTTP/2.0\r\n\r\nXX",
    ],
    ids=["HTTP/1", "TLS", "zeros", "half a preface"],
)
async def test_other_protocols_are_turned_away(served: Served, greeting: bytes) -> None:
    async with raw(served, greet=False) as client:
        client.writer.write(greeting + b"\0" * 24)
        await client.until_closed()
    await gone(served)
    await alive(served)


async def test_whoever_says_nothing_is_hung_up_on(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "GREETING_S_MAX", 0.05)
    async with raw(served, greet=False) as client:
        await client.until_closed()
    await gone(served)


async def test_whoever_has_greeted_may_be_quiet(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "GREETING_S_MAX", 0.05)
    async with raw(served) as client, raw(served, greet=False) as silent:
        await silent.until_closed()
        assert (await client.ended(await client.call("/test/Echo", b"x")))["grpc-status"] == "0"


async def test_headers_without_end_close_the_connection(served: Served) -> None:
    async with raw(served) as client:
        stream = client.h2.get_next_available_stream_id()
        fields = [(f"x-{number}", "y" * 1000) for number in range(200)]
        client.h2.send_headers(stream, [*client.headers("/test/Echo"), *fields])
        await client.send()
        await client.until_closed()
    await gone(served)
    await alive(served)


async def test_headers_that_grow_when_they_are_unpacked_close_the_connection(served: Served) -> None:
    """4,000 bytes once in the table, and then a byte for each of them."""
    async with raw(served) as client:
        await client.ended(await client.call("/test/Echo", b"x", [("x-big", "y" * 3900)]))
        stream = client.h2.get_next_available_stream_id()
        client.h2.send_headers(stream, [*client.headers("/test/Echo"), *[("x-big", "y" * 3900)] * 1000])
        await client.send()
        await client.until_closed()
    await gone(served)
    await alive(served)


async def test_calls_that_are_begun_and_given_up_without_end_close_the_connection(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "RESETS", (100, 1))
    async with raw(served) as client:
        for _ in range(500):
            stream = client.h2.get_next_available_stream_id()
            client.h2.send_headers(stream, client.headers("/test/Hold"))
            client.h2.reset_stream(stream)
        client.writer.write(client.h2.data_to_send())
        await client.until_closed()
    told = next(each for each in client.events if isinstance(each, h2.events.ConnectionTerminated))
    assert told.error_code is not ErrorCodes.NO_ERROR
    await gone(served)
    assert served.methods.held == 0
    await alive(served)


async def test_pings_are_answered_however_many(served: Served) -> None:
    async with raw(served) as client:
        for number in range(300):
            client.h2.ping(number.to_bytes(8, "big"))
            await client.send()
        last = (299).to_bytes(8, "big")
        await client.until(
            lambda each: isinstance(each, h2.events.PingAckReceived) and each.ping_data == last
        )
        assert (await client.ended(await client.call("/test/Echo", b"x")))["grpc-status"] == "0"


async def test_pings_whose_answers_nobody_reads_close_the_connection(served: Served) -> None:
    """What waits to be said is bounded."""
    with socket.create_connection((HOST, served.port)) as plain:
        plain.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(plain, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(60):
                while True:
                    await loop.sock_sendall(plain, PING * 1000)
    await gone(served)
    await alive(served)


async def test_more_streams_than_may_be_close_the_connection(served: Served) -> None:
    async with raw(served) as client:
        await client.until(lambda each: isinstance(each, h2.events.RemoteSettingsChanged))
        assert client.h2.remote_settings.max_concurrent_streams == flow.STREAMS_MAX
        client.h2.remote_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 1 << 20
        client.h2.remote_settings.acknowledge()
        for _ in range(flow.STREAMS_MAX):
            await client.begin("/test/Hold")
        await _ping(client)
        assert served.server.calls == flow.STREAMS_MAX
        await client.begin("/test/Hold")
        await client.until_closed()
    await gone(served)
    await alive(served)


async def test_whoever_does_not_read_gets_no_more_answers_made(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ANSWERS_BYTES_MAX", 1 << 20)
    async with raw(served) as client:  # with a window of 64 KiB, which it never opens
        streams = [await client.call("/test/Long", b"500000") for _ in range(20)]
        await client.until(lambda each: isinstance(each, h2.events.DataReceived), open_windows=False)
        await _ping(client)
        assert served.methods.begun <= 4
        _open(client)
        await client.send()
        for stream in streams:
            assert (await client.ended(stream))["grpc-status"] == "0"
        assert served.methods.begun == 20


async def _ping(client: Raw) -> None:
    """Until the server has handled what it was sent."""
    data = next(_numbers).to_bytes(8, "big")
    client.h2.ping(data)
    await client.send()
    await client.until(
        lambda each: isinstance(each, h2.events.PingAckReceived) and each.ping_data == data,
        open_windows=False,
    )


def _open(client: Raw) -> None:
    """The windows, for what came so far."""
    for each in client.events:
        if isinstance(each, h2.events.DataReceived) and each.flow_controlled_length:
            client.h2.acknowledge_received_data(each.flow_controlled_length, each.stream_id)


async def test_many_answers_are_made_as_fast_as_they_are_read(served: Served) -> None:
    async with raw(served) as client:
        await client.call("/test/Many", b"")
        await client.until(lambda each: isinstance(each, h2.events.DataReceived), open_windows=False)
        await _ping(client)
        begun = served.methods.begun
        assert begun <= 30  # 64 KiB on their way, 64 KiB that wait
        _open(client)
        await client.send()
        while served.methods.begun == begun:
            await client.read()
    await gone(served)


async def test_answers_wait_for_the_connection_to_take_them(served: Served) -> None:
    """Windows may be as wide as a client likes; what counts is whether it reads."""
    async with raw(served, greet=False) as client:
        await _greet_with_wide_windows(client)
        await client.call("/test/Many", b"")
        await served.methods.until_still()
        assert served.methods.begun < 5000
        assert served.server.calls == 1
    await gone(served)


async def test_whoever_does_not_read_even_the_last_is_hung_up_on(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "FAREWELL_S_MAX", 0.05)
    async with raw(served, greet=False) as client:
        await _greet_with_wide_windows(client)
        await client.call("/test/Many", b"")
        await served.methods.until_still()
        client.writer.write(PING * 3000)
        await gone(served)


async def _greet_with_wide_windows(client: Raw) -> None:
    client.h2.local_settings[SettingCodes.INITIAL_WINDOW_SIZE] = 2**31 - 1
    client.h2.local_settings.acknowledge()
    client.h2.initiate_connection()
    client.h2.increment_flow_control_window(2**31 - 1 - 65_535)
    await client.send()


async def test_what_is_sent_after_the_answer_is_dropped(served: Served) -> None:
    async with raw(served) as client:
        stream = await client.begin("/nothing")
        assert (await client.ended(stream))["grpc-status"] == "12"
        for _ in range(20):
            while client.h2.local_flow_control_window(stream) < 16_384:
                await client.read()
            client.h2.send_data(stream, bytes(16_384))
            await client.send()
        client.h2.end_stream(stream)
        await client.send()
        assert (await client.ended(await client.call("/test/Echo", b"x")))["grpc-status"] == "0"


async def test_what_is_given_up_before_it_is_refused_disturbs_nothing(served: Served) -> None:
    async with raw(served) as client:
        for path, fields in (("/nothing", []), ("/test/Echo", [("grpc-timeout", "x")])):
            stream = client.h2.get_next_available_stream_id()
            client.h2.send_headers(stream, client.headers(path, fields))
            client.h2.reset_stream(stream)
        stream = client.h2.get_next_available_stream_id()
        client.h2.send_headers(stream, client.headers("/test/Echo"))
        client.h2.send_data(stream, b"\7\0\0\0\0")
        client.h2.reset_stream(stream)
        await client.send()
        assert (await client.ended(await client.call("/test/Echo", b"x")))["grpc-status"] == "0"


async def test_uploads_beyond_what_may_be_held_wait_for_the_oldest(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "HELD_BYTES_MAX", 50_000)
    size = 60_000
    async with raw(served) as client:
        await _ping(client)
        streams = [await client.begin("/test/Echo") for _ in range(3)]
        for stream in streams:
            _send(client, stream, b"\0" + (3 * size).to_bytes(4, "big") + bytes(size - 5))
        await client.send()
        await _ping(client)
        windows = [client.h2.local_flow_control_window(stream) for stream in streams]
        assert windows[0] > size
        assert max(windows[1:]) < size
        for stream in streams:
            for left in (size, size + 5):
                while client.h2.local_flow_control_window(stream) < left:
                    await client.read()
                _send(client, stream, bytes(left))
                await client.send()
            client.h2.end_stream(stream)
            await client.send()
            assert (await client.ended(stream))["grpc-status"] == "0"


def _send(client: Raw, stream: int, data: bytes) -> None:
    for at in range(0, len(data), 16_384):
        client.h2.send_data(stream, data[at : at + 16_384])


async def test_a_method_of_many_messages_begins_with_the_first(served: Served) -> None:
    async with raw(served) as client:
        stream = await client.begin("/test/Each")
        await _ping(client)
        assert not [each for each in client.events if isinstance(each, h2.events.ResponseReceived)]
        client.h2.send_data(stream, frame(b"refuse"))
        await client.send()
        assert (await client.ended(stream))["grpc-status"] == "11"


async def test_a_deadline_is_kept_while_the_request_is_still_coming(served: Served) -> None:
    async with raw(served) as client:
        stream = await client.begin("/test/Echo", [("grpc-timeout", "50m")])
        assert (await client.ended(stream))["grpc-status"] == "4"
    await gone(served)


async def test_the_longest_of_deadlines_is_one(served: Served) -> None:
    async with raw(served) as client:
        stream = await client.call("/test/Echo", b"x", [("grpc-timeout", "99999999H")])
        assert (await client.ended(stream))["grpc-status"] == "0"
        stream = await client.call("/test/Hold", b"x", [("grpc-timeout", "0n")])
        assert (await client.ended(stream))["grpc-status"] == "4"


async def test_the_end_is_told_and_the_connection_closes_when_all_is_answered(served: Served) -> None:
    async with raw(served) as client:
        stream = await client.call("/test/Hold", b"x")
        await served.methods.until(lambda: served.methods.held == 1)
        stopping = asyncio.create_task(served.server.stop(20))
        told = await client.until(lambda each: isinstance(each, h2.events.ConnectionTerminated))
        assert isinstance(told, h2.events.ConnectionTerminated)
        assert (told.error_code, told.last_stream_id) == (ErrorCodes.NO_ERROR, stream)
        served.methods.go.set()
        assert b"x" in await client.rest()  # hyper-h2 itself is done after what it was told
        await stopping


async def test_a_client_that_never_reads_does_not_hold_up_the_end(served: Served) -> None:
    async with raw(served) as client:
        await client.call("/test/Long", b"10000000")
        await client.until(lambda each: isinstance(each, h2.events.DataReceived), open_windows=False)
        await served.server.stop(0.05)
    await gone(served)
