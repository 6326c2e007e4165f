"""Collections, aliases, payload indexes and vector names (reference 7, 11)."""

from __future__ import annotations

from protos.operations import UpdateResult
from protos.qdrant import collections_pb2 as wire
from protos.qdrant import updates_pb2
from router.auth.needs import Need
from router.collections import CollectionOperations
from router.grpc.convert.configuration import (
    alias_actions,
    create_request,
    index_request,
    update_request,
    vector_name_request,
)
from router.grpc.convert.described import alias_messages, cluster_message, info_message
from router.grpc.convert.options import schema_options, target, timeout_ms
from router.grpc.convert.points import json_path, shard_key_message
from router.grpc.convert.updates import result_message
from router.grpc.methods import Call, Methods, Served


def collection_handlers(collections: CollectionOperations) -> Methods:
    handlers = _CollectionHandlers(collections)
    return {
        "Get": Served(Need.READ_COLLECTION, handlers.get),
        "List": Served(Need.KNOWN, handlers.list),
        "Create": Served(Need.MANAGE_COLLECTION, handlers.create),
        "Update": Served(Need.MANAGE_COLLECTION, handlers.update),
        "Delete": Served(Need.MANAGE_COLLECTION, handlers.delete),
        "UpdateAliases": Served(Need.GLOBAL_MANAGE, handlers.update_aliases),
        "ListCollectionAliases": Served(Need.READ_COLLECTION, handlers.aliases_of),
        "ListAliases": Served(Need.KNOWN, handlers.aliases),
        "CollectionClusterInfo": Served(Need.READ_EXTRAS_OF_COLLECTION, handlers.cluster_info),
        "CollectionExists": Served(Need.READ_COLLECTION, handlers.exists),
        "ListShardKeys": Served(Need.READ_COLLECTION, handlers.shard_keys),
    }


def schema_handlers(collections: CollectionOperations) -> Methods:
    """Changes of a collection's schema, which the API has among the writes of points."""
    handlers = _SchemaHandlers(collections)
    return {
        "CreateFieldIndex": Served(Need.WRITE_EXTRAS_OF_COLLECTION, handlers.create_index),
        "DeleteFieldIndex": Served(Need.WRITE_EXTRAS_OF_COLLECTION, handlers.delete_index),
        "CreateVectorName": Served(Need.WRITE_EXTRAS_OF_COLLECTION, handlers.create_vector),
        "DeleteVectorName": Served(Need.WRITE_EXTRAS_OF_COLLECTION, handlers.delete_vector),
    }


class _CollectionHandlers:
    def __init__(self, collections: CollectionOperations) -> None:
        self._collections = collections

    async def get(
        self, request: wire.GetCollectionInfoRequest, _call: Call
    ) -> wire.GetCollectionInfoResponse:
        info = await self._collections.info(target(request))
        return wire.GetCollectionInfoResponse(result=info_message(info))

    async def list(self, _request: wire.ListCollectionsRequest, call: Call) -> wire.ListCollectionsResponse:
        names = filter(call.access.sees, self._collections.names())
        return wire.ListCollectionsResponse(
            collections=[wire.CollectionDescription(name=name) for name in names]
        )

    async def create(self, request: wire.CreateCollection, _call: Call) -> wire.CollectionOperationResponse:
        budget_ms = timeout_ms(request)
        wanted = create_request(request)
        done = await self._collections.create(request.collection_name, wanted, timeout_ms=budget_ms)
        return wire.CollectionOperationResponse(result=done)

    async def update(self, request: wire.UpdateCollection, _call: Call) -> wire.CollectionOperationResponse:
        name, budget_ms = target(request), timeout_ms(request)
        done = await self._collections.update(name, update_request(request), timeout_ms=budget_ms)
        return wire.CollectionOperationResponse(result=done)

    async def delete(self, request: wire.DeleteCollection, _call: Call) -> wire.CollectionOperationResponse:
        name, budget_ms = target(request), timeout_ms(request)
        done = await self._collections.delete(name, timeout_ms=budget_ms)
        return wire.CollectionOperationResponse(result=done)

    async def update_aliases(
        self, request: wire.ChangeAliases, _call: Call
    ) -> wire.CollectionOperationResponse:
        budget_ms = timeout_ms(request)
        done = await self._collections.change_aliases(alias_actions(request), timeout_ms=budget_ms)
        return wire.CollectionOperationResponse(result=done)

    async def aliases_of(
        self, request: wire.ListCollectionAliasesRequest, _call: Call
    ) -> wire.ListAliasesResponse:
        return wire.ListAliasesResponse(aliases=alias_messages(self._collections.aliases_of(target(request))))

    async def aliases(self, _request: wire.ListAliasesRequest, call: Call) -> wire.ListAliasesResponse:
        seen = [each for each in self._collections.aliases() if call.access.sees(each.collection_name)]
        return wire.ListAliasesResponse(aliases=alias_messages(seen))

    async def cluster_info(
        self, request: wire.CollectionClusterInfoRequest, _call: Call
    ) -> wire.CollectionClusterInfoResponse:
        return cluster_message(await self._collections.cluster_info(target(request)))

    async def exists(
        self, request: wire.CollectionExistsRequest, _call: Call
    ) -> wire.CollectionExistsResponse:
        found = self._collections.exists(target(request))
        return wire.CollectionExistsResponse(result=wire.CollectionExists(exists=found))

    async def shard_keys(self, request: wire.ListShardKeysRequest, _call: Call) -> wire.ListShardKeysResponse:
        keys = self._collections.shard_keys(target(request)) or []
        return wire.ListShardKeysResponse(
            shard_keys=[wire.ShardKeyDescription(key=shard_key_message(key)) for key in keys]
        )


class _SchemaHandlers:
    def __init__(self, collections: CollectionOperations) -> None:
        self._collections = collections

    async def create_index(self, request: updates_pb2.CreateFieldIndexCollection, call: Call) -> _Answer:
        name, options = target(request), schema_options(request, call)
        return _answer(await self._collections.create_index(name, index_request(request), options))

    async def delete_index(self, request: updates_pb2.DeleteFieldIndexCollection, call: Call) -> _Answer:
        name, options = target(request), schema_options(request, call)
        field = json_path(request.field_name)
        return _answer(await self._collections.delete_index(name, field, options))

    async def create_vector(self, request: updates_pb2.CreateVectorNameRequest, call: Call) -> _Answer:
        name, options = target(request), schema_options(request, call)
        params = vector_name_request(request)
        return _answer(await self._collections.create_vector_name(name, request.vector_name, params, options))

    async def delete_vector(self, request: updates_pb2.DeleteVectorNameRequest, call: Call) -> _Answer:
        name, options = target(request), schema_options(request, call)
        return _answer(await self._collections.delete_vector_name(name, request.vector_name, options))


_Answer = updates_pb2.PointsOperationResponse


def _answer(result: UpdateResult) -> _Answer:
    return _Answer(result=result_message(result))
