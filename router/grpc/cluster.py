"""Where the points of a collection lie: shards, replicas, shard keys (reference 14.7, 14.8).

A node on its own refuses all of it, once what the request itself got wrong has been told.
"""

from __future__ import annotations

from typing import Any

from protos.collections import check_collection_name
from protos.qdrant import collections_pb2 as wire
from router.auth.needs import Need
from router.cluster import ClusterOperations
from router.cluster.requests import ClusterChange
from router.grpc.convert.options import timeout_ms
from router.grpc.convert.shards import cluster_change, dropped_key, new_key
from router.grpc.methods import Call, Methods, Served


def cluster_handlers(cluster: ClusterOperations) -> Methods:
    handlers = _ShardHandlers(cluster)
    return {
        "UpdateCollectionClusterSetup": Served(Need.MANAGE_COLLECTION, handlers.change),
        "CreateShardKey": Served(Need.MANAGE_COLLECTION, handlers.create_key),
        "DeleteShardKey": Served(Need.MANAGE_COLLECTION, handlers.delete_key),
    }


class _ShardHandlers:
    def __init__(self, cluster: ClusterOperations) -> None:
        self._cluster = cluster

    async def change(
        self, request: wire.UpdateCollectionClusterSetupRequest, _call: Call
    ) -> wire.UpdateCollectionClusterSetupResponse:
        budget_ms = self._checked(request)
        done = await self._carry_out(request, cluster_change(request), budget_ms)
        return wire.UpdateCollectionClusterSetupResponse(result=done)

    async def create_key(
        self, request: wire.CreateShardKeyRequest, _call: Call
    ) -> wire.CreateShardKeyResponse:
        budget_ms = self._checked(request)
        done = await self._carry_out(request, new_key(request.request), budget_ms)
        return wire.CreateShardKeyResponse(result=done)

    async def delete_key(
        self, request: wire.DeleteShardKeyRequest, _call: Call
    ) -> wire.DeleteShardKeyResponse:
        budget_ms = self._checked(request)
        done = await self._carry_out(request, dropped_key(request.request), budget_ms)
        return wire.DeleteShardKeyResponse(result=done)

    def _checked(self, request: Any) -> int | None:
        """The timeout in ms. Raises: InvalidField; StandaloneMode."""
        check_collection_name(request.collection_name)
        budget_ms = timeout_ms(request)
        self._cluster.require_cluster()
        return budget_ms

    async def _carry_out(self, request: Any, change: ClusterChange, budget_ms: int | None) -> bool:
        return await self._cluster.change_collection(request.collection_name, change, timeout_ms=budget_ms)
