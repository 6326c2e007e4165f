"""``vecraft serve``: the process's life, from its settings to its exit status.

Lives here: logging, the storage lock, which composition runs (``standalone``, ``clustered``, ``routing``),
the order of starting and stopping. May not live here: what is composed, anything that decides about data.

Order of starting: storage lock, composition, listeners, marker file. A node that is told to stop is not
ready any more, hands over what it leads, and takes requests until the others have taken over and those who
send them have heard of it. Then the reverse of starting: no new requests, running ones finish, shards write
their checkpoint, the log closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import uvloop

from protos.logger import get_logger
from vecraft import QDRANT_VERSION, __version__
from vecraft.applications import Applications
from vecraft.configuration import ConfigurationError, Loaded
from vecraft.ending import EXIT_FAILED, CannotStart, Ended, Ending, ignore_signals
from vecraft.listening import grpc_listening, listening
from vecraft.logs import LogControl
from vecraft.otel import tracing
from vecraft.settings import Settings
from vecraft.storage_lock import storage_lock
from vecraft.tls import public_certificates

MARKER = Path(".qdrant-initialized")  # operators' scripts wait for it; a run that never served leaves none

_log = get_logger(__name__)


def run(loaded: Loaded) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit status."""
    try:
        logs = LogControl(loaded.settings)
    except OSError as error:
        print(f"the log's file cannot be opened: {error}", file=sys.stderr)
        return EXIT_FAILED
    for problem in logs.problems + loaded.warnings:
        _log.warning("configuration_doubtful", problem=problem)
    _log.info("starting", version=__version__, api=QDRANT_VERSION, configuration=loaded.sources)
    with contextlib.suppress(OSError):
        MARKER.unlink(missing_ok=True)
    try:
        with tracing():
            status = uvloop.run(_serve(loaded, logs))
        ignore_signals()
    except CannotStart as error:
        _log.error("cannot_start", reason=str(error))
        return error.status
    except ConfigurationError as error:
        _log.error("cannot_start", reason=str(error))
        return EXIT_FAILED
    except Exception:  # noqa: BLE001 - the last place that can tell why the process ends
        _log.exception("ended_by_an_error")
        return EXIT_FAILED
    _log.info("stopped", status=status)
    return status


async def _serve(loaded: Loaded, logs: LogControl) -> int:
    settings, ending = loaded.settings, Ending()
    ending.on_signals()
    async with AsyncExitStack() as stack:
        if not settings.cluster.router:  # which keeps nothing
            stack.enter_context(storage_lock(Path(settings.storage.storage_path)))
        try:
            apps = await stack.enter_async_context(_composition(loaded, logs, ending))
        except Ended:
            return ending.status
        await _listen(stack, settings, apps)
        keep_from_the_collector()
        _mark_as_serving()
        _log.info("serving", host=settings.service.host, ports=apps.ports)
        await ending.wait()
        _log.info("stopping")
        if not ending.status:
            await _depart(settings, apps)
    return ending.status


async def _depart(settings: Settings, apps: Applications) -> None:
    apps.departure.begin()
    delay = asyncio.create_task(asyncio.sleep(settings.service.shutdown_delay_sec))
    await apps.hand_over()
    await delay
    _log.info("handed_over")


async def _listen(stack: AsyncExitStack, settings: Settings, apps: Applications) -> None:
    """Raises: CannotStart."""
    service, certificates = settings.service, public_certificates(settings)
    if apps.grpc is not None:
        await stack.enter_async_context(grpc_listening(*apps.grpc, service, certificates, apps.departure))
    if apps.metrics is not None:
        await stack.enter_async_context(listening(apps.metrics[0], service, apps.metrics[1]))
    # Last, because probes ask there.
    await stack.enter_async_context(listening(apps.rest[0], service, apps.rest[1], certificates))


def keep_from_the_collector() -> None:
    """What there is when all has started stays: some hundred thousand objects, mostly of modules.

    Python's collector would look through them again and again, and stop everything for tens of milliseconds.
    """
    gc.collect()
    gc.freeze()


def _mark_as_serving() -> None:
    try:
        MARKER.touch()
    except OSError as error:  # a container's own files may be read-only
        _log.info("no_marker_file", path=str(MARKER), reason=error.strerror)


def _composition(
    loaded: Loaded, logs: LogControl, ending: Ending
) -> AbstractAsyncContextManager[Applications]:
    """Each is imported when it is to run: a router needs no engine."""
    settings, membership = loaded.settings, loaded.membership
    if settings.cluster.router:
        from vecraft.routing import routing

        return routing(settings, logs, membership, ending)
    if settings.cluster.enabled:
        from vecraft.clustered import clustered

        return clustered(settings, logs, membership, loaded.restore_first, ending)
    from vecraft.standalone import standalone

    return standalone(settings, logs, loaded.restore_first)
