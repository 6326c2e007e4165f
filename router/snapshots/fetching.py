"""Downloading snapshots from URLs that clients name, but not what only this machine may ask for.

Addresses that are link-local are refused: cloud providers hand out credentials there. Names are judged by
what they resolve to, and each redirect anew; the connection goes to the address that was judged.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from msgspec import Struct

from protos.errors import BadRequest, Forbidden, Timeout

REDIRECTS_MAX = 5
CONNECT_S, SILENCE_S = 30.0, 60.0
CHUNK_BYTES = 1 << 20
API_KEY_HEADER = "api-key"

# Beside the link-local ranges: AWS's service for instances, and IPv4 inside of IPv6 (NAT64, 6to4).
_SERVICE_V6 = frozenset({IPv6Address("fd00:ec2::254")})
_NAT64 = IPv6Network("64:ff9b::/96")


def is_refused(address: str) -> bool:
    """May a snapshot not be fetched from this IP address?"""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        inner = _embedded(found)
        return found.is_link_local or found in _SERVICE_V6 or (inner is not None and inner.is_link_local)
    return found.is_link_local


def _embedded(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


class _JudgingResolver(AbstractResolver):
    """Names to addresses; raises Forbidden if one of them may not be asked."""

    def __init__(self) -> None:
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        for address in found:
            _judge(host, address["host"])
        return found

    async def close(self) -> None:
        await self._inner.close()


def _judge(host: str, address: str) -> None:
    if is_refused(address):
        raise Forbidden(f"Snapshots are not fetched from {host}: {address} is link-local")


def _judge_literal(host: str) -> None:
    """Hosts that are addresses are not resolved."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return
    _judge(host, host)


class _Asked(Struct, frozen=True):
    """``body``: JSON that is sent along."""

    url: str
    body: bytes | None = None

    @property
    def method(self) -> str:
        return "GET" if self.body is None else "POST"

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.body is None else {"Content-Type": "application/json"}

    @property
    def fine(self) -> tuple[int, ...]:
        return (200,) if self.body is None else (200, 304)

    @property
    def redirects(self) -> tuple[int, ...]:
        """The last two ask for the same again, whatever it was."""
        return (301, 302, 303, 307, 308) if self.body is None else (307, 308)


class SnapshotFetcher:
    """``user_agent`` is sent along."""

    def __init__(self, user_agent: str) -> None:
        self._user_agent = user_agent

    @asynccontextmanager
    async def chunks(self, url: str, api_key: str | None) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes of the file at ``url``.

        Raises: BadRequest if it cannot be had, within the block, too; Forbidden; Timeout.
        """
        async with self._answer(_Asked(url), api_key) as response:
            yield response.content.iter_chunked(CHUNK_BYTES)

    @asynccontextmanager
    async def made_for(
        self, url: str, api_key: str | None, manifest: bytes
    ) -> AsyncIterator[AsyncIterator[bytes] | None]:
        """The bytes that ``url`` makes for a manifest (JSON); None: of nothing. Raises: as ``chunks``."""
        async with self._answer(_Asked(url, manifest), api_key) as response:
            yield None if response.status == 304 else response.content.iter_chunked(CHUNK_BYTES)

    @asynccontextmanager
    async def _answer(self, asked: _Asked, api_key: str | None) -> AsyncIterator[aiohttp.ClientResponse]:
        url = asked.url
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S)
        connector = aiohttp.TCPConnector(resolver=_JudgingResolver(), use_dns_cache=False)
        headers = {"User-Agent": self._user_agent, "Accept-Encoding": "identity"}
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session,
                AsyncExitStack() as stack,
            ):
                yield await self._open(session, stack, asked, api_key)
        except TimeoutError as error:
            raise Timeout(f"the snapshot at {url} does not come") from error
        except (aiohttp.ClientError, aiohttp.InvalidURL) as error:
            raise BadRequest(f"Failed to download snapshot from {url}: {error}") from error

    async def _open(
        self, session: aiohttp.ClientSession, stack: AsyncExitStack, asked: _Asked, api_key: str | None
    ) -> aiohttp.ClientResponse:
        """Follow redirects; the key goes to the origin that it was given for alone."""
        url = asked.url
        origin = _origin(url)
        for _ in range(REDIRECTS_MAX + 1):
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise BadRequest(f"Failed to download snapshot: {url} is no http or https URL")
            _judge_literal(parts.hostname)
            headers = {API_KEY_HEADER: api_key} if api_key is not None and _origin(url) == origin else {}
            call = session.request(
                asked.method, url, data=asked.body, headers=headers | asked.headers, allow_redirects=False
            )
            response = await stack.enter_async_context(call)
            if response.status in asked.fine:
                return response
            target = response.headers.get("Location")
            if response.status not in asked.redirects or target is None:
                raise BadRequest(f"Failed to download snapshot from {url}: status - {response.status}")
            url = urljoin(url, target)
        raise BadRequest(f"Failed to download snapshot from {url}: more than {REDIRECTS_MAX} redirects")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port
