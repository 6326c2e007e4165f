"""``vecraft serve``: the composition root, where the floors are put together and run.

Lives here: building adapters from settings, the order of starting and stopping, signals.
May not live here: anything that decides about data.

Order of starting: storage lock, metadata log, shards (recovery included), listeners, marker file; so a
port that answers means that everything is loaded. Stopping is the reverse: no new requests, running
ones finish, shards write their checkpoint, the log closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import structlog
import uvloop
from aiohttp import web
from aiohttp.web_log import AccessLogger

from consensus.local_log import LocalLog
from node.local import LocalNode
from router.cluster import ClusterOperations
from router.cluster.local_shards import LocalShardOperations
from router.collections import CollectionOperations
from router.monitoring.inventory import Inventory
from router.monitoring.issues import Issues, SlowReads
from router.monitoring.metrics import RequestStatistics
from router.monitoring.telemetry import Process
from router.points import PointOperations
from router.rest.app import Edge, create_app
from router.rest.routes import Route, RouteTable
from router.rest.service import ServiceEndpoints, metrics_hook
from router.search import SearchOperations
from vecraft import QDRANT_VERSION, __version__
from vecraft.build import commit
from vecraft.configuration import ConfigurationError, Loaded
from vecraft.defaults import collection_defaults, node_options
from vecraft.logs import ACCESS_LOGGER, configure_logging
from vecraft.settings import ServiceSettings, Settings, search_threads

SHUTDOWN_S_MAX = 10.0  # for requests that run when the end is asked for
LOCK_WAIT_S = 5.0  # a killed predecessor may need a moment to be gone
LOCK_POLL_S = 0.05
BACKLOG = 1024
MARKER = Path(".qdrant-initialized")  # operators' scripts wait for it; a run that never served leaves none
EXIT_FAILED = 1

_log = structlog.get_logger(__name__)


class CannotStart(Exception):
    """The node cannot run here; the text tells the operator why."""


def run(loaded: Loaded) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit status."""
    settings = loaded.settings
    for problem in configure_logging(settings) + loaded.warnings:
        _log.warning("configuration_doubtful", problem=problem)
    _log.info("starting", version=__version__, api=QDRANT_VERSION, configuration=loaded.sources)
    MARKER.unlink(missing_ok=True)
    try:
        uvloop.run(_serve(settings))
    except (CannotStart, ConfigurationError) as error:
        _log.error("cannot_start", reason=str(error))
        return EXIT_FAILED
    except Exception:  # noqa: BLE001 - the last place that can tell why the process ends
        _log.exception("ended_by_an_error")
        return EXIT_FAILED
    _log.info("stopped")
    return 0


async def _serve(settings: Settings) -> None:
    ended = asyncio.Event()
    _handle_signals(ended)
    async with AsyncExitStack() as stack:
        stack.enter_context(_storage_lock(Path(settings.storage.storage_path)))
        apps = await stack.enter_async_context(_node(settings))
        for app, port in apps:
            await stack.enter_async_context(_listening(app, settings.service, port))
        _mark_as_serving()
        _log.info("serving", host=settings.service.host, ports=[port for _, port in apps])
        await ended.wait()
        _log.info("stopping")


def _handle_signals(ended: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):  # no meaning; by default they end us
        signal.signal(number, signal.SIG_IGN)


def _mark_as_serving() -> None:
    MARKER.touch()


@contextmanager
def _storage_lock(directory: Path) -> Iterator[None]:
    """Keep other processes off the storage. The kernel frees the lock however this process ends.

    Raises: CannotStart if another process holds it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CannotStart(f"storage directory {directory} cannot be used: {error}") from error
    try:
        _take_lock(file, directory)
        yield
    finally:
        os.close(file)


def _take_lock(file: int, directory: Path) -> None:
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        if time.monotonic() > deadline:
            raise CannotStart(f"storage directory {directory} is in use by another process")
        time.sleep(LOCK_POLL_S)  # nothing else runs yet


@asynccontextmanager
async def _node(settings: Settings) -> AsyncIterator[list[tuple[web.Application, int]]]:
    """Everything but the listeners; yields the applications and their ports."""
    storage, defaults = Path(settings.storage.storage_path), collection_defaults(settings)
    log = LocalLog.open(storage / "meta", peer_id=settings.cluster.peer_id)
    node = LocalNode(storage, **node_options(settings))
    try:
        await node.reconcile(log.state)
        collections = CollectionOperations(log, node, defaults)
        try:
            yield _applications(settings, collections, log, node)
        finally:
            await collections.close()
    finally:
        await node.close()
        await log.close()


def _applications(
    settings: Settings, collections: CollectionOperations, log: LocalLog, node: LocalNode
) -> list[tuple[web.Application, int]]:
    service = settings.service
    requests, issues = RequestStatistics(), Issues()
    cluster = ClusterOperations(log, None, collections)
    endpoints = ServiceEndpoints(
        process=_process(settings),
        commit=commit(),
        inventory=Inventory(log, node),
        requests=requests,
        issues=issues,
        cluster=cluster,
        metrics_prefix=service.metrics_prefix or "",
    )
    app = create_app(
        collections,
        PointOperations(collections, node),
        SearchOperations(collections, node, SlowReads(issues, slow_s=service.slow_query_secs)),
        cluster=cluster,
        local_shards=LocalShardOperations(log, node),
        max_request_size_mb=service.max_request_size_mb,
        enable_cors=service.enable_cors,
        extra_routes=endpoints.routes(),
        metrics_hook=metrics_hook(requests),
    )
    apps = [(app, service.http_port)]
    if service.metrics_port is not None:
        apps.append((_metrics_app(endpoints), service.metrics_port))
    return apps


def _metrics_app(endpoints: ServiceEndpoints) -> web.Application:
    """``/metrics`` and nothing else, with the other port's error responses."""
    table = RouteTable([Route("GET", "/metrics", endpoints.metrics)])
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", Edge(table, enable_cors=False, metrics_hook=None).handle)
    return app


def _process(settings: Settings) -> Process:
    return Process(
        id=str(uuid.uuid4()),
        version=QDRANT_VERSION,
        started=datetime.now(UTC),
        search_threads=search_threads(settings),
        max_collections=settings.storage.max_collections,
        low_memory_mode=settings.storage.low_memory_mode,
        healing_threshold=settings.storage.hnsw_global_config.healing_threshold,
    )


@asynccontextmanager
async def _listening(app: web.Application, service: ServiceSettings, port: int) -> AsyncIterator[None]:
    """Raises: CannotStart if the port is taken."""
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
