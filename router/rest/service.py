"""Service endpoints: who we are, health, metrics, telemetry, issues (reference 3).

May not live here: anything about collections and points; of the cluster, anything but readiness and what is
measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
from aiohttp import web
from msgspec import Struct
from prometheus_client import CollectorRegistry

from protos.request_ids import REQUEST_ID
from router.audit.files import AuditFigures
from router.auth.gate import Denials
from router.auth.needs import Need
from router.cluster import ClusterOperations
from router.cluster.checking import Readiness
from router.cluster.telemetry import ClusterTelemetry
from router.departure import Departure
from router.load import Load
from router.monitoring.collecting import Collector
from router.monitoring.inventory import Inventory
from router.monitoring.issues import Issues
from router.monitoring.metrics import Requests, RequestStatistics
from router.monitoring.slow_requests import SlowRequest, SlowRequests
from router.monitoring.telemetry import Process
from router.rest import params
from router.rest.admission import access_of
from router.rest.app import MetricsHook
from router.rest.envelope import enveloped_route, json_response, success
from router.rest.routes import Route
from router.rest.state import STATE

TITLE = "qdrant - vector search engine"
TEXT = "text/plain"
METRICS_TYPE = f"{TEXT}; charset=utf-8"


class VersionInfo(Struct, frozen=True, omit_defaults=True):
    """The bare body of ``GET /``; exactly these keys."""

    title: str
    version: str
    commit: str | None = None


def metrics_hook(
    requests: RequestStatistics,
    unix_s: Callable[[], float] = time.time,
    slow: SlowRequests | None = None,
) -> MetricsHook:
    """Counts every routed request, and keeps the slowest in ``slow``; give it to ``create_app``."""

    def count(request: web.Request, status: int, seconds: float) -> None:
        match = request[STATE].match
        if match is not None:
            route, collection, now_s = match.route, match.params.get("collection_name"), unix_s()
            requests.add((route.method, route.path, status), seconds, now_s, collection)
            name = f"{route.method} {route.path}"
            if slow is not None and slow.would_keep(name, seconds):
                slow.add(SlowRequest(name, seconds, now_s, collection, status, REQUEST_ID.get()))

    return count


class ServiceEndpoints:
    """``ready`` None: a node on its own, which is ready as soon as it answers."""

    def __init__(
        self,
        *,
        process: Process,
        commit: str | None,
        inventory: Inventory,
        requests: Requests,
        issues: Issues,
        cluster: ClusterOperations,
        ready: Readiness | None = None,
        metrics_prefix: str = "",
        measured: CollectorRegistry | None = None,
        load: Load | None = None,
        audit: Callable[[], AuditFigures] | None = None,
        departure: Departure | None = None,
        denials: Denials | None = None,
    ) -> None:
        self._process = process
        self._commit = commit
        self._inventory = inventory
        self._issues = issues
        self._cluster = cluster
        self._ready = ready
        self._departure = departure or Departure()
        self._collector = Collector(
            process,
            inventory,
            requests,
            cluster=cluster.report,
            metrics_prefix=metrics_prefix,
            measured=measured,
            load=load,
            audit=audit,
            denials=denials,
        )

    async def telemetry_for_peers(self, level: int) -> bytes:
        """What this node answers when another member asks for its telemetry: a JSON object."""
        return await self._collector.for_peers(level)

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/", self.root, Need.PUBLIC, "Returns information about the running instance"),
            Route(
                "GET", "/healthz", self.health, Need.PUBLIC, "Kubernetes healthz endpoint", media_type=TEXT
            ),
            Route("GET", "/livez", self.health, Need.PUBLIC, "Kubernetes livez endpoint", media_type=TEXT),
            Route("GET", "/readyz", self.ready, Need.PUBLIC, "Kubernetes readyz endpoint", media_type=TEXT),
            Route(
                "GET",
                "/metrics",
                self.metrics,
                Need.GLOBAL_READ,
                "Collect Prometheus metrics data",
                query=("anonymize", "per_collection", "timeout"),
                media_type=TEXT,
            ),
            Route(
                "GET",
                "/telemetry",
                self.telemetry,
                Need.KNOWN,
                "Collect telemetry data",
                query=("anonymize", "details_level", "per_collection", "timeout"),
            ),
            enveloped_route(
                "GET",
                "/cluster/telemetry",
                self.cluster_telemetry,
                Need.KNOWN,
                "Collect telemetry data of the whole cluster",
                query=("details_level", "timeout"),
                result=ClusterTelemetry,
            ),
            Route("GET", "/issues", self.issues, Need.KNOWN, "Get issues"),
            Route("DELETE", "/issues", self.clear_issues, Need.GLOBAL_MANAGE, "Clear issues"),
        ]

    async def root(self, _request: web.Request) -> web.Response:
        about = VersionInfo(TITLE, self._process.version, self._commit)
        return json_response(msgspec.json.encode(about))

    async def health(self, _request: web.Request) -> web.Response:
        return web.Response(text="healthz check passed")

    async def ready(self, _request: web.Request) -> web.Response:
        """A single node is ready as soon as it answers: its shards are opened before it listens."""
        if self._departure.begun:
            return web.Response(status=503, text="this node is about to stop")
        if self._ready is None or await self._ready.ready():
            return web.Response(text="all shards are ready")
        return web.Response(status=503, text="some shards are not ready")

    async def metrics(self, request: web.Request) -> web.Response:
        params.flag(request, "anonymize")  # nothing in the metrics names anybody but collections
        text = await self._collector.metrics(
            per_collection=params.flag(request, "per_collection"),
            timeout_ms=params.operation_timeout_ms(request),
        )
        return web.Response(body=text, headers={"Content-Type": METRICS_TYPE})

    async def telemetry(self, request: web.Request) -> web.Response:
        started_s = time.perf_counter()
        result = await self._collector.telemetry(
            level=params.natural(request, "details_level", 0),
            anonymize=params.flag(request, "anonymize"),
            per_collection=params.flag(request, "per_collection"),
            timeout_ms=params.operation_timeout_ms(request),
            access=access_of(request),
        )
        return success(result, started_s)

    async def cluster_telemetry(self, request: web.Request) -> ClusterTelemetry:
        found = await self._cluster.telemetry(
            self.telemetry_for_peers,
            level=params.natural(request, "details_level", 0),
            timeout_ms=params.operation_timeout_ms(request),
        )
        return found.seen_by(access_of(request))

    async def issues(self, request: web.Request) -> web.Response:
        started_s, sees = time.perf_counter(), access_of(request).sees
        found = self._issues.current(self._inventory.states)
        return success({"issues": [issue for issue in found if sees(issue.related_collection)]}, started_s)

    async def clear_issues(self, _request: web.Request) -> web.Response:
        started_s = time.perf_counter()
        self._issues.clear()
        return success(True, started_s)
