"""Groups of points (reference 9.13)."""

from __future__ import annotations

from typing import Any

from protos.qdrant import legacy_pb2
from protos.qdrant import queries_pb2 as wire
from router.auth.needs import Need
from router.groups import GroupQuery
from router.groups import query_groups as ask
from router.grpc.convert.groups import add_group, query_groups, recommend_groups, search_groups
from router.grpc.convert.options import read_options, target
from router.grpc.methods import Call, Methods, Served
from router.grpc.queries import note
from router.queries.operations import SearchOperations


def group_handlers(searches: SearchOperations) -> Methods:
    handlers = _GroupHandlers(searches)
    return {
        "QueryGroups": Served(Need.READ_COLLECTION, handlers.query),
        "SearchGroups": Served(Need.READ_COLLECTION, handlers.search),
        "RecommendGroups": Served(Need.READ_COLLECTION, handlers.recommend),
    }


class _GroupHandlers:
    def __init__(self, searches: SearchOperations) -> None:
        self._searches = searches

    async def query(self, request: wire.QueryPointGroups, call: Call) -> wire.QueryGroupsResponse:
        answer = wire.QueryGroupsResponse()
        await self._run(request, call, query_groups(request), answer.result)
        return answer

    async def search(
        self, request: legacy_pb2.SearchPointGroups, call: Call
    ) -> legacy_pb2.SearchGroupsResponse:
        answer = legacy_pb2.SearchGroupsResponse()
        await self._run(request, call, search_groups(request), answer.result)
        return answer

    async def recommend(
        self, request: legacy_pb2.RecommendPointGroups, call: Call
    ) -> legacy_pb2.RecommendGroupsResponse:
        answer = legacy_pb2.RecommendGroupsResponse()
        await self._run(request, call, recommend_groups(request), answer.result)
        return answer

    async def _run(self, request: Any, call: Call, query: GroupQuery, result: wire.GroupsResult) -> None:
        name, options = target(request), read_options(request, call)
        note(call, query.query.projection)
        groups = await ask(self._searches, name, query, options)
        bare = self._searches.bare(name, query.query.projection)
        lookup = query.lookup
        lookup_bare = lookup is not None and self._searches.bare(lookup.collection, lookup.projection)
        result.SetInParent()
        for group in groups:
            add_group(result.groups, group, bare=bare, lookup_bare=lookup_bare)
