"""Grouping the hits of a query by asking for more of them until the groups are whole.

Lives here: how many requests are made, and with which limits. May not live here: what belongs together
(``collector``), how a query is answered.

First the ranking is walked until there are as many groups as wanted: each request leaves out the points seen
and the groups that are full, so it goes on where the last one ended. Then the groups that lack hits are asked
about alone. What prefetches found is looked at deeper and deeper instead. All that is read of a candidate is
the key; what the client wants to see is fetched at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec.structs import replace

from protos.diversity import CANDIDATES_MAX
from protos.errors import MalformedBody, NotFound
from protos.ids import PointId, parse_point_id
from protos.shard import PayloadSelector, Projection, Record
from router.groups.collector import Collector, Group, GroupId, Hit
from router.groups.requests import GroupQuery, Lookup
from router.queries.operations import SearchOperations
from router.queries.requests import WINDOW_MAX, DiverseNearest, Prefetch, Query, QueryRequest, ReadOptions

COLLECTING_MAX: Final = 5  # requests for more groups
FILLING_MAX: Final = 5  # requests for more hits; the last asks about each group by itself
_DEEPENING: Final = 2
_NOTHING: Final = Projection()


async def query_groups(
    searches: SearchOperations, collection: str, query: GroupQuery, options: ReadOptions
) -> list[Group]:
    """The groups with the best hits. Raises: as ``SearchOperations.query``; NotFound: no such lookup."""
    options = await searches.admit_groups(
        collection, query.query, options, key=query.key, hits=query.limit * query.size
    )
    (embedded,) = await searches.bounded(searches.embedded([query.query]), options, "Inference")
    query = replace(query, query=embedded)
    return await searches.bounded(
        _Grouping(searches, collection, query, options).run(), options, "Query groups"
    )


class _Grouping:
    def __init__(
        self, searches: SearchOperations, collection: str, query: GroupQuery, options: ReadOptions
    ) -> None:
        self._searches, self._collection, self._query, self._options = searches, collection, query, options
        self._window = min(query.limit * query.size, WINDOW_MAX)
        only_key = Projection(payload=PayloadSelector(include=(query.key,)))
        self._base = replace(
            query.query,
            query=_of_so_many(query.query.query, self._window),
            limit=self._window,
            offset=0,
            projection=only_key,
            prefetch=_widened(query.query.prefetch, query.size),
        )
        self._collector = Collector(
            query.key,
            limit=query.limit,
            size=query.size,
            ascending=searches.ascending(collection, query.query),
        )

    async def run(self) -> list[Group]:
        if self._query.lookup is not None:
            await self._look_up(self._query.lookup, [])  # an unknown collection is told before the work
        if self._base.prefetch or isinstance(self._base.query, DiverseNearest):
            await self._deepen()
        elif not await self._collect():
            await self._fill()
        groups = await self._completed(self._collector.best())
        return groups if self._query.lookup is None else await self._with_lookups(groups, self._query.lookup)

    # --- finding -------------------------------------------------------------------------------------------

    async def _deepen(self) -> None:
        """Ask for ever more of the same candidates: without some, others would have other scores."""
        request = self._base
        for _ in range(COLLECTING_MAX + FILLING_MAX):
            if await self._ask(request):
                return
            if self._collector.enough and not self._collector.missing():
                return
            request = replace(request, limit=min(request.limit * _DEEPENING, WINDOW_MAX))

    async def _collect(self) -> bool:
        """Whether the ranking was walked to its end, so that no group can be filled further."""
        request = self._base
        for _ in range(COLLECTING_MAX):
            if await self._ask(request):
                return True
            if self._collector.enough:
                return False
            request = replace(self._base, filter=self._collector.others(self._base.filter))
        return False

    async def _fill(self) -> None:
        for _ in range(FILLING_MAX - 1):
            missing = self._collector.missing()
            if not missing:
                return
            # So many that unless these are all there are, at least one group becomes full.
            limit = min(len(missing) * self._query.size, WINDOW_MAX)
            if await self._ask(self._members(missing, limit)):
                return
        missing = self._collector.missing()
        if not missing:
            return
        requests = [self._members([value], lacking) for value, lacking in missing.items()]
        for hits in await self._searches.query(self._collection, requests, self._options):
            self._collector.add(hits)

    def _members(self, groups: Iterable[GroupId], limit: int) -> QueryRequest:
        return replace(self._base, limit=limit, filter=self._collector.members(self._base.filter, groups))

    async def _ask(self, request: QueryRequest) -> bool:
        """Whether there are no more hits than those just found."""
        (hits,) = await self._searches.query(self._collection, [request], self._options)
        self._collector.add(hits)
        return len(hits.records) < request.limit

    # --- completing ----------------------------------------------------------------------------------------

    async def _completed(self, groups: Sequence[Group]) -> list[Group]:
        """With what the client wants to see of each point; one deleted meanwhile drops out."""
        projection = self._query.query.projection
        ids = list(dict.fromkeys(hit.record.id for group in groups for hit in group.hits))
        if projection == _NOTHING:
            fetched = {hit.record.id: replace(hit.record, payload=None) for g in groups for hit in g.hits}
        else:
            records = await self._retrieve(self._collection, ids, projection)
            fetched = {record.id: record for record in records}
        complete = (
            Group(
                group.id,
                [
                    Hit(hit.score, _shown(hit.record, fetched[hit.record.id]))
                    for hit in group.hits
                    if hit.record.id in fetched
                ],
            )
            for group in groups
        )
        return [group for group in complete if group.hits]

    async def _retrieve(self, collection: str, ids: list[PointId], projection: Projection) -> list[Record]:
        keys = self._base.shard_keys if collection == self._collection else None
        return await self._searches.retrieve(collection, ids, projection, self._options, keys)

    async def _with_lookups(self, groups: list[Group], lookup: Lookup) -> list[Group]:
        ids = {group.id: _point_id(group.id) for group in groups}
        wanted = list(dict.fromkeys(point_id for point_id in ids.values() if point_id is not None))
        found = {record.id: record for record in await self._look_up(lookup, wanted)}
        return [
            replace(group, lookup=found.get(point_id)) if (point_id := ids[group.id]) is not None else group
            for group in groups
        ]

    async def _look_up(self, lookup: Lookup, ids: list[PointId]) -> list[Record]:
        try:
            return await self._searches.retrieve(lookup.collection, ids, lookup.projection, self._options)
        except NotFound as error:
            raise NotFound(f"Collection {lookup.collection} not found") from error


def _widened(prefetches: tuple[Prefetch, ...], size: int) -> tuple[Prefetch, ...]:
    """With ``size`` times their limits (reference 9.13)."""
    return tuple(
        replace(each, limit=min(each.limit * size, WINDOW_MAX), prefetch=_widened(each.prefetch, size))
        for each in prefetches
    )


def _of_so_many(query: Query | None, candidates: int) -> Query | None:
    """A choice of diverse points says among how many, so that it is the same however many are asked."""
    if isinstance(query, DiverseNearest) and query.candidates is None:
        return replace(query, candidates=min(candidates, CANDIDATES_MAX))
    return query


def _shown(found: Record, fetched: Record) -> Record:
    """What stands in the ranking stays: an order value, and the version that goes with the score."""
    return replace(fetched, version=found.version, order_value=found.order_value)


def _point_id(group: GroupId) -> PointId | None:
    """The id of the point that a group's id names; None if it can name none."""
    try:
        return parse_point_id(group)
    except MalformedBody:
        return None
