"""How many points have each value of a payload key (reference 9.3): what is asked of a shard, what it tells.

Also which payload indexes can tell, and the error where none can.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from msgspec import Struct

from protos.collections import IntegerIndexParams, PayloadIndexParams, PayloadSchemaType
from protos.errors import BadInput
from protos.filters import Filter

FacetValue = str | int | bool

_COUNTED = (
    PayloadSchemaType.KEYWORD,
    PayloadSchemaType.INTEGER,
    PayloadSchemaType.UUID,
    PayloadSchemaType.BOOL,
)


class FacetRequest(Struct, frozen=True):
    """Of the points that match ``filter``; ``limit`` None: every value."""

    key: str
    limit: int | None
    filter: Filter | None = None


class FacetHit(Struct, frozen=True):
    """``count`` points have ``value``; one that has it several times counts once."""

    value: FacetValue
    count: int


def can_count(params: PayloadIndexParams) -> bool:
    """Does an index with these parameters tell values apart as clients see them?"""
    if isinstance(params, IntegerIndexParams) and params.lookup is False:
        return False
    return params.data_type in _COUNTED


def no_facet_index(key: str) -> BadInput:
    return BadInput(
        f"No appropriate index for faceting: `{key}`. Please create one to facet on this field. Check "
        "https://qdrant.tech/documentation/concepts/indexing/#payload-index to see which payload schemas "
        "support Match conditions"
    )


def ordered_facets(counts: Mapping[FacetValue, int], limit: int | None = None) -> list[FacetHit]:
    """The ``limit`` largest of ``counts`` by value, in the order clients see; none that are 0."""
    # Values are of one type, that of their index, unless it is just being replaced.
    counted = [(-count, type(value).__name__, value) for value, count in counts.items() if count]
    counted = sorted(counted) if limit is None else heapq.nsmallest(limit, counted)
    return [FacetHit(value, -negated) for negated, _, value in counted]
