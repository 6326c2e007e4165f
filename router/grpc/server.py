"""The gRPC server of the public API: its services.

Message sizes are unlimited, as in Qdrant: clients send large batches this way. Pings of any frequency are
tolerated.
"""

from __future__ import annotations

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
from router.grpc.methods import Methods, MetricsHook, service_methods
from router.grpc.queries import query_handlers
from router.grpc.service import HEALTH, about_handlers, health_methods, reflection_methods
from router.grpc.snapshots import snapshot_handlers
from router.grpc.transport.server import GrpcServer
from router.grpc.updates import update_handlers
from router.load import Load
from router.points import PointOperations
from router.queries.operations import SearchOperations
from router.snapshots.operations import SnapshotOperations
from router.snapshots.whole import WholeSnapshots

METADATA_BYTES_MAX = 2 * TOKEN_BYTES_MAX  # so that a token that is too long is told so
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
) -> GrpcServer:
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
    server = GrpcServer(metadata_bytes_max=METADATA_BYTES_MAX)
    for service, handlers in services:
        server.add(service_methods(service, handlers, gate, metrics_hook, load, bills=hardware_reporting))
    server.add(health_methods(departure or Departure(), server.stopping))
    server.add(reflection_methods([*(service.full_name for service, _ in services), HEALTH], gate))
    return server
