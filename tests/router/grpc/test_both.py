"""Every operation exists over both protocols, but for what the gRPC services do not list."""

from __future__ import annotations

from typing import Any, cast

from router.grpc.server import COLLECTIONS, POINTS, SNAPSHOTS
from router.rest.analysis import analysis_routes
from router.rest.cluster import cluster_routes
from router.rest.collections import collection_routes
from router.rest.explain import explain_routes
from router.rest.groups import group_routes
from router.rest.points import point_routes
from router.rest.query import query_routes
from router.rest.reads import read_routes
from router.rest.snapshots import snapshot_routes

SERVICES = (COLLECTIONS, POINTS, SNAPSHOTS)
BASE = "/collections/{collection_name}"
SAME: dict[str, str] = {
    "Collections.Get": f"GET {BASE}",
    "Collections.List": "GET /collections",
    "Collections.Create": f"PUT {BASE}",
    "Collections.Update": f"PATCH {BASE}",
    "Collections.Delete": f"DELETE {BASE}",
    "Collections.UpdateAliases": "POST /collections/aliases",
    "Collections.ListCollectionAliases": f"GET {BASE}/aliases",
    "Collections.ListAliases": "GET /aliases",
    "Collections.CollectionClusterInfo": f"GET {BASE}/cluster",
    "Collections.CollectionExists": f"GET {BASE}/exists",
    "Collections.UpdateCollectionClusterSetup": f"POST {BASE}/cluster",
    "Collections.CreateShardKey": f"PUT {BASE}/shards",
    "Collections.DeleteShardKey": f"POST {BASE}/shards/delete",
    "Collections.ListShardKeys": f"GET {BASE}/shards",
    "Points.Upsert": f"PUT {BASE}/points",
    "Points.Delete": f"POST {BASE}/points/delete",
    "Points.Get": f"POST {BASE}/points",
    "Points.UpdateVectors": f"PUT {BASE}/points/vectors",
    "Points.DeleteVectors": f"POST {BASE}/points/vectors/delete",
    "Points.SetPayload": f"POST {BASE}/points/payload",
    "Points.OverwritePayload": f"PUT {BASE}/points/payload",
    "Points.DeletePayload": f"POST {BASE}/points/payload/delete",
    "Points.ClearPayload": f"POST {BASE}/points/payload/clear",
    "Points.CreateFieldIndex": f"PUT {BASE}/index",
    "Points.DeleteFieldIndex": f"DELETE {BASE}/index/{{field_name}}",
    "Points.CreateVectorName": f"PUT {BASE}/vectors/{{vector_name}}",
    "Points.DeleteVectorName": f"DELETE {BASE}/vectors/{{vector_name}}",
    "Points.Search": f"POST {BASE}/points/search",
    "Points.SearchBatch": f"POST {BASE}/points/search/batch",
    "Points.SearchGroups": f"POST {BASE}/points/search/groups",
    "Points.Scroll": f"POST {BASE}/points/scroll",
    "Points.Recommend": f"POST {BASE}/points/recommend",
    "Points.RecommendBatch": f"POST {BASE}/points/recommend/batch",
    "Points.RecommendGroups": f"POST {BASE}/points/recommend/groups",
    "Points.Discover": f"POST {BASE}/points/discover",
    "Points.DiscoverBatch": f"POST {BASE}/points/discover/batch",
    "Points.Count": f"POST {BASE}/points/count",
    "Points.UpdateBatch": f"POST {BASE}/points/batch",
    "Points.Query": f"POST {BASE}/points/query",
    "Points.QueryBatch": f"POST {BASE}/points/query/batch",
    "Points.QueryGroups": f"POST {BASE}/points/query/groups",
    "Points.Facet": f"POST {BASE}/facet",
    "Points.SearchMatrixPairs": f"POST {BASE}/points/search/matrix/pairs",
    "Points.SearchMatrixOffsets": f"POST {BASE}/points/search/matrix/offsets",
    "Snapshots.Create": f"POST {BASE}/snapshots",
    "Snapshots.List": f"GET {BASE}/snapshots",
    "Snapshots.Delete": f"DELETE {BASE}/snapshots/{{snapshot_name}}",
    "Snapshots.CreateFull": "POST /snapshots",
    "Snapshots.ListFull": "GET /snapshots",
    "Snapshots.DeleteFull": "DELETE /snapshots/{snapshot_name}",
}
SHARD = f"{BASE}/shards/{{shard_id}}"
REST_ALONE = {
    "GET /snapshots/{snapshot_name}",
    f"GET {BASE}/snapshots/{{snapshot_name}}",
    f"PUT {BASE}/snapshots/recover",
    f"POST {BASE}/snapshots/upload",
    f"GET {SHARD}/snapshot",
    f"GET {SHARD}/snapshot/partial/manifest",
    f"POST {SHARD}/snapshot/partial/create",
    f"POST {SHARD}/snapshot/partial/recover",
    f"POST {SHARD}/snapshot/partial/recover_from",
    f"GET {SHARD}/snapshots",
    f"POST {SHARD}/snapshots",
    f"GET {SHARD}/snapshots/{{snapshot_name}}",
    f"DELETE {SHARD}/snapshots/{{snapshot_name}}",
    f"PUT {SHARD}/snapshots/recover",
    f"POST {SHARD}/snapshots/upload",
    f"POST {BASE}/points/query/explain",
    f"GET {BASE}/optimizations",
    f"GET {BASE}/memory",
    f"POST {BASE}/truncate_unapplied_wal",
    f"GET {BASE}/points/{{id}}",
    "GET /cluster",
    "POST /cluster/recover",
    "DELETE /cluster/peer/{peer_id}",
    "GET /cluster/peers",
    "PUT /cluster/peer/{peer_id}/drain",
    "DELETE /cluster/peer/{peer_id}/drain",
    "GET /cluster/metadata/keys",
    "GET /cluster/metadata/keys/{key}",
    "PUT /cluster/metadata/keys/{key}",
    "DELETE /cluster/metadata/keys/{key}",
}


def test_every_operation_exists_over_both() -> None:
    nobody = cast(Any, None)
    makers: list[Any] = [collection_routes, point_routes, read_routes, query_routes, cluster_routes]
    makers += [analysis_routes, group_routes, explain_routes]
    routes = {f"{route.method} {route.path}" for make in makers for route in make(nobody)}
    routes |= {f"{route.method} {route.path}" for route in snapshot_routes(nobody, nobody, nobody)}
    assert routes - REST_ALONE == set(SAME.values())
    methods = {f"{service.name}.{each.name}" for service in SERVICES for each in service.methods}
    assert methods == SAME.keys()
