"""Connections answer what aiohttp's own would, byte for byte, and in the same order."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from router.rest.connection import Server, piece_of, whole_answer

BODY = b'{"result":1}'


class Site:
    """Handlers of what a client may meet; ``running`` is set while one waits for ``go``."""

    def __init__(self) -> None:
        self.running, self.go = asyncio.Event(), asyncio.Event()
        self.seen: list[str] = []

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.seen.append(request.path)
        match request.path:
            case "/echo":
                return web.Response(body=await request.read(), content_type="application/octet-stream")
            case "/piece":
                return web.Response(text=repr(piece_of(request.content)))
            case "/unread":
                return web.Response(text="not read")
            case "/wait":
                self.running.set()
                await self.go.wait()
                return web.Response(text="waited")
            case "/crash":
                raise RuntimeError("boom")
            case "/http":
                raise web.HTTPFound("/else")
            case "/empty":
                return web.Response(status=int(request.query.get("status", "200")))
            case "/odd":
                return web.Response(body=BODY)
            case "/close":
                response = web.Response(text="bye")
                response.force_close()
                return response
            case "/stream":
                stream = web.StreamResponse()
                await stream.prepare(request)
                await stream.write(b"one")
                await stream.write_eof(b"two")
                return stream
            case "/large":
                return web.Response(body=b"x" * 4_000_000, content_type="application/octet-stream")
            case _:
                headers = {"x-request-id": "7", "Retry-After": "3"}
                return web.Response(body=BODY, content_type="application/json", headers=headers, status=201)


@asynccontextmanager
async def listening(
    site: Site, kind: type[web.Server] = Server, **options: Any
) -> AsyncIterator[tuple[int, web.Server]]:
    server = kind(site.handle, access_log=None, **options)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    tcp = web.TCPSite(runner, "127.0.0.1", 0)
    await tcp.start()
    try:
        yield runner.addresses[0][1], server
    finally:
        await runner.cleanup()


async def said(port: int, *parts: bytes, ends: bool = True) -> bytes:
    """All that a server says to a client that sends ``parts`` one after another, until it hangs up; ``ends``:
    the client has no more to say by then."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            for _ in range(20):  # so that it is read by itself
                await asyncio.sleep(0)
        if ends:
            writer.write(LAST)
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionResetError:
        return b"reset"
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0)


def undated(answer: bytes) -> bytes:
    return re.sub(rb"Date: [^\r]*", b"Date: then", answer)


def asking(path: str, body: bytes = b"", *lines: str, method: str = "POST", version: str = "1.1") -> bytes:
    head = [f"{method} {path} HTTP/{version}", "Host: here", *lines]
    if body:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode() + body


LAST = asking("/last", b"", "Connection: close", method="GET")
CHUNKED = (
    b"POST /echo HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
)

CONVERSATIONS: dict[str, tuple[bytes, ...]] = {
    "one request": (asking("/echo", b"abc"),),
    "one after another": (asking("/echo", b"abc"), asking("/json"), asking("/echo", b"d")),
    "pipelined": (asking("/echo", b"abc") + asking("/json") + asking("/stream") + asking("/echo", b"d"),),
    "many pipelined": (b"".join(asking("/echo", b"%d" % i) for i in range(1, 200)),),
    "a body in parts": (asking("/echo", b"abcdef")[:-3], b"de", b"f"),
    "a head in parts": tuple(bytes((byte,)) for byte in asking("/echo", b"abc")),
    "the next one's head comes along": (
        asking("/echo", b"a") + asking("/echo", b"bcd")[:30],
        asking("/echo", b"bcd")[30:],
    ),
    "chunked": (CHUNKED, CHUNKED[:-9], CHUNKED[-9:]),
    "bodies that nobody reads": (asking("/unread", b"abc"), asking("/unread", b"x" * 300_000)),
    "large": (asking("/large"), asking("/echo", b"y" * 3_000_000)),
    "HEAD": (asking("/json", method="HEAD"), asking("/empty", method="HEAD")),
    "without a body": (asking("/empty"), asking("/empty?status=204"), asking("/empty?status=304")),
    "without a type": (asking("/odd"),),
    "streamed": (asking("/stream"),),
    "exceptions that are answers": (asking("/http"), asking("/json")),
    "crashed": (asking("/crash"), asking("/json")),
    "the server ends it": (asking("/close"), asking("/json")),
    "the client ends it": (asking("/json", b"", "Connection: close"), asking("/json")),
    "HTTP/1.0": (asking("/json", b"", version="1.0"),),
    "HTTP/1.0, kept alive": (asking("/json", b"", "Connection: keep-alive", version="1.0"),),
    "an upgrade that is declined": (
        asking("/json", b"", "Connection: Upgrade", "Upgrade: h2c"),
        asking("/json"),
    ),
    "garbage": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",),
    "garbage after a request": (asking("/json") + b"nonsense\r\n\r\n",),
    "a body of no known length": (b"POST /echo HTTP/1.1\r\nHost: here\r\nContent-Length: x\r\n\r\nabc",),
    "two lengths": (b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",),
    "length and chunks": (
        b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "a field that is too long": (asking("/json", b"", "X: " + "x" * 20_000),),
}


@pytest.mark.parametrize("parts", CONVERSATIONS.values(), ids=list(CONVERSATIONS))
async def test_a_client_hears_what_aiohttp_would_say(parts: tuple[bytes, ...]) -> None:
    heard, seen = [], []
    for kind in (web.Server, Server):
        site = Site()
        async with listening(site, kind) as (port, _):
            heard.append(undated(await said(port, *parts)))
            seen.append(site.seen)
    assert heard[1] == heard[0]
    assert seen[1] == seen[0]
    assert heard[0]


async def test_an_answer_is_dated_and_says_who_answers() -> None:
    async with listening(Site()) as (port, _):
        answer = await said(port)
    assert re.search(rb"\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\nServer: \S", answer)


@pytest.mark.parametrize(
    ("request_", "piece"),
    [
        (asking("/piece", b"abc"), b"abc"),
        (CHUNKED.replace(b"/echo", b"/piece"), None),
        (asking("/piece"), None),
        (asking("/piece", b"x" * 70_000), None),
        (asking("/piece", gzip.compress(b"abc"), "Content-Encoding: gzip"), b"abc"),
        (asking("/piece", b"no gzip", "Content-Encoding: gzip"), None),
    ],
)
async def test_a_small_body_in_one_piece_can_be_had_as_it_is(request_: bytes, piece: bytes | None) -> None:
    async with listening(Site()) as (port, _):
        assert b"\r\n\r\n" + repr(piece).encode() in await said(port, request_)


async def test_a_value_that_would_end_its_line_is_never_sent() -> None:
    class Split(Site):
        async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(text="x", headers={"X-A": "a\r\nX-B: b"})

    async with listening(Split()) as (port, _):
        assert b"X-B" not in await said(port)


async def test_requests_wait_for_those_before_them() -> None:
    site = Site()
    async with listening(site) as (port, _):
        conversation = asyncio.create_task(said(port, asking("/wait") + asking("/json")))
        await site.running.wait()
        for _ in range(50):
            await asyncio.sleep(0)
        assert site.seen == ["/wait"]
        site.go.set()
        answer = await conversation
    assert answer.index(b"waited") < answer.index(BODY)
    assert site.seen == ["/wait", "/json", "/last"]


async def test_the_request_of_a_client_that_has_gone_goes_on_and_its_connection_is_forgotten() -> None:
    """What it does may matter, and its answer has nowhere to go."""
    site = Site()
    async with listening(site) as (port, server):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(asking("/wait") + asking("/json"))
        await site.running.wait()
        writer.transport.abort()
        await until(lambda: not any(each.connected for each in server.connections))
        site.go.set()
        await until(lambda: not server.connections)
    assert site.seen == ["/wait"]


async def test_a_body_that_breaks_off_ends_its_request() -> None:
    site = Site()
    async with listening(site) as (port, server):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(asking("/echo", b"abcdef")[:-3])
        await until(lambda: bool(site.seen))
        writer.close()
        await until(lambda: not server.connections)


async def test_who_says_nothing_is_sent_away_and_who_waits_for_an_answer_is_not() -> None:
    site = Site()
    async with listening(site, keepalive_timeout=0.05) as (port, _):
        waiting = asyncio.create_task(said(port, asking("/wait"), ends=False))
        await site.running.wait()
        assert await said(port, ends=False) == b""
        answer = await said(port, asking("/json"), ends=False)
        assert answer.count(b"HTTP/1.1 201") == 1
        assert await said(port, asking("/json")[:20], ends=False) == b""  # half a request
        site.go.set()
        assert b"waited" in await waiting


async def test_at_the_end_of_the_server_a_request_is_answered_and_no_other_begins() -> None:
    site = Site()
    async with listening(site) as (port, server):
        idle = asyncio.create_task(said(port, ends=False))
        conversation = asyncio.create_task(said(port, asking("/wait") + asking("/json"), ends=False))
        await site.running.wait()
        server.pre_shutdown()
        ending = asyncio.create_task(server.shutdown(10.0))
        await asyncio.sleep(0)
        site.go.set()
        await ending
        assert b"waited" in await conversation
        assert await idle == b""
    assert site.seen == ["/wait"]


async def test_a_connection_that_is_to_end_does_so_after_the_answer_under_way() -> None:
    site = Site()
    async with listening(site) as (port, server):
        conversation = asyncio.create_task(said(port, asking("/wait") + asking("/json"), ends=False))
        await site.running.wait()
        server.pre_shutdown()
        site.go.set()
        assert (await conversation).endswith(b"waited")
    assert site.seen == ["/wait"]


async def test_a_request_that_outlasts_the_servers_patience_is_ended() -> None:
    site = Site()
    async with listening(site) as (port, server):
        conversation = asyncio.create_task(said(port, asking("/wait"), ends=False))
        await site.running.wait()
        server.pre_shutdown()
        await server.shutdown(0.01)
        assert await conversation == b""


async def test_a_client_that_reads_slowly_holds_back_its_next_request() -> None:
    site = Site()
    async with listening(site) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(asking("/large") * 8 + LAST)
        await until(lambda: bool(site.seen))
        for _ in range(200):
            await asyncio.sleep(0)
        assert len(site.seen) < 8
        async with asyncio.timeout(20):
            answer = await reader.read()
        assert answer.count(b"HTTP/1.1 200") == 8
        assert site.seen == ["/large"] * 8 + ["/last"]
        writer.close()


def test_what_is_no_plain_answer_is_left_to_aiohttp() -> None:
    class Asked:
        version, method, keep_alive = (1, 1), "GET", True

    def whole(response: web.StreamResponse) -> bytes | None:
        return whole_answer(Asked(), response)  # type: ignore[arg-type]

    assert whole(web.Response(text="x")) is not None
    chunked, compressed = web.Response(text="x"), web.Response(text="x")
    chunked.enable_chunked_encoding()
    compressed.enable_compression()
    for response in (
        chunked,
        compressed,
        web.StreamResponse(),
        web.HTTPOk(),
        web.Response(body=BODY),
        web.Response(text="x", headers={"Content-Length": "1"}),
        web.Response(text="x", headers={"Connection": "close"}),
        web.Response(text="x", headers={"X": "\x00"}),
        web.Response(status=204),
    ):
        assert whole(response) is None
