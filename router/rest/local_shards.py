"""Endpoints of one node's replica of a shard, for debugging (reference 14.12)."""

from __future__ import annotations

import time
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from protos.operations import UpdateResult
from protos.shard import Projection, Record
from router.auth.needs import Need
from router.cluster.local_shards import LocalShardOperations
from router.rest.admission import access_of
from router.rest.bodies import schemas
from router.rest.bodies.reading import read_json
from router.rest.bodies.schemas import CountResult, RecordBody, ScrollResult
from router.rest.bodies.selectors import decode_ids, decode_optional_filter, decode_projection
from router.rest.cluster import unsigned
from router.rest.encode import encode_records
from router.rest.envelope import Operation, accepted, enveloped_route, success
from router.rest.params import collection_name, flag, operation_timeout_ms
from router.rest.reads import scroll_request
from router.rest.routes import Route

_BASE = "/collections/{collection_name}/shards/{shard_id}"


class HashRingFilterBody(Struct):
    """Only points that belong to this shard."""

    expected_shard_id: Annotated[int, Meta(ge=0)]


class LocalRetrieveBody(schemas.RetrieveBody, kw_only=True):
    hash_ring_filter: HashRingFilterBody | None = None


class LocalScrollBody(schemas.ScrollBody, kw_only=True):
    hash_ring_filter: HashRingFilterBody | None = None


class LocalCountBody(schemas.CountBody, kw_only=True):
    hash_ring_filter: HashRingFilterBody | None = None


_retrieve = msgspec.json.Decoder(LocalRetrieveBody)
_scroll = msgspec.json.Decoder(LocalScrollBody)
_count = msgspec.json.Decoder(LocalCountBody)


def local_shard_routes(shards: LocalShardOperations) -> list[Route]:
    handlers = _LocalShardHandlers(shards)
    return [
        _route(
            "/points", handlers.retrieve, "Retrieve points of a replica", LocalRetrieveBody, list[RecordBody]
        ),
        _route(
            "/points/scroll", handlers.scroll, "Scroll points of a replica", LocalScrollBody, ScrollResult
        ),
        _route("/points/count", handlers.count, "Count points of a replica", LocalCountBody, CountResult),
        Route(
            "POST",
            f"{_BASE}/cleanup",
            handlers.clean,
            Need.MANAGE_COLLECTION,
            "Remove points that do not belong to a shard",
            "Distributed",
            ("wait", "timeout"),
            None,
            UpdateResult,
            enveloped=True,
        ),
    ]


def _route(path: str, operation: Operation, summary: str, body: Any, result: Any) -> Route:
    query, need = ("timeout",), Need.READ_COLLECTION
    return enveloped_route(
        "POST", _BASE + path, operation, need, summary, query, tag="Distributed", body=body, result=result
    )


class _LocalShardHandlers:
    def __init__(self, shards: LocalShardOperations) -> None:
        self._shards = shards

    async def retrieve(self, request: web.Request) -> list[RecordBody]:
        name, shard_id, timeout_ms = _target(request)
        body = await read_json(request, _retrieve)
        projection = decode_projection(body.with_payload, body.with_vector, body.with_vectors)
        records = await self._shards.retrieve(
            name,
            shard_id,
            decode_ids(body.ids),
            projection,
            expected=_expected(body.hash_ring_filter),
            timeout_ms=timeout_ms,
            access=access_of(request),
        )
        return self._encode(name, records, projection)

    async def scroll(self, request: web.Request) -> ScrollResult:
        name, shard_id, timeout_ms = _target(request)
        body = await read_json(request, _scroll)
        wanted, expected = scroll_request(body), _expected(body.hash_ring_filter)
        page = await self._shards.scroll(
            name, shard_id, wanted, expected=expected, timeout_ms=timeout_ms, access=access_of(request)
        )
        return ScrollResult(self._encode(name, page.records, wanted.projection), page.next_offset)

    async def count(self, request: web.Request) -> CountResult:
        name, shard_id, timeout_ms = _target(request)
        body = await read_json(request, _count)
        found = await self._shards.count(
            name,
            shard_id,
            decode_optional_filter(body.filter),
            exact=body.exact,
            expected=_expected(body.hash_ring_filter),
            timeout_ms=timeout_ms,
            access=access_of(request),
        )
        return CountResult(found)

    async def clean(self, request: web.Request) -> web.StreamResponse:
        started_s = time.perf_counter()
        name, shard_id, timeout_ms = _target(request)
        wait = flag(request, "wait")
        result = await self._shards.clean(name, shard_id, wait=wait, timeout_ms=timeout_ms)
        return success(result, started_s) if wait else accepted(started_s)

    def _encode(self, name: str, records: list[Record], projection: Projection) -> list[RecordBody]:
        return encode_records(records, bare=self._shards.bare(name, projection))


def _target(request: web.Request) -> tuple[str, int, int | None]:
    shard_id = unsigned(request, "shard_id", bits=32)
    return collection_name(request), shard_id, operation_timeout_ms(request)


def _expected(hash_ring_filter: HashRingFilterBody | None) -> int | None:
    return None if hash_ring_filter is None else hash_ring_filter.expected_shard_id
