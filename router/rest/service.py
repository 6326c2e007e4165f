"""Service endpoints: who we are, health, metrics, telemetry, issues, what needs a cluster (reference 3).

May not live here: anything about collections and points.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec
from aiohttp import web
from msgspec import Struct

from protos.errors import StandaloneMode, Timeout
from router.monitoring.inventory import CollectionEntry, Inventory
from router.monitoring.issues import Issues
from router.monitoring.metrics import RequestStatistics, render
from router.monitoring.telemetry import Process, telemetry
from router.rest import params
from router.rest.app import ROUTE, MetricsHook
from router.rest.envelope import json_response, success
from router.rest.errors import BadPath
from router.rest.routes import Handler, Route

TITLE = "qdrant - vector search engine"
METRICS_TYPE = "text/plain; charset=utf-8"
COLLECT_TIMEOUT_MS = 60_000

# Cluster operations that a single node refuses, after its own checks of the path.
_CLUSTER_ONLY = (
    ("GET", "/cluster/telemetry"),
    ("POST", "/cluster/recover"),
    ("DELETE", "/cluster/peer/{peer_id}"),
    ("GET", "/cluster/metadata/keys"),
    ("GET", "/cluster/metadata/keys/{key}"),
    ("PUT", "/cluster/metadata/keys/{key}"),
    ("DELETE", "/cluster/metadata/keys/{key}"),
)


class VersionInfo(Struct, frozen=True, omit_defaults=True):
    """The bare body of ``GET /``; exactly these keys."""

    title: str
    version: str
    commit: str | None = None


def metrics_hook(requests: RequestStatistics, unix_s: Callable[[], float] = time.time) -> MetricsHook:
    """Counts every routed request; give it to ``create_app``."""

    def count(request: web.Request, status: int, seconds: float) -> None:
        route = request.get(ROUTE)
        if route is not None:
            collection = request.match_info.get("collection_name")
            requests.add((route.method, route.path, status), seconds, unix_s(), collection)

    return count


class ServiceEndpoints:
    def __init__(
        self,
        *,
        process: Process,
        commit: str | None,
        inventory: Inventory,
        requests: RequestStatistics,
        issues: Issues,
        metrics_prefix: str = "",
    ) -> None:
        self._process = process
        self._commit = commit
        self._inventory = inventory
        self._requests = requests
        self._issues = issues
        self._prefix = metrics_prefix

    def routes(self) -> list[Route]:
        handlers: list[tuple[str, str, Handler, str]] = [
            ("GET", "/", self.root, "Returns information about the running instance"),
            ("GET", "/healthz", self.health, "Kubernetes healthz endpoint"),
            ("GET", "/livez", self.health, "Kubernetes livez endpoint"),
            ("GET", "/readyz", self.ready, "Kubernetes readyz endpoint"),
            ("GET", "/metrics", self.metrics, "Collect Prometheus metrics data"),
            ("GET", "/telemetry", self.telemetry, "Collect telemetry data"),
            ("GET", "/cluster", self.cluster, "Get cluster status info"),
            ("GET", "/issues", self.issues, "Get issues"),
            ("DELETE", "/issues", self.clear_issues, "Clear issues"),
        ]
        handlers += [
            (method, path, refuse_standalone, "Needs cluster mode") for method, path in _CLUSTER_ONLY
        ]
        return [Route(method, path, handler, summary=text) for method, path, handler, text in handlers]

    async def root(self, _request: web.Request) -> web.Response:
        about = VersionInfo(TITLE, self._process.version, self._commit)
        return json_response(msgspec.json.encode(about))

    async def health(self, _request: web.Request) -> web.Response:
        return web.Response(text="healthz check passed")

    async def ready(self, _request: web.Request) -> web.Response:
        """A single node is ready as soon as it answers: its shards are opened before it listens."""
        return web.Response(text="all shards are ready")

    async def metrics(self, request: web.Request) -> web.Response:
        params.flag(request, "anonymize")  # nothing in the metrics names anybody but collections
        text = render(
            version=self._process.version,
            collections=await self._entries(request),
            requests=self._requests,
            prefix=self._prefix,
            per_collection=params.flag(request, "per_collection"),
        )
        return web.Response(body=text, headers={"Content-Type": METRICS_TYPE})

    async def telemetry(self, request: web.Request) -> web.Response:
        started_s = time.perf_counter()
        result = telemetry(
            process=self._process,
            collections=await self._entries(request),
            requests=self._requests,
            level=params.natural(request, "details_level", 0),
            anonymize=params.flag(request, "anonymize"),
            per_collection=params.flag(request, "per_collection"),
        )
        return success(result, started_s)

    async def _entries(self, request: web.Request) -> list[CollectionEntry]:
        """Raises: Timeout, as the query parameter says."""
        timeout_s = (params.operation_timeout_ms(request) or COLLECT_TIMEOUT_MS) / 1000
        try:
            async with asyncio.timeout(timeout_s):
                return await self._inventory.collections()
        except TimeoutError as error:
            raise Timeout(f"collecting telemetry timed out after {timeout_s:g}s") from error

    async def cluster(self, _request: web.Request) -> web.Response:
        return success({"status": "disabled"}, time.perf_counter())

    async def issues(self, _request: web.Request) -> web.Response:
        started_s = time.perf_counter()
        return success({"issues": self._issues.current(self._inventory.states)}, started_s)

    async def clear_issues(self, _request: web.Request) -> web.Response:
        started_s = time.perf_counter()
        self._issues.clear()
        return success(True, started_s)


async def refuse_standalone(request: web.Request) -> web.Response:
    """What a request got wrong is told first."""
    peer = request.match_info.get("peer_id", "0")
    if not (peer.isascii() and peer.isdigit()):
        raise BadPath(f"can not parse `{peer}` to a u64")
    params.operation_timeout_ms(request)
    params.flag(request, "force")
    params.flag(request, "wait")
    raise StandaloneMode
