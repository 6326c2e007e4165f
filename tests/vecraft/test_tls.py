"""TLS on REST and gRPC: certificates replaced under load, broken ones, clients that must show one."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import grpc
import grpc.aio
import pytest
from aiohttp import web
from msgspec.structs import replace
from structlog.testing import capture_logs

from router.auth.gate import OPEN
from router.auth.needs import Need
from router.grpc.transport.calls import Incoming, Reply, Unary
from router.grpc.transport.server import GrpcServer
from router.rest.app import Edge, RestApplication
from router.rest.routes import Route, RouteTable
from tests.certificates import HOST, Authority
from vecraft.ending import CannotStart
from vecraft.listening import grpc_listening, listening
from vecraft.settings import ServiceSettings
from vecraft.tls import LOOK_S, CertificateFiles

SERVICE = ServiceSettings(host=HOST)


class Clock:
    """Each look at it is a moment later in which files may be looked at again."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += LOOK_S
        return self.now_s


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "tls")


def files_of(authority: Authority, *, mutual: bool = False) -> CertificateFiles:
    return CertificateFiles(authority.settings, mutual=mutual, monotonic_s=Clock())


# --- the files ---------------------------------------------------------------------------------------------


def test_a_new_certificate_takes_the_old_ones_place(authority: Authority) -> None:
    files = files_of(authority)
    first = files.current()
    assert files.current().certificate == first.certificate
    new = authority.issue()
    assert files.current().certificate == new


def test_half_of_a_change_is_told_once_and_changes_nothing(authority: Authority) -> None:
    settings = replace(authority.settings, cert_ttl=3600)
    files = CertificateFiles(settings, mutual=False, monotonic_s=(clock := _Slow()))
    first = files.current()
    certificate, key = authority.pair()
    authority.put("cert.pem", certificate)
    with capture_logs() as logs:
        for _ in range(3):
            clock.pass_s(LOOK_S)
            assert files.current() is first
    assert [entry["event"] for entry in logs] == ["certificate_not_replaced"]
    authority.put("key.pem", key)
    clock.pass_s(LOOK_S)
    assert files.current().certificate == certificate


class _Slow:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self._now_s = 0.0

    def __call__(self) -> float:
        return self._now_s

    def pass_s(self, seconds: float) -> None:
        self._now_s += seconds


@pytest.mark.parametrize("name", ["cert.pem", "key.pem", "cacert.pem"])
def test_broken_and_missing_files_leave_the_old_ones(authority: Authority, tmp_path: Path, name: str) -> None:
    files = files_of(authority, mutual=True)
    first = files.current()
    authority.put(name, b"-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n")
    assert files.current() is first
    (tmp_path / "tls" / name).unlink()
    assert files.current() is first
    new = authority.issue()
    assert files.current().certificate == new


def test_without_a_time_to_live_files_are_read_once(authority: Authority) -> None:
    files = CertificateFiles(replace(authority.settings, cert_ttl=None), mutual=False, monotonic_s=Clock())
    first = files.current()
    authority.issue()
    assert files.current() is first


@pytest.mark.parametrize("name", ["cert.pem", "key.pem", "cacert.pem"])
def test_a_start_without_usable_files_is_refused(authority: Authority, name: str) -> None:
    authority.put(name, b"nothing")
    with pytest.raises(CannotStart, match="cannot be used"):
        files_of(authority, mutual=True)


# --- under load --------------------------------------------------------------------------------------------


@asynccontextmanager
async def rest(files: CertificateFiles, port: int) -> AsyncIterator[str]:
    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    table = RouteTable([Route("GET", "/", hello, Need.PUBLIC)])
    app = RestApplication(Edge(table, OPEN, enable_cors=False, metrics_hook=None))
    async with listening(app, SERVICE, port, files):
        yield f"https://{HOST}:{port}/"


@asynccontextmanager
async def public_grpc(files: CertificateFiles, port: int) -> AsyncIterator[str]:
    async def echo(request: bytes, _incoming: Incoming) -> Reply:
        return Reply(request)

    server = GrpcServer(metadata_bytes_max=1 << 15)
    server.add({"/test/Echo": Unary(echo)})
    async with grpc_listening(server, port, SERVICE, files):
        yield f"{HOST}:{port}"


async def get(url: str, authority: Authority, *, certificate: Authority | None = None) -> None:
    """Over a connection of its own."""
    context = ssl.create_default_context(cadata=authority.certificate.decode())
    if certificate is not None:
        context.load_cert_chain(certificate.settings.cert, certificate.settings.key)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
        session.get(url) as answer,
    ):
        assert await answer.text() == "hello"


async def call(address: str, authority: Authority, *, certificate: Authority | None = None) -> None:
    pair = (
        ()
        if certificate is None
        else tuple(map(_read, (certificate.settings.key, certificate.settings.cert)))
    )
    credentials = grpc.ssl_channel_credentials(authority.certificate, *pair)
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
        assert await channel.unary_unary("/test/Echo")(b"x", timeout=10) == b"x"


def _read(path: str) -> bytes:
    return Path(path).read_bytes()


async def under_load(request: Callable[[], object], change: Callable[[], object], *, workers: int = 4) -> int:
    """Requests without pause while certificates change. Returns: how many; raises what any of them raised."""
    done, over = 0, asyncio.Event()

    async def ask() -> None:
        nonlocal done
        while not over.is_set():
            await request()  # type: ignore[misc]
            done += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(ask())
        for _ in range(5):
            before = done
            await asyncio.to_thread(change)
            while done < before + 2 * workers:  # noqa: ASYNC110 - counted by those who ask
                await asyncio.sleep(0.005)
        over.set()
    return done


async def test_no_rest_request_fails_while_certificates_change(
    authority: Authority, unused_tcp_port: int
) -> None:
    async with rest(files_of(authority), unused_tcp_port) as url:
        kept = ssl.create_default_context(cadata=authority.certificate.decode())
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=kept)) as session:

            async def one() -> None:
                await get(url, authority)
                async with session.get(url) as answer:
                    assert answer.status == 200

            await under_load(one, authority.issue)
        new = authority.issue()
        shown = await asyncio.to_thread(ssl.get_server_certificate, (HOST, unused_tcp_port))
        assert shown.split() == new.decode().split()


async def test_no_grpc_call_fails_while_certificates_change(
    authority: Authority, unused_tcp_port: int
) -> None:
    async with public_grpc(files_of(authority), unused_tcp_port) as address:
        await under_load(lambda: call(address, authority), authority.issue)
        another = Authority(Path(authority.settings.cert).parent)  # signs from now on
        await call(address, another)
        with pytest.raises(grpc.aio.AioRpcError):
            await call(address, authority)


async def test_rest_asks_clients_for_a_certificate_and_its_authority_may_change(
    authority: Authority, tmp_path: Path, unused_tcp_port: int
) -> None:
    async with rest(files_of(authority, mutual=True), unused_tcp_port) as url:
        await get(url, authority, certificate=authority)
        for shown in (None, Authority(tmp_path / "strangers")):
            with pytest.raises(aiohttp.ClientError):
                await get(url, authority, certificate=shown)
        old = Authority(tmp_path / "old")
        another = Authority(Path(authority.settings.cert).parent)
        await get(url, another, certificate=another)
        with pytest.raises(aiohttp.ClientError):
            await get(url, another, certificate=old)


async def test_grpc_asks_clients_for_a_certificate(
    authority: Authority, tmp_path: Path, unused_tcp_port: int
) -> None:
    async with public_grpc(files_of(authority, mutual=True), unused_tcp_port) as address:
        await call(address, authority, certificate=authority)
        for shown in (None, Authority(tmp_path / "strangers")):
            with pytest.raises(grpc.aio.AioRpcError):
                await call(address, authority, certificate=shown)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_grpc_speaks_http2_by_agreement(
    authority: Authority, unused_tcp_port: int, version: ssl.TLSVersion
) -> None:
    """Also with certificates that were read since."""
    async with public_grpc(files_of(authority), unused_tcp_port) as address:
        for _ in range(2):
            context = ssl.create_default_context(cadata=authority.certificate.decode())
            context.minimum_version = context.maximum_version = version
            context.set_alpn_protocols(["http/1.1", "h2"])
            _, writer = await asyncio.open_connection(HOST, unused_tcp_port, ssl=context)
            assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
            writer.close()
            authority.issue()
            await call(address, authority)


async def test_a_large_message_goes_both_ways_over_tls(authority: Authority, unused_tcp_port: int) -> None:
    async with public_grpc(files_of(authority), unused_tcp_port) as address:
        credentials = grpc.ssl_channel_credentials(authority.certificate)
        options = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
            assert await channel.unary_unary("/test/Echo")(bytes(5_000_000)) == bytes(5_000_000)


async def test_plain_text_is_no_way_in_to_grpc(authority: Authority, unused_tcp_port: int) -> None:
    async with (
        public_grpc(files_of(authority), unused_tcp_port) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError):
            await channel.unary_unary("/test/Echo")(b"x", timeout=10)
        await call(address, authority)


async def test_plain_text_is_no_way_in(authority: Authority, unused_tcp_port: int) -> None:
    async with rest(files_of(authority), unused_tcp_port), aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"http://{HOST}:{unused_tcp_port}/")
