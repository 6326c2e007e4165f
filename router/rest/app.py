"""The REST application: one handler around the route table, below aiohttp's own applications.

Around every request, in this order: give it an id, find the route, ask whether the caller may use it, call
its handler, turn errors into responses, compress, add CORS headers, report to the metrics hook. One
function instead of a chain of aiohttp middlewares, because each link of such a chain costs as much as
decoding a query; and no aiohttp application, because its router would look for a route before ours does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from aiohttp import HttpVersion11, hdrs, web

from protos import spans
from protos.errors import ServiceError, VecraftError
from protos.hardware import billed
from protos.logger import get_logger
from protos.request_ids import HEADER, begin
from router.auth.gate import Gate
from router.cluster import ClusterOperations
from router.cluster.local_shards import LocalShardOperations
from router.collections import CollectionOperations
from router.departure import Departure
from router.load import Load
from router.points import PointOperations
from router.queries.operations import SearchOperations
from router.rest.admission import admit
from router.rest.analysis import analysis_routes
from router.rest.cluster import cluster_routes
from router.rest.collections import collection_routes
from router.rest.compression import compress
from router.rest.connection import Server
from router.rest.envelope import failure
from router.rest.explain import explain_routes
from router.rest.groups import group_routes
from router.rest.local_shards import local_shard_routes
from router.rest.openapi import openapi_route
from router.rest.points import point_routes
from router.rest.query import query_routes
from router.rest.reads import read_routes
from router.rest.routes import Route, RouteTable
from router.rest.state import STATE, Request, RequestState

# (the request, whose STATE tells the route; status; seconds)
MetricsHook = Callable[[web.Request, int, float], None]
OnClose = Callable[[], Awaitable[None]]

_log = get_logger(__name__)
MIB = 1024 * 1024
_BOUNDED = "/collections/"  # probes and metrics are answered whatever the load


def create_app(
    collections: CollectionOperations,
    points: PointOperations,
    searches: SearchOperations,
    *,
    cluster: ClusterOperations,
    local_shards: LocalShardOperations,
    gate: Gate,
    max_request_size_mb: int = 32,
    enable_cors: bool = True,
    extra_routes: Iterable[Route] = (),
    metrics_hook: MetricsHook | None = None,
    load: Load | None = None,
    hardware_reporting: bool = False,
    departure: Departure | None = None,
) -> RestApplication:
    """Build the REST application; ``extra_routes`` are the service endpoints. ``load`` is shared with gRPC.
    ``hardware_reporting``: tell what requests about collections cost.

    When it is closed, what ``cluster`` and ``local_shards`` still carry out ends.
    """
    table = RouteTable(extra_routes)
    for routes in (
        collection_routes(collections),
        point_routes(points),
        read_routes(searches),
        query_routes(searches),
        analysis_routes(searches),
        group_routes(searches),
        explain_routes(searches),
        cluster_routes(cluster),
        local_shard_routes(local_shards),
    ):
        for route in routes:
            table.add(route)
    table.add(openapi_route(table))
    edge = Edge(
        table,
        gate,
        enable_cors=enable_cors,
        metrics_hook=metrics_hook,
        load=load,
        hardware_reporting=hardware_reporting,
        departure=departure,
    )
    app = RestApplication(edge, body_max=max_request_size_mb * MIB)
    app.on_close += [local_shards.close, cluster.close]
    return app


class RestApplication:
    """An edge, and what ends with it, in that order: ``on_close``. ``body_max``: bytes of a body."""

    def __init__(self, edge: Edge, *, body_max: int = MIB) -> None:
        self._edge, self._body_max = edge, body_max
        self.on_close: list[OnClose] = []

    def runner(self, *, shutdown_timeout: float = 60.0, **options: Any) -> web.ServerRunner:
        """What listens. ``options`` are those of ``Server``: keep-alive, access log."""
        loop = asyncio.get_running_loop()
        request_factory = partial(Request, loop=loop, client_max_size=self._body_max)
        server = Server(self._edge.handle, request_factory=request_factory, **options)
        return web.ServerRunner(server, shutdown_timeout=shutdown_timeout)

    async def idle(self) -> None:
        """Return when no request runs. aiohttp would take no more of a body that is still coming."""
        await self._edge.idle()

    async def close(self) -> None:
        """Once no request runs any more."""
        for close in self.on_close:
            await close()


class Edge:
    def __init__(
        self,
        table: RouteTable,
        gate: Gate,
        *,
        enable_cors: bool,
        metrics_hook: MetricsHook | None,
        load: Load | None = None,
        hardware_reporting: bool = False,
        departure: Departure | None = None,
    ) -> None:
        self._bills = hardware_reporting
        self._table = table
        self._gate = gate
        self._enable_cors = enable_cors
        self._metrics_hook = metrics_hook
        self._load = load or Load()
        self._departure = departure or Departure()
        self._running = 0
        self._idle = asyncio.Event()

    async def idle(self) -> None:
        while self._running:
            self._idle.clear()
            await self._idle.wait()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, Request)
        started_s = time.perf_counter()
        request[STATE] = RequestState()
        headers = request.headers
        crossing = self._enable_cors and hdrs.ORIGIN in headers
        if crossing and _is_preflight(request):
            return _preflight(request)
        request_id, tracer = begin(headers.get), spans.tracer()
        answer = self._answer(request, started_s)
        self._running += 1
        try:
            response = await (answer if tracer is None else _traced(tracer, request, answer))
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()
        response.headers[HEADER] = request_id
        if self._departure.ends_connections:
            response.force_close()
        if hdrs.ACCEPT_ENCODING in headers:
            await compress(request, response)
        if crossing:
            _allow_origin(request, response)
        if self._metrics_hook is not None:
            self._metrics_hook(request, response.status, time.perf_counter() - started_s)
        return response

    async def _answer(self, request: Request, started_s: float) -> web.StreamResponse:
        try:
            route = await self._admitted(request)
            if not isinstance(route, Route):
                return route
            if not route.path.startswith(_BOUNDED):
                return await route.handler(request)
            with self._load:
                if not self._bills:
                    return await route.handler(request)
                with billed() as request[STATE].bill:
                    return await route.handler(request)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 - every error becomes an answer, told once if it is our fault
            return _failed(request, error, started_s)

    async def _admitted(self, request: web.Request) -> Route | web.Response:
        """The request's route, if it has one and may use it. Raises: as ``admit``."""
        found = self._table.find(request.method, request.rel_url.raw_path)
        await admit(self._gate, request, found)
        if found is None:
            return web.Response(status=404)
        if isinstance(found, set):
            return web.Response(status=405, headers={hdrs.ALLOW: ",".join(sorted(found))})
        request[STATE].match = found
        if hdrs.EXPECT in request.headers:
            await _meet_expectation(request)
        return found.route


async def _meet_expectation(request: web.Request) -> None:
    """Tell a client that waits before it sends a large body to go on (RFC 9110, 10.1.1)."""
    if request.version < HttpVersion11:
        return
    if request.headers[hdrs.EXPECT].lower() != "100-continue":
        raise web.HTTPExpectationFailed
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # nothing of the answer has been sent


def _failed(request: web.Request, error: Exception, started_s: float) -> web.StreamResponse:
    if isinstance(error, web.HTTPException):
        return web.Response(status=error.status, text=error.text, headers=_headers_of(error))
    if not isinstance(error, VecraftError):
        _log.exception("request_crashed", method=request.method, path=request.path)
        error = ServiceError(f"{type(error).__name__}: {error}")
    elif isinstance(error, ServiceError):
        _log.error("request_failed", method=request.method, path=request.path, error=str(error))
    return failure(error, started_s)


async def _traced(
    tracer: spans.Tracer, request: web.Request, answer: Awaitable[web.StreamResponse]
) -> web.StreamResponse:
    with tracer.serving(request.method, request.headers.get) as span:
        response = await answer
        match = request[STATE].match
        span.answered(
            request.method if match is None else f"{match.route.method} {match.route.path}",
            status=response.status,
            failed=response.status >= 500,
            collection=None if match is None else match.params.get("collection_name"),
        )
        return response


def _headers_of(error: web.HTTPException) -> dict[str, str]:
    kept = (hdrs.ALLOW, hdrs.LOCATION)
    return {name: error.headers[name] for name in kept if name in error.headers}


# --- CORS: any origin, method and header (reference 2.1) ------------------------------------------


def _is_preflight(request: web.Request) -> bool:
    """Of a request that has an origin."""
    return request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers


def _preflight(request: web.Request) -> web.Response:
    response = web.Response(status=200)
    _allow_origin(request, response)
    response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS"
    headers = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS)
    if headers is not None:
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = headers
    return response


def _allow_origin(request: web.Request, response: web.StreamResponse) -> None:
    response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = request.headers[hdrs.ORIGIN]
    response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = "*"
    vary = response.headers.get(hdrs.VARY)
    response.headers[hdrs.VARY] = f"{vary}, Origin" if vary else "Origin"
