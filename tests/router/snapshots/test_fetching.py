"""Downloads from URLs: what may not be asked, what is sent along, what follows from what comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from protos.errors import BadRequest, Forbidden
from router.snapshots.fetching import SnapshotFetcher, is_refused

FETCHER = SnapshotFetcher("Qdrant/1.19.0")
METADATA = "http://169.254.169.254/latest/meta-data"


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "fe80::1%eth0",
        "febf::1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "fd00:ec2::254",
    ],
)
def test_link_local_addresses_are_refused_in_every_guise(address: str) -> None:
    assert is_refused(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.253.0.1", "::1", "fec0::1", "2001:db8::1"])
def test_others_are_not(address: str) -> None:
    assert not is_refused(address)


async def fetched(url: str, api_key: str | None = None) -> bytes:
    async with FETCHER.chunks(url, api_key) as chunks:
        return b"".join([chunk async for chunk in chunks])


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "2852039166", "0xa9fea9fe", "169.16689662"])
async def test_hosts_are_judged_by_the_address_they_stand_for(host: str) -> None:
    """Some ways of writing an address the client library does not take as one."""
    with pytest.raises((Forbidden, BadRequest), match=r"link-local|not a canonical IPv4 address"):
        await fetched(f"http://{host}/x")


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(text=f"{request.headers['User-Agent']} {request.headers.get('api-key')}")

    async def onward(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": request.query["to"]})

    async def round_and_round(_request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "/round"})

    async def short(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 100
        await response.prepare(request)
        await response.write(b"x")
        assert request.transport is not None
        request.transport.close()
        return response

    app = web.Application()
    app.router.add_get("/echo", echo)
    app.router.add_get("/onward", onward)
    app.router.add_get("/round", round_and_round)
    app.router.add_get("/short", short)
    async with TestServer(app) as running:
        yield running


async def test_the_key_and_the_agent_go_along(server: TestServer) -> None:
    assert await fetched(str(server.make_url("/echo")), "secret") == b"Qdrant/1.19.0 secret"
    assert await fetched(str(server.make_url("/echo"))) == b"Qdrant/1.19.0 None"


async def test_redirects_are_followed_and_the_key_stays_with_its_origin(server: TestServer) -> None:
    onward = str(server.make_url("/onward"))
    assert await fetched(f"{onward}?to=/echo", "secret") == b"Qdrant/1.19.0 secret"
    other = f"http://localhost:{server.port}/echo"
    assert await fetched(f"{onward}?to={other}", "secret") == b"Qdrant/1.19.0 None"


async def test_redirects_are_judged_anew_and_counted(server: TestServer) -> None:
    onward = str(server.make_url("/onward"))
    with pytest.raises(Forbidden, match="link-local"):
        await fetched(f"{onward}?to={METADATA}")
    with pytest.raises(BadRequest, match="no http or https"):
        await fetched(f"{onward}?to=file:///etc/passwd")
    with pytest.raises(BadRequest, match="more than 5 redirects"):
        await fetched(str(server.make_url("/round")))


async def test_what_cannot_be_had_is_the_callers_to_mend(server: TestServer) -> None:
    with pytest.raises(BadRequest, match="status - 404"):
        await fetched(str(server.make_url("/nothing")))
    with pytest.raises(BadRequest, match="Failed to download"):
        await fetched(str(server.make_url("/short")))
    port = server.port
    await server.close()
    with pytest.raises(BadRequest, match="Failed to download"):
        await fetched(f"http://127.0.0.1:{port}/")


# --- what is made for a manifest ---------------------------------------------------------------------------


@pytest.fixture
async def maker() -> AsyncIterator[TestServer]:
    async def make(request: web.Request) -> web.Response:
        sent = await request.text()
        return web.Response(status=304) if sent == "same" else web.Response(text=f"made for {sent}")

    async def moved(request: web.Request) -> web.Response:
        return web.Response(status=int(request.query["status"]), headers={"Location": request.query["to"]})

    app = web.Application()
    app.router.add_post("/make", make)
    app.router.add_post("/moved", moved)
    async with TestServer(app) as server:
        yield server


async def made(url: str, manifest: bytes) -> bytes | None:
    async with FETCHER.made_for(url, None, manifest) as chunks:
        return None if chunks is None else b"".join([chunk async for chunk in chunks])


async def test_the_manifest_is_sent_along_also_to_where_it_is_sent_on(maker: TestServer) -> None:
    assert await made(str(maker.make_url("/make")), b"this") == b"made for this"
    assert await made(str(maker.make_url("/make")), b"same") is None
    for status in (307, 308):
        assert await made(str(maker.make_url(f"/moved?status={status}&to=/make")), b"x") == b"made for x"


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_redirects_that_ask_for_something_else_are_not_followed(maker: TestServer, status: int) -> None:
    with pytest.raises(BadRequest, match=f"status - {status}"):
        await made(str(maker.make_url(f"/moved?status={status}&to=/make")), b"x")


async def test_a_manifest_is_not_sent_to_link_local_addresses(maker: TestServer) -> None:
    for url in (METADATA, str(maker.make_url(f"/moved?status=307&to={METADATA}"))):
        with pytest.raises(Forbidden):
            await made(url, b"x")
