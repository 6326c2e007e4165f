"""What operators ask and set of a running process: logs, stacks, slow requests, profilers (reference 3)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
from aiohttp import web
from msgspec import Struct

from protos.errors import NotSupported
from router.auth.needs import Need
from router.monitoring.slow_requests import SlowRequest, SlowRequests
from router.monitoring.stacks import Stacks, stacks
from router.rest import params
from router.rest.bodies.reading import read_json
from router.rest.envelope import enveloped_route
from router.rest.routes import Route

SLOW_REQUESTS_DEFAULT = 10
NO_PROFILER = (
    "There is no Pyroscope agent in this process: GET /stacktrace tells what it is at, "
    "GET /profiler/slow_requests which requests were slow"
)


class Logging(Protocol):
    """The logging of this process."""

    def show(self) -> dict[str, Any]:
        """Its configuration, with Qdrant's keys."""
        ...

    def change(self, part: dict[str, Any]) -> None:
        """Replace what ``part`` names, to any depth. Raises: BadInput, and nothing is changed."""
        ...


class SlowRequestEntry(Struct, frozen=True, omit_defaults=True):
    """``duration`` in seconds; ``datetime``: when it ended, UTC."""

    request_name: str
    duration: float
    datetime: str
    status: int
    request_id: str
    collection_name: str | None = None


class SlowRequestsShown(Struct, frozen=True):
    requests: list[SlowRequestEntry]


class Debugger(Struct, frozen=True):
    """The profilers that run: none; ``/stacktrace`` and ``/profiler/slow_requests`` tell what is slow."""

    pyroscope: dict[str, Any] | None = None


_objects = msgspec.json.Decoder(dict[str, Any])
_debuggers = msgspec.json.Decoder(Debugger)


def operator_routes(logging: Logging, slow: SlowRequests) -> list[Route]:
    handlers = _Handlers(logging, slow)
    return [
        enveloped_route(
            "GET",
            "/logger",
            handlers.show_logging,
            Need.GLOBAL_READ,
            "Get the configuration of logs",
            result=dict[str, Any],
        ),
        enveloped_route(
            "POST",
            "/logger",
            handlers.change_logging,
            Need.GLOBAL_MANAGE,
            "Change the configuration of logs",
            body=dict[str, Any],
            result=bool,
        ),
        enveloped_route(
            "GET",
            "/stacktrace",
            handlers.stacks,
            Need.GLOBAL_MANAGE,
            "Get what every thread and task does",
            result=Stacks,
        ),
        enveloped_route(
            "GET",
            "/profiler/slow_requests",
            handlers.slow_requests,
            Need.GLOBAL_MANAGE,
            "Get the slowest requests of each kind",
            query=("limit", "request"),
            result=SlowRequestsShown,
        ),
        enveloped_route(
            "GET",
            "/debugger",
            handlers.show_debugger,
            Need.GLOBAL_MANAGE,
            "Get the profilers that run: none",
            result=Debugger,
        ),
        enveloped_route(
            "PATCH",
            "/debugger",
            handlers.change_debugger,
            Need.GLOBAL_MANAGE,
            "Stop profilers; there are none to start",
            body=Debugger,
            result=bool,
        ),
    ]


class _Handlers:
    def __init__(self, logging: Logging, slow: SlowRequests) -> None:
        self._logging, self._slow = logging, slow

    async def show_logging(self, _request: web.Request) -> dict[str, Any]:
        return self._logging.show()

    async def change_logging(self, request: web.Request) -> bool:
        self._logging.change(await read_json(request, _objects))
        return True

    async def stacks(self, _request: web.Request) -> Stacks:
        return stacks()

    async def show_debugger(self, _request: web.Request) -> Debugger:
        return Debugger()

    async def change_debugger(self, request: web.Request) -> bool:
        """Raises: NotSupported if a profiler is to run: whoever asked would wait for its figures in vain."""
        if (await read_json(request, _debuggers)).pyroscope is not None:
            raise NotSupported(NO_PROFILER)
        return True

    async def slow_requests(self, request: web.Request) -> SlowRequestsShown:
        limit = params.natural(request, "limit", SLOW_REQUESTS_DEFAULT)
        found = self._slow.slowest(limit, request.query.get("request", ""))
        return SlowRequestsShown([_entry(one) for one in found])


def _entry(found: SlowRequest) -> SlowRequestEntry:
    return SlowRequestEntry(
        request_name=found.name,
        duration=found.seconds,
        datetime=datetime.fromtimestamp(found.ended_unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        status=found.status,
        request_id=found.request_id,
        collection_name=found.collection,
    )
