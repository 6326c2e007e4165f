"""What is asked when points are grouped."""

from __future__ import annotations

from msgspec import Struct

from protos.shard import Projection
from router.queries.requests import QueryRequest

LIMIT_DEFAULT, SIZE_DEFAULT = 10, 3


class Lookup(Struct, frozen=True):
    """Each group's id as a point's id in another collection, and what to show of that point."""

    collection: str
    projection: Projection = Projection(payload=True)


class GroupQuery(Struct, frozen=True):
    """``limit`` groups of ``size`` hits of ``query``, whose own limit and offset mean nothing."""

    query: QueryRequest
    key: str
    limit: int = LIMIT_DEFAULT
    size: int = SIZE_DEFAULT
    lookup: Lookup | None = None
