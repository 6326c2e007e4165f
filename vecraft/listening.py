"""The listeners: REST applications and the gRPC server on ports.

May not live here: routes, and what stands behind them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio
import structlog
from aiohttp import web
from aiohttp.web_log import AccessLogger

from vecraft.ending import CannotStart
from vecraft.logs import ACCESS_LOGGER
from vecraft.settings import ServiceSettings

SHUTDOWN_S_MAX = 5.0  # for requests that run when the end is asked for
BACKLOG = 1024


@asynccontextmanager
async def listening(app: web.Application, service: ServiceSettings, port: int) -> AsyncIterator[None]:
    """Answer requests until the block ends; those that run by then finish.

    Raises: CannotStart if the port is taken.
    """
    access = structlog.stdlib.get_logger(ACCESS_LOGGER)
    logged = access.isEnabledFor(10)  # one line per request costs as much as a search: only at debug
    runner = web.AppRunner(
        app,
        access_log=access if logged else None,
        access_log_class=AccessLogger,
        keepalive_timeout=service.http_keep_alive_timeout_sec,
        shutdown_timeout=SHUTDOWN_S_MAX,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, service.host, port, reuse_address=True, backlog=BACKLOG)
        try:
            await site.start()
        except OSError as error:
            raise CannotStart(f"port {port} on {service.host} cannot be used: {error}") from error
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def grpc_listening(server: grpc.aio.Server, port: int, service: ServiceSettings) -> AsyncIterator[None]:
    """As ``listening``. Raises: CannotStart if the port is taken."""
    try:
        server.add_insecure_port(f"{_bracketed(service.host)}:{port}")
    except RuntimeError as error:
        raise CannotStart(f"port {port} on {service.host} cannot be used: {error}") from error
    await server.start()
    try:
        yield
    finally:
        await server.stop(SHUTDOWN_S_MAX)


def _bracketed(host: str) -> str:
    """An IPv6 address stands in brackets before a port."""
    return f"[{host}]" if ":" in host else host
