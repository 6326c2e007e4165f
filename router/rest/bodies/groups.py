"""Bodies of grouped queries (reference 9.13)."""

from __future__ import annotations

from typing import Protocol

import msgspec

from protos.shard import Projection
from router.checks import at_least, at_least_one
from router.groups import GroupQuery, Lookup
from router.groups.requests import LIMIT_DEFAULT, SIZE_DEFAULT
from router.queries.requests import QueryRequest
from router.rest.bodies.queries import query_request, search_request
from router.rest.bodies.reading import decode
from router.rest.bodies.schemas import QueryGroupsBody, SearchGroupsBody, WithLookupBody
from router.rest.bodies.selectors import check_path, decode_projection


class Grouped(Protocol):
    """Bodies that older clients send for groups."""

    group_by: str
    group_size: int
    with_lookup: str | WithLookupBody | None


_query = msgspec.json.Decoder(QueryGroupsBody)
_search = msgspec.json.Decoder(SearchGroupsBody)


def decode_query_groups(body: bytes) -> GroupQuery:
    found = decode(body, _query)
    return GroupQuery(
        query_request(found, "internal"),
        key=check_path(found.group_by),
        limit=at_least(1, found.limit, LIMIT_DEFAULT, "limit"),
        size=at_least(1, found.group_size, SIZE_DEFAULT, "group_size"),
        lookup=decode_lookup(found.with_lookup),
    )


def decode_search_groups(body: bytes) -> GroupQuery:
    found = decode(body, _search)
    return legacy_groups(search_request(found, ""), found)


def legacy_groups(query: QueryRequest, found: Grouped) -> GroupQuery:
    """``query``, grouped as ``found`` says. Raises: InvalidField, BadInput."""
    return GroupQuery(
        query,
        key=check_path(found.group_by),
        limit=query.limit,
        size=at_least_one(found.group_size, "group_size"),
        lookup=decode_lookup(found.with_lookup),
    )


def decode_lookup(value: str | WithLookupBody | None) -> Lookup | None:
    if value is None:
        return None
    if isinstance(value, str):
        return Lookup(value, Projection(payload=True))
    projection = decode_projection(value.with_payload, None, value.with_vectors, payload_default=True)
    return Lookup(value.collection, projection)
