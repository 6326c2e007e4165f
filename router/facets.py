"""Facets over several shards (reference 9.3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from protos.facets import FacetHit, FacetRequest, FacetValue, can_count, no_facet_index, ordered_facets
from protos.filters import Filter
from router.scope import Scope, gather
from router.shards import ShardSelector

# Values that several shards are asked for when the counts may be approximate: a value that is among the
# largest in all, but in no shard, is missed or counted short.
_OVERSAMPLING: Final = 4
_VALUES_MIN: Final = 128


class FacetQuery(Struct, frozen=True):
    """``exact``: every shard tells all its values, so that the counts and the choice are right."""

    key: str
    limit: int = 10
    filter: Filter | None = None
    exact: bool = False
    shard_keys: ShardSelector | None = None


async def facet(scope: Scope, query: FacetQuery) -> list[FacetHit]:
    """Raises: BadInput if no payload index tells the values of the key apart."""
    index = scope.state.payload_schema.get(query.key)
    if index is None or not can_count(index.effective):
        raise no_facet_index(query.key)
    shards = scope.shards(query.shard_keys)
    limit = values_asked(query, alone=len(shards) == 1 and scope.plain)
    request = FacetRequest(query.key, limit, query.filter)
    return merge_facets(await gather([shard.facet(request) for shard in shards]), query.limit)


def values_asked(query: FacetQuery, *, alone: bool) -> int | None:
    """How many values each replica tells; None: all. ``alone``: the answer is one replica's."""
    if alone:
        return query.limit
    return None if query.exact else max(query.limit * _OVERSAMPLING, _VALUES_MIN)


def merge_facets(parts: Sequence[Iterable[FacetHit]], limit: int) -> list[FacetHit]:
    """The sums over all parts, the ``limit`` largest first."""
    counts: Counter[FacetValue] = Counter()
    for part in parts:
        for hit in part:
            counts[hit.value] += hit.count
    return ordered_facets(counts, limit)
