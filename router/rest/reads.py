"""Retrieve, scroll and count endpoints (reference 9.2)."""

from __future__ import annotations

import time

import msgspec
from aiohttp import web

from protos.errors import BadInput, NotFound
from protos.ids import parse_point_id
from protos.shard import Projection, Record, ScrollRequest
from router.rest import schemas
from router.rest.bodies import read_json
from router.rest.encode import encode_records
from router.rest.envelope import success
from router.rest.params import collection_name, point_id, read_options
from router.rest.queries import LIMIT_DEFAULT, decode_order_by
from router.rest.query import READ_QUERY
from router.rest.routes import Route
from router.rest.schemas import CountResult, RecordBody, ScrollResult
from router.rest.selectors import (
    at_least_one,
    decode_ids,
    decode_optional_filter,
    decode_projection,
    decode_shard_keys,
)
from router.search import SearchOperations

_scroll = msgspec.json.Decoder(schemas.ScrollBody)
_count = msgspec.json.Decoder(schemas.CountBody)
_retrieve = msgspec.json.Decoder(schemas.RetrieveBody)
_BASE = "/collections/{collection_name}/points"


def read_routes(searches: SearchOperations) -> list[Route]:
    handlers = _ReadHandlers(searches)

    def route(method: str, path: str, summary: str) -> Route:
        handler, body, result = {
            "": (handlers.retrieve, schemas.RetrieveBody, list[RecordBody]),
            "/{id}": (handlers.point, None, RecordBody),
            "/scroll": (handlers.scroll, schemas.ScrollBody, ScrollResult),
            "/count": (handlers.count, schemas.CountBody, CountResult),
        }[path]
        return Route(
            method, _BASE + path, handler, summary, "Points", READ_QUERY, body, result, enveloped=True
        )

    return [
        route("POST", "", "Retrieve points"),
        route("GET", "/{id}", "Retrieve a point"),
        route("POST", "/scroll", "Scroll points"),
        route("POST", "/count", "Count points"),
    ]


class _ReadHandlers:
    def __init__(self, searches: SearchOperations) -> None:
        self._searches = searches

    async def retrieve(self, request: web.Request) -> web.StreamResponse:
        started_s = time.perf_counter()
        name, options = collection_name(request), read_options(request)
        body = await read_json(request, _retrieve)
        projection = decode_projection(body.with_payload, body.with_vector, body.with_vectors)
        keys = decode_shard_keys(body.shard_key)
        records = await self._searches.retrieve(name, decode_ids(body.ids), projection, options, keys)
        return success(self._encode(name, records, projection), started_s)

    async def point(self, request: web.Request) -> web.StreamResponse:
        started_s = time.perf_counter()
        name, options, wanted = collection_name(request), read_options(request), point_id(request)
        projection = Projection(payload=True, vectors=True)
        records = await self._searches.retrieve(name, [wanted], projection, options)
        if not records:
            raise NotFound(f"Point with id {wanted} does not exists!")
        return success(self._encode(name, records, projection)[0], started_s)

    async def scroll(self, request: web.Request) -> web.StreamResponse:
        started_s = time.perf_counter()
        name, options = collection_name(request), read_options(request)
        body = await read_json(request, _scroll)
        wanted = _scroll_request(body)
        page = await self._searches.scroll(name, wanted, options, decode_shard_keys(body.shard_key))
        points = self._encode(name, page.records, wanted.projection)
        return success(ScrollResult(points, page.next_offset), started_s)

    async def count(self, request: web.Request) -> web.StreamResponse:
        started_s = time.perf_counter()
        name, options = collection_name(request), read_options(request)
        body = await read_json(request, _count)
        condition, keys = decode_optional_filter(body.filter), decode_shard_keys(body.shard_key)
        count = await self._searches.count(name, condition, options, exact=body.exact, keys=keys)
        return success(CountResult(count), started_s)

    def _encode(self, collection: str, records: list[Record], projection: Projection) -> list[RecordBody]:
        bare = projection.vectors is True and self._searches.unnamed_only(collection)
        return encode_records(records, bare=bare)


def _scroll_request(body: schemas.ScrollBody) -> ScrollRequest:
    if body.offset is not None and body.order_by is not None:
        raise BadInput(
            "Cannot use an `offset` when using `order_by`. "
            "The alternative for paging is to use `order_by.start_from` and a filter to exclude ids seen"
        )
    return ScrollRequest(
        limit=LIMIT_DEFAULT if body.limit is None else at_least_one(body.limit, "limit"),
        offset=None if body.offset is None else parse_point_id(body.offset),
        filter=decode_optional_filter(body.filter),
        order_by=None if body.order_by is None else decode_order_by(body.order_by),
        projection=decode_projection(
            body.with_payload, body.with_vector, body.with_vectors, payload_default=True
        ),
    )
