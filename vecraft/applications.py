"""The public face over a log and a node: the REST applications and the gRPC server, with their ports.

What is the same whether the node runs alone or in a cluster. May not live here: what differs
(``standalone``, ``clustered``), and listening.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from consensus.log import MetadataLog
from node import measures
from node.client import NodeClient
from node.client.cluster import ClusterClient
from node.text.bm25 import Bm25
from router.audit.entries import Shown
from router.audit.files import AuditLog
from router.audit.searching import AuditSearch
from router.auth.credentials import Keys
from router.auth.gate import OPEN, Denials, Gate
from router.auth.needs import Need
from router.auth.revocation import Revocation
from router.cluster.checking import Readiness
from router.cluster.local_shards import LocalShardOperations
from router.cluster.operations import ClusterOperations
from router.collections import CollectionOperations
from router.dashboard import configured, dashboard_routes
from router.departure import Departure
from router.grpc.server import create_server
from router.grpc.service import grpc_metrics_hook
from router.grpc.transport.server import GrpcServer
from router.inference.embedding import Inference
from router.inference.objects import BM25_NAMES
from router.inference.remote import TIMEOUT_S, RemoteService
from router.load import Load
from router.monitoring.inventory import Inventory
from router.monitoring.issues import Issues, SlowReads
from router.monitoring.metrics import Requests
from router.monitoring.slow_requests import SlowRequests
from router.monitoring.telemetry import Process
from router.points import PointOperations
from router.queries.confirming import confirming
from router.queries.operations import SearchOperations
from router.quotas import QuotaOperations
from router.rest.app import Edge, RestApplication, create_app
from router.rest.audit import audit_route
from router.rest.keys import key_routes
from router.rest.operators import Logging, operator_routes
from router.rest.quotas import quota_routes
from router.rest.routes import Route, RouteTable
from router.rest.service import ServiceEndpoints, metrics_hook
from vecraft import QDRANT_VERSION
from vecraft.build import commit
from vecraft.defaults import cluster_options
from vecraft.ending import CannotStart
from vecraft.settings import Settings, read_timeout_ms, search_threads
from vecraft.snapshots import Snapshots


async def _nothing() -> None:
    """A node on its own has nobody to hand over to."""


class Applications(Struct):
    """Each with its port; None: it is switched off. ``metrics``: in plain text, for everybody.

    ``departure`` is to be begun, and ``hand_over`` awaited, before they stop taking requests.
    """

    rest: tuple[RestApplication, int]
    departure: Departure
    hand_over: Callable[[], Awaitable[None]]
    metrics: tuple[RestApplication, int] | None = None
    grpc: tuple[GrpcServer, int] | None = None

    @property
    def ports(self) -> list[int]:
        return [each[1] for each in (self.rest, self.metrics, self.grpc) if each is not None]


def applications(
    settings: Settings,
    logs: Logging,
    collections: CollectionOperations,
    log: MetadataLog,
    node: NodeClient,
    snapshots: Snapshots,
    *,
    cluster: ClusterClient | None = None,
    ready: Readiness | None = None,
    hand_over: Callable[[], Awaitable[None]] = _nothing,
    serve_telemetry: Callable[[Callable[[int], Awaitable[bytes]]], None] | None = None,
    serve_audit: Callable[[Callable[[bytes], Awaitable[bytes]]], None] | None = None,
) -> Applications:
    """``logs``: what operators see and set of them. ``cluster`` and ``ready`` None: a node on its own.
    ``serve_telemetry`` and ``serve_audit`` let other members ask for this node's.

    Raises: CannotStart if there can be no audit log.
    """
    service = settings.service
    operations = ClusterOperations(log, cluster, collections, cluster_options(settings))
    requests, issues = Requests(), Issues()
    audit, denials = _audit(settings), Denials()
    slow = SlowRequests()
    load, departure = Load(service.max_pending_requests), Departure()
    quotas = QuotaOperations(log, node, cluster)
    endpoints = ServiceEndpoints(
        process=_process(settings),
        commit=commit(),
        inventory=Inventory(log, node, snapshots.operations.statistics),
        requests=requests,
        issues=issues,
        cluster=operations,
        ready=ready,
        metrics_prefix=service.metrics_prefix or "",
        measured=measures.REGISTRY,
        load=load,
        audit=None if audit is None else audit.figures,
        departure=departure,
        denials=denials,
    )
    if serve_telemetry is not None:
        serve_telemetry(endpoints.telemetry_for_peers)
    inference = _inference(settings)
    points = PointOperations(collections, node, inference, timeout_ms=settings.cluster.grpc_timeout_ms)
    slow_reads = SlowReads(issues, slow_s=service.slow_query_secs)
    searches = SearchOperations(
        collections, node, slow_reads, inference, timeout_ms=read_timeout_ms(settings)
    )
    revocation = Revocation(log)
    audit_search = AuditSearch(audit, log, cluster)
    if serve_audit is not None:
        serve_audit(audit_search.for_peers)
    gate = Gate(
        _keys(settings),
        revoked=revocation.revoked,
        confirm=confirming(searches),
        record=None if audit is None else audit.record,
        denials=denials,
    )
    app = create_app(
        collections,
        points,
        searches,
        max_request_size_mb=service.max_request_size_mb,
        enable_cors=service.enable_cors,
        cluster=operations,
        local_shards=LocalShardOperations(log, node),
        gate=gate,
        extra_routes=[
            *endpoints.routes(),
            *quota_routes(quotas),
            *snapshots.routes(),
            *key_routes(revocation),
            audit_route(audit_search),
            *operator_routes(logs, slow),
            *_dashboard(settings),
        ],
        metrics_hook=metrics_hook(requests.rest, slow=slow),
        load=load,
        hardware_reporting=service.hardware_reporting,
        departure=departure,
    )
    app.on_close += [inference.close, quotas.close]
    apps = Applications((app, service.http_port), departure, hand_over)
    if service.metrics_port is not None:
        apps.metrics = _metrics_app(endpoints), service.metrics_port
    if service.grpc_port is not None:
        server = create_server(
            collections,
            points,
            searches,
            operations,
            snapshots.operations,
            snapshots.whole,
            gate=gate,
            version=QDRANT_VERSION,
            commit=commit(),
            metrics_hook=grpc_metrics_hook(requests.grpc, slow=slow),
            load=load,
            hardware_reporting=service.hardware_reporting,
            departure=departure,
        )
        apps.grpc = server, service.grpc_port
    return apps


def _dashboard(settings: Settings) -> list[Route]:
    service = settings.service
    files = configured(enabled=service.enable_static_content, directory=service.static_content_dir)
    return [] if files is None else dashboard_routes(files)


def _inference(settings: Settings) -> Inference:
    """BM25 is a model of this process; what else is named is the remote service's, if one is configured."""
    bm25, remote = Bm25(), settings.inference
    if remote.address is None:
        return Inference(dict.fromkeys(BM25_NAMES, bm25))
    timeout_s = float(remote.timeout or TIMEOUT_S)
    service = RemoteService(remote.address, timeout_s=timeout_s, token=remote.token)
    return Inference(dict.fromkeys(BM25_NAMES, bm25), service)


def _audit(settings: Settings) -> AuditLog | None:
    """Raises: CannotStart."""
    audit = settings.audit
    if not audit.enabled:
        return None
    shown = Shown(api=audit.log_api, forwarded=audit.trust_forwarded_headers)
    try:
        return AuditLog(Path(audit.dir), rotation=audit.rotation, files_max=audit.max_log_files, shown=shown)
    except OSError as error:
        raise CannotStart(f"the audit log cannot be kept in {audit.dir}: {error}") from error


def _keys(settings: Settings) -> Keys:
    service = settings.service
    return Keys(
        service.api_key,
        service.alt_api_key,
        service.read_only_api_key,
        tokens=bool(service.jwt_rbac),
    )


def _metrics_app(endpoints: ServiceEndpoints) -> RestApplication:
    """``/metrics`` and what probes ask, with the other port's error responses.

    Neither a key nor a certificate is needed here: probes seldom have one.
    """
    health = ("/healthz", "/livez")
    table = RouteTable(
        [
            Route("GET", "/metrics", endpoints.metrics, Need.PUBLIC),
            Route("GET", "/readyz", endpoints.ready, Need.PUBLIC),
            *(Route("GET", path, endpoints.health, Need.PUBLIC) for path in health),
        ]
    )
    return RestApplication(Edge(table, OPEN, enable_cors=False, metrics_hook=None))


def _process(settings: Settings) -> Process:
    return Process(
        id=str(uuid.uuid4()),
        version=QDRANT_VERSION,
        started=datetime.now(UTC),
        search_threads=search_threads(settings),
        max_collections=settings.storage.max_collections,
        low_memory_mode=settings.storage.low_memory_mode,
        healing_threshold=settings.storage.hnsw_global_config.healing_threshold,
        storage_path=settings.storage.storage_path,
        recovery_mode=bool(settings.storage.recovery_mode),
        jwt_rbac=settings.service.jwt_rbac,
        hide_jwt_dashboard=settings.service.hide_jwt_dashboard,
    )
