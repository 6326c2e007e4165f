"""The listeners: REST applications and the gRPC server on ports.

May not live here: routes, and what stands behind them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.web_log import AccessLogger

from protos.logger import structlog
from protos.tasks import end_all
from router.auth.tokens import TOKEN_BYTES_MAX
from router.departure import Departure
from router.grpc.transport.server import GrpcServer
from router.rest.app import RestApplication
from vecraft.ending import CannotStart
from vecraft.logs import ACCESS_LOGGER
from vecraft.settings import ServiceSettings
from vecraft.tls import CertificateFiles, grpc_context, http_context

SHUTDOWN_S_MAX = 5.0  # for requests that run when the end is asked for
SEND_AWAY_S = 1.0  # from one look at the gRPC connections that are to end to the next
BACKLOG = 1024
HEADER_BYTES_MAX = 2 * TOKEN_BYTES_MAX  # so that one that is too long is told so


@asynccontextmanager
async def listening(
    app: RestApplication, service: ServiceSettings, port: int, certificates: CertificateFiles | None = None
) -> AsyncIterator[None]:
    """Answer requests until the block ends; those that run by then finish. Without ``certificates`` in plain
    text.

    Raises: CannotStart if the port is taken.
    """
    access = structlog.stdlib.get_logger(ACCESS_LOGGER)
    # One line per request costs as much as a search: only at debug.
    logged = logging.getLogger(ACCESS_LOGGER).isEnabledFor(logging.DEBUG)
    runner = app.runner(
        access_log=access if logged else None,
        access_log_class=AccessLogger,
        keepalive_timeout=service.http_keep_alive_timeout_sec,
        shutdown_timeout=SHUTDOWN_S_MAX,
        max_field_size=HEADER_BYTES_MAX,
    )
    await runner.setup()
    try:
        site = web.TCPSite(
            runner,
            service.host,
            port,
            ssl_context=None if certificates is None else http_context(certificates),
            reuse_address=True,
            backlog=BACKLOG,
        )
        try:
            await site.start()
        except OSError as error:
            raise CannotStart(f"port {port} on {service.host} cannot be used: {error}") from error
        yield
        await site.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SHUTDOWN_S_MAX):
                await app.idle()
    finally:
        await runner.cleanup()
        await app.close()


@asynccontextmanager
async def grpc_listening(
    server: GrpcServer,
    port: int,
    service: ServiceSettings,
    certificates: CertificateFiles | None = None,
    departure: Departure | None = None,
) -> AsyncIterator[None]:
    """As ``listening``. Raises: CannotStart if the port is taken."""
    context = None if certificates is None else grpc_context(certificates)
    try:
        await server.listen(service.host, port, context)
    except OSError as error:
        raise CannotStart(f"port {port} on {service.host} cannot be used: {error}") from error
    sending = asyncio.create_task(_send_away(server, departure or Departure()))
    try:
        yield
    finally:
        await end_all([sending])
        await server.stop(SHUTDOWN_S_MAX)


async def _send_away(server: GrpcServer, departure: Departure) -> None:
    """REST does so with each answer."""
    while True:
        await departure.until_connections_end()
        server.send_away()
        await asyncio.sleep(SEND_AWAY_S)
