"""The gRPC server of the public API: its services and its limits.

Message sizes are unlimited, as in Qdrant: clients send large batches this way. Pings of any frequency are
tolerated. A taken port is an error, not shared.
"""

from __future__ import annotations

from typing import Any

import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor

from protos.qdrant import collections_pb2, points_service_pb2, service_pb2, snapshots_pb2
from router.auth.gate import Gate
from router.auth.tokens import TOKEN_BYTES_MAX
from router.cluster import ClusterOperations
from router.collections import CollectionOperations
from router.departure import Departure
from router.grpc.analysis import analysis_handlers
from router.grpc.cluster import cluster_handlers
from router.grpc.collections import collection_handlers, schema_handlers
from router.grpc.groups import group_handlers
from router.grpc.methods import Methods, MetricsHook, service_handler
from router.grpc.queries import query_handlers
from router.grpc.service import HEALTH, about_handlers, health_handler, reflection_handlers
from router.grpc.snapshots import snapshot_handlers
from router.grpc.updates import update_handlers
from router.load import Load
from router.points import PointOperations
from router.queries.operations import SearchOperations
from router.snapshots.operations import SnapshotOperations
from router.snapshots.whole import WholeSnapshots

OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_concurrent_streams", 2**31 - 1),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 0),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.so_reuseport", 0),
    ("grpc.max_metadata_size", 2 * TOKEN_BYTES_MAX),  # so that a token that is too long is told so
    ("grpc.absolute_max_metadata_size", 4 * TOKEN_BYTES_MAX),
]
QDRANT = service_pb2.DESCRIPTOR.services_by_name["Qdrant"]
COLLECTIONS = collections_pb2.DESCRIPTOR.services_by_name["Collections"]
POINTS = points_service_pb2.DESCRIPTOR.services_by_name["Points"]
SNAPSHOTS = snapshots_pb2.DESCRIPTOR.services_by_name["Snapshots"]


def create_server(
    collections: CollectionOperations,
    points: PointOperations,
    searches: SearchOperations,
    cluster: ClusterOperations,
    snapshots: SnapshotOperations,
    whole: WholeSnapshots,
    *,
    gate: Gate,
    version: str,
    commit: str | None = None,
    metrics_hook: MetricsHook | None = None,
    load: Load | None = None,
    hardware_reporting: bool = False,
    departure: Departure | None = None,
) -> grpc.aio.Server:
    """A server without a port yet; ``version`` is that of Qdrant's API; ``load`` is shared with REST.
    ``hardware_reporting``: tell what requests about collections cost."""
    services: list[tuple[ServiceDescriptor, Methods]] = [
        (QDRANT, about_handlers(version, commit)),
        (COLLECTIONS, {**collection_handlers(collections), **cluster_handlers(cluster)}),
        (
            POINTS,
            {
                **update_handlers(points),
                **schema_handlers(collections),
                **query_handlers(searches),
                **analysis_handlers(searches),
                **group_handlers(searches),
            },
        ),
        (SNAPSHOTS, snapshot_handlers(snapshots, whole)),
    ]
    names = [service.full_name for service, _ in services]
    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers(
        [
            *(
                service_handler(service, handlers, gate, metrics_hook, load, bills=hardware_reporting)
                for service, handlers in services
            ),
            health_handler(departure or Departure()),
            *reflection_handlers([*names, HEALTH], gate),
        ]
    )
    return server
