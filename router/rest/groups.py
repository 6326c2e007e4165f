"""Endpoints that answer with groups of points (reference 9.12, 9.13)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from aiohttp import web
from msgspec import UNSET, UnsetType

from protos.shard import Hits, Record
from router.groups import Group, GroupQuery, query_groups
from router.queries.operations import SearchOperations
from router.rest.bodies import schemas
from router.rest.bodies.groups import decode_query_groups, decode_search_groups
from router.rest.bodies.legacy import RecommendGroupsBody, decode_recommend_groups
from router.rest.bodies.reading import read_body
from router.rest.bodies.schemas import GroupBody, GroupsResult, RecordBody
from router.rest.encode import encode_hits, encode_records
from router.rest.envelope import Operation
from router.rest.params import collection_name, read_options
from router.rest.query import search_route
from router.rest.routes import Route


def group_routes(searches: SearchOperations) -> list[Route]:
    def answering(decode: Callable[[bytes], GroupQuery]) -> Operation:
        return _GroupHandler(searches, decode).answer

    return [
        search_route(
            "/points/query/groups",
            "Query points, grouped",
            schemas.QueryGroupsBody,
            GroupsResult,
            answering(decode_query_groups),
        ),
        search_route(
            "/points/search/groups",
            "Search points, grouped (legacy)",
            schemas.SearchGroupsBody,
            GroupsResult,
            answering(decode_search_groups),
        ),
        search_route(
            "/points/recommend/groups",
            "Recommend points, grouped (legacy)",
            RecommendGroupsBody,
            GroupsResult,
            answering(decode_recommend_groups),
        ),
    ]


class _GroupHandler:
    def __init__(self, searches: SearchOperations, decode: Callable[[bytes], GroupQuery]) -> None:
        self._searches, self._decode = searches, decode

    async def answer(self, request: web.Request) -> GroupsResult:
        name, options = collection_name(request), read_options(request)
        query = self._decode(await read_body(request))
        groups = await query_groups(self._searches, name, query, options)
        bare = self._searches.bare(name, query.query.projection)
        return GroupsResult([self._encode(group, query, bare=bare) for group in groups])

    def _encode(self, group: Group, query: GroupQuery, *, bare: bool) -> GroupBody:
        scores = np.array([hit.score for hit in group.hits], dtype=np.float32)
        hits = Hits([hit.record for hit in group.hits], scores)
        return GroupBody(group.id, encode_hits(hits, bare=bare), self._lookup(group.lookup, query))

    def _lookup(self, found: Record | None, query: GroupQuery) -> RecordBody | UnsetType:
        if found is None or query.lookup is None:
            return UNSET
        bare = self._searches.bare(query.lookup.collection, query.lookup.projection)
        return encode_records([found], bare=bare)[0]
