"""Collection, alias, payload index and vector-name endpoints (reference 7, 11)."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from aiohttp import web
from msgspec import Struct

from consensus.state import ShardKey
from protos.collections import (
    CreateCollection,
    SparseVectorConfig,
    UpdateCollection,
    VectorParams,
    decode_alias_actions,
    decode_create,
    decode_field_index,
    decode_update,
    decode_vector_name,
)
from protos.errors import MalformedBody
from protos.json_path import parse_path
from protos.operations import UpdateResult
from router.auth.needs import Need
from router.collections import CollectionOperations, SchemaOptions
from router.collections.info import AliasDescription, ClusterInfo, CollectionInfo
from router.collections.memory import CollectionMemory
from router.collections.optimizations import COMPLETED_LIMIT
from router.rest.admission import access_of
from router.rest.bodies.reading import read_body
from router.rest.envelope import Operation, accepted, enveloped_route, success
from router.rest.errors import BadPath
from router.rest.params import collection_name, flag, natural, operation_timeout_ms, write_options
from router.rest.points import WRITE_QUERY
from router.rest.routes import Route

_BASE = "/collections/{collection_name}"
_TIMEOUT = ("timeout",)


class CollectionDescription(Struct, frozen=True):
    name: str


class CollectionList(Struct, frozen=True):
    collections: list[CollectionDescription]


class AliasList(Struct, frozen=True):
    aliases: list[AliasDescription]


class Existence(Struct, frozen=True):
    exists: bool


class ShardKeyDescription(Struct, frozen=True):
    key: ShardKey


class ShardKeyList(Struct, frozen=True):
    """None (shown as null) for a collection that is not sharded by key."""

    shard_keys: list[ShardKeyDescription] | None


class IndexBody(Struct):
    """``field_schema`` is a type's name or its parameters."""

    field_name: str
    field_schema: Any


class VectorNameBody(Struct):
    """One of the two."""

    dense: VectorParams | None = None
    sparse: SparseVectorConfig | None = None


class AliasActions(Struct):
    actions: list[dict[str, Any]]


_route = partial(enveloped_route, tag="Collections")


def collection_routes(collections: CollectionOperations) -> list[Route]:
    handlers = _CollectionHandlers(collections)
    schema = _SchemaHandlers(collections)
    cluster = _cluster_routes(handlers)
    return [
        _route("GET", "/collections", handlers.list, Need.KNOWN, "List collections", result=CollectionList),
        _route("GET", _BASE, handlers.info, Need.READ_COLLECTION, "Collection info", result=CollectionInfo),
        _route(
            "PUT",
            _BASE,
            handlers.create,
            Need.MANAGE_COLLECTION,
            "Create collection",
            _TIMEOUT,
            body=CreateCollection,
            result=bool,
        ),
        _route(
            "PATCH",
            _BASE,
            handlers.update,
            Need.MANAGE_COLLECTION,
            "Update collection",
            _TIMEOUT,
            body=UpdateCollection,
            result=bool,
        ),
        _route(
            "DELETE",
            _BASE,
            handlers.delete,
            Need.MANAGE_COLLECTION,
            "Delete collection",
            _TIMEOUT,
            result=bool,
        ),
        _route(
            "GET",
            f"{_BASE}/exists",
            handlers.exists,
            Need.READ_COLLECTION,
            "Check existence",
            result=Existence,
        ),
        _route(
            "GET",
            f"{_BASE}/aliases",
            handlers.aliases_of,
            Need.READ_COLLECTION,
            "List its aliases",
            result=AliasList,
        ),
        _route("GET", "/aliases", handlers.aliases, Need.KNOWN, "List all aliases", result=AliasList),
        _route(
            "POST",
            "/collections/aliases",
            handlers.change_aliases,
            Need.GLOBAL_MANAGE,
            "Update aliases",
            _TIMEOUT,
            body=AliasActions,
            result=bool,
        ),
        _schema_route("PUT", "/index", schema.create_index, "Create payload index", IndexBody),
        _schema_route("DELETE", "/index/{field_name}", schema.delete_index, "Delete payload index"),
        _schema_route(
            "PUT", "/vectors/{vector_name}", schema.create_vector, "Create named vector", VectorNameBody
        ),
        _schema_route("DELETE", "/vectors/{vector_name}", schema.delete_vector, "Delete named vector"),
        *cluster,
    ]


def _cluster_routes(handlers: _CollectionHandlers) -> list[Route]:
    return [
        _route(
            "GET",
            f"{_BASE}/cluster",
            handlers.cluster_info,
            Need.READ_EXTRAS_OF_COLLECTION,
            "Cluster info",
            result=ClusterInfo,
        ),
        _route(
            "GET",
            f"{_BASE}/optimizations",
            handlers.optimizations,
            Need.READ_COLLECTION,
            "Optimizations",
            ("with", "completed_limit"),
            result=dict[str, Any],
        ),
        Route(
            "POST",
            f"{_BASE}/truncate_unapplied_wal",
            handlers.truncate_unapplied_wal,
            Need.MANAGE_COLLECTION,
            "Have nothing in the log that is not applied",
            "Collections",
            ("wait",),
            result=bool,
            enveloped=True,
        ),
        _route(
            "GET",
            f"{_BASE}/memory",
            handlers.memory,
            Need.READ_COLLECTION,
            "Memory usage",
            result=CollectionMemory,
        ),
        _route(
            "GET",
            f"{_BASE}/shards",
            handlers.shard_keys,
            Need.READ_COLLECTION,
            "List shard keys",
            result=ShardKeyList,
        ),
    ]


def _schema_route(method: str, path: str, operation: Operation, summary: str, body: Any = None) -> Route:
    need = Need.WRITE_EXTRAS_OF_COLLECTION
    return _route(method, _BASE + path, operation, need, summary, WRITE_QUERY, body=body, result=UpdateResult)


class _CollectionHandlers:
    def __init__(self, collections: CollectionOperations) -> None:
        self._collections = collections

    async def list(self, request: web.Request) -> CollectionList:
        sees = access_of(request).sees
        return CollectionList(
            [CollectionDescription(name) for name in self._collections.names() if sees(name)]
        )

    async def info(self, request: web.Request) -> CollectionInfo:
        return await self._collections.info(collection_name(request))

    async def create(self, request: web.Request) -> bool:
        name, timeout_ms = request.match_info["collection_name"], operation_timeout_ms(request)
        body = decode_create(await read_body(request))
        return await self._collections.create(name, body, timeout_ms=timeout_ms)

    async def update(self, request: web.Request) -> bool:
        name, timeout_ms = collection_name(request), operation_timeout_ms(request)
        body = decode_update(await read_body(request))
        return await self._collections.update(name, body, timeout_ms=timeout_ms)

    async def delete(self, request: web.Request) -> bool:
        name, timeout_ms = collection_name(request), operation_timeout_ms(request)
        return await self._collections.delete(name, timeout_ms=timeout_ms)

    async def exists(self, request: web.Request) -> Existence:
        return Existence(self._collections.exists(collection_name(request)))

    async def aliases(self, request: web.Request) -> AliasList:
        sees = access_of(request).sees
        return AliasList([each for each in self._collections.aliases() if sees(each.collection_name)])

    async def aliases_of(self, request: web.Request) -> AliasList:
        return AliasList(self._collections.aliases_of(collection_name(request)))

    async def change_aliases(self, request: web.Request) -> bool:
        timeout_ms = operation_timeout_ms(request)
        actions = decode_alias_actions(await read_body(request))
        return await self._collections.change_aliases(actions, timeout_ms=timeout_ms)

    async def cluster_info(self, request: web.Request) -> ClusterInfo:
        return await self._collections.cluster_info(collection_name(request))

    async def memory(self, request: web.Request) -> CollectionMemory:
        return await self._collections.memory(collection_name(request))

    async def optimizations(self, request: web.Request) -> dict[str, Any]:
        limit = natural(request, "completed_limit", COMPLETED_LIMIT)
        parts = request.query.get("with")
        return await self._collections.optimizations(collection_name(request), parts, limit)

    async def truncate_unapplied_wal(self, request: web.Request) -> web.StreamResponse:
        started_s = time.perf_counter()
        wait = flag(request, "wait")
        result = await self._collections.truncate_unapplied_wal(collection_name(request))
        return success(result, started_s) if wait else accepted(started_s)

    async def shard_keys(self, request: web.Request) -> ShardKeyList:
        keys = self._collections.shard_keys(collection_name(request))
        return ShardKeyList(None if keys is None else [ShardKeyDescription(key) for key in keys])


class _SchemaHandlers:
    def __init__(self, collections: CollectionOperations) -> None:
        self._collections = collections

    async def create_index(self, request: web.Request) -> UpdateResult:
        name, options = collection_name(request), _schema_options(request)
        body = decode_field_index(await read_body(request))
        parse_path(body.field_name)
        return await self._collections.create_index(name, body, options)

    async def delete_index(self, request: web.Request) -> UpdateResult:
        name, options = collection_name(request), _schema_options(request)
        return await self._collections.delete_index(name, _field_name(request), options)

    async def create_vector(self, request: web.Request) -> UpdateResult:
        name, options = collection_name(request), _schema_options(request)
        params = decode_vector_name(await read_body(request))
        vector = request.match_info["vector_name"]
        return await self._collections.create_vector_name(name, vector, params, options)

    async def delete_vector(self, request: web.Request) -> UpdateResult:
        name, options = collection_name(request), _schema_options(request)
        return await self._collections.delete_vector_name(name, request.match_info["vector_name"], options)


def _field_name(request: web.Request) -> str:
    """Raises: BadPath."""
    text: str = request.match_info["field_name"]
    try:
        parse_path(text)
    except MalformedBody as error:
        raise BadPath(error.message) from error
    return text


def _schema_options(request: web.Request) -> SchemaOptions:
    options = write_options(request)
    return SchemaOptions(wait=options.wait, timeout_ms=options.timeout_ms)
