"""Retrieve, scroll and count endpoints (reference 9.2)."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from protos.errors import NotFound
from protos.ids import parse_point_id
from protos.shard import Projection, Record, ScrollRequest
from router.auth.needs import Need
from router.checks import check_page, limit_of
from router.queries.operations import SearchOperations
from router.rest.bodies import schemas
from router.rest.bodies.queries import decode_order_by
from router.rest.bodies.reading import read_json
from router.rest.bodies.schemas import CountResult, RecordBody, ScrollResult
from router.rest.bodies.selectors import (
    decode_ids,
    decode_optional_filter,
    decode_projection,
    decode_shard_keys,
)
from router.rest.encode import encode_records
from router.rest.envelope import Operation, enveloped_route
from router.rest.params import collection_name, point_id, read_options
from router.rest.query import READ_QUERY
from router.rest.routes import Route

_scroll = msgspec.json.Decoder(schemas.ScrollBody)
_count = msgspec.json.Decoder(schemas.CountBody)
_retrieve = msgspec.json.Decoder(schemas.RetrieveBody)
_BASE = "/collections/{collection_name}/points"


def read_routes(searches: SearchOperations) -> list[Route]:
    handlers = _ReadHandlers(searches)

    return [
        _route("POST", "", handlers.retrieve, "Retrieve points", schemas.RetrieveBody, list[RecordBody]),
        _route("GET", "/{id}", handlers.point, "Retrieve a point", None, RecordBody),
        _route("POST", "/scroll", handlers.scroll, "Scroll points", schemas.ScrollBody, ScrollResult),
        _route("POST", "/count", handlers.count, "Count points", schemas.CountBody, CountResult),
    ]


def _route(method: str, path: str, operation: Operation, summary: str, body: Any, result: Any) -> Route:
    need = Need.READ_COLLECTION
    return enveloped_route(
        method, _BASE + path, operation, need, summary, READ_QUERY, tag="Points", body=body, result=result
    )


class _ReadHandlers:
    def __init__(self, searches: SearchOperations) -> None:
        self._searches = searches

    async def retrieve(self, request: web.Request) -> list[RecordBody]:
        name, options = collection_name(request), read_options(request)
        body = await read_json(request, _retrieve)
        projection = decode_projection(body.with_payload, body.with_vector, body.with_vectors)
        keys = decode_shard_keys(body.shard_key)
        records = await self._searches.retrieve(name, decode_ids(body.ids), projection, options, keys)
        return self._encode(name, records, projection)

    async def point(self, request: web.Request) -> RecordBody:
        name, options, wanted = collection_name(request), read_options(request), point_id(request)
        projection = Projection(payload=True, vectors=True)
        records = await self._searches.retrieve(name, [wanted], projection, options)
        if not records:
            raise NotFound(f"Point with id {wanted} does not exists!")
        return self._encode(name, records, projection)[0]

    async def scroll(self, request: web.Request) -> ScrollResult:
        name, options = collection_name(request), read_options(request)
        body = await read_json(request, _scroll)
        wanted = scroll_request(body)
        page = await self._searches.scroll(name, wanted, options, decode_shard_keys(body.shard_key))
        points = self._encode(name, page.records, wanted.projection)
        return ScrollResult(points, page.next_offset)

    async def count(self, request: web.Request) -> CountResult:
        name, options = collection_name(request), read_options(request)
        body = await read_json(request, _count)
        condition, keys = decode_optional_filter(body.filter), decode_shard_keys(body.shard_key)
        count = await self._searches.count(name, condition, options, exact=body.exact, keys=keys)
        return CountResult(count)

    def _encode(self, collection: str, records: list[Record], projection: Projection) -> list[RecordBody]:
        return encode_records(records, bare=self._searches.bare(collection, projection))


def scroll_request(body: schemas.ScrollBody) -> ScrollRequest:
    offset = None if body.offset is None else parse_point_id(body.offset)
    order_by = None if body.order_by is None else decode_order_by(body.order_by)
    check_page(offset, order_by)
    return ScrollRequest(
        limit=limit_of(body.limit, "limit"),
        offset=offset,
        filter=decode_optional_filter(body.filter),
        order_by=order_by,
        projection=decode_projection(
            body.with_payload, body.with_vector, body.with_vectors, payload_default=True
        ),
    )
