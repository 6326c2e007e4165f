"""The aiohttp application: one catch-all handler around the route table.

Around every request, in this order: find the route, ask whether the caller may use it, call its handler,
turn errors into responses, compress, add CORS headers, report to the metrics hook. One function instead of a
chain of aiohttp middlewares, because each link of such a chain costs as much as decoding a query.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

import structlog
from aiohttp import hdrs, web

from protos.errors import ServiceError, VecraftError
from router.auth.gate import Gate
from router.cluster import ClusterOperations
from router.cluster.local_shards import LocalShardOperations
from router.collections import CollectionOperations
from router.load import Load
from router.points import PointOperations
from router.queries.operations import SearchOperations
from router.rest.admission import admit
from router.rest.analysis import analysis_routes
from router.rest.cluster import cluster_routes
from router.rest.collections import collection_routes
from router.rest.compression import compress
from router.rest.envelope import failure
from router.rest.explain import explain_routes
from router.rest.groups import group_routes
from router.rest.local_shards import local_shard_routes
from router.rest.openapi import openapi_route
from router.rest.points import point_routes
from router.rest.query import query_routes
from router.rest.reads import read_routes
from router.rest.routes import Route, RouteTable

# (the request, whose ROUTE is unset when no route matched; status; seconds)
MetricsHook = Callable[[web.Request, int, float], None]

ROUTE = web.RequestKey("route", Route)

_log = structlog.get_logger(__name__)
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
) -> web.Application:
    """Build the REST application; ``extra_routes`` are the service endpoints. ``load`` is shared with gRPC.

    The caller runs it (``web.AppRunner``), which is where keep-alive and TLS are set. When it ends, so does
    what ``cluster`` and ``local_shards`` still carry out.
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
    app = web.Application(client_max_size=max_request_size_mb * MIB)
    edge = Edge(table, gate, enable_cors=enable_cors, metrics_hook=metrics_hook, load=load)
    app.router.add_route("*", r"/{path:[\s\S]*}", edge.handle)  # names may hold a line break

    async def close(_app: web.Application) -> None:
        await local_shards.close()
        await cluster.close()

    app.on_cleanup.append(close)
    return app


class Edge:
    def __init__(
        self,
        table: RouteTable,
        gate: Gate,
        *,
        enable_cors: bool,
        metrics_hook: MetricsHook | None,
        load: Load | None = None,
    ) -> None:
        self._table = table
        self._gate = gate
        self._enable_cors = enable_cors
        self._metrics_hook = metrics_hook
        self._load = load or Load()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        started_s = time.perf_counter()
        if self._enable_cors and _is_preflight(request):
            return _preflight(request)
        response = await self._answer(request, started_s)
        await compress(request, response)
        if self._enable_cors and hdrs.ORIGIN in request.headers:
            _allow_origin(request, response)
        if self._metrics_hook is not None:
            self._metrics_hook(request, response.status, time.perf_counter() - started_s)
        return response

    async def _answer(self, request: web.Request, started_s: float) -> web.StreamResponse:
        try:
            return await self._dispatch(request)
        except VecraftError as error:
            if isinstance(error, ServiceError):
                _log.error("request_failed", method=request.method, path=request.path, error=str(error))
            return failure(error, started_s)
        except web.HTTPException as error:
            return web.Response(status=error.status, text=error.text, headers=_headers_of(error))
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 - the last resort: our fault, told once
            _log.exception("request_crashed", method=request.method, path=request.path)
            return failure(ServiceError(f"{type(error).__name__}: {error}"), started_s)

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        found = self._table.find(request.method, request.rel_url.raw_path)
        await admit(self._gate, request, found)
        if found is None:
            return web.Response(status=404)
        if isinstance(found, set):
            return web.Response(status=405, headers={hdrs.ALLOW: ",".join(sorted(found))})
        request[ROUTE] = found.route
        request.match_info.clear()
        request.match_info.update(found.params)
        if not found.route.path.startswith(_BOUNDED):
            return await found.route.handler(request)
        with self._load:
            return await found.route.handler(request)


def _headers_of(error: web.HTTPException) -> dict[str, str]:
    kept = (hdrs.ALLOW, hdrs.LOCATION)
    return {name: error.headers[name] for name in kept if name in error.headers}


# --- CORS: any origin, method and header (reference 2.1) ------------------------------------------


def _is_preflight(request: web.Request) -> bool:
    return (
        request.method == hdrs.METH_OPTIONS
        and hdrs.ORIGIN in request.headers
        and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
    )


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
