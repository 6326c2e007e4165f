"""Grouped queries and their answers (reference 9.13)."""

from __future__ import annotations

from typing import Any

import numpy as np

from protos.qdrant import legacy_pb2
from protos.qdrant import queries_pb2 as wire
from protos.shard import Hits
from router.checks import at_least, at_least_one
from router.groups import Group, GroupQuery, Lookup
from router.groups.requests import LIMIT_DEFAULT, SIZE_DEFAULT
from router.grpc.convert.answers import add_scored, fill_retrieved
from router.grpc.convert.points import json_path
from router.grpc.convert.queries import given, projection_in, query_request, recommend_request, search_request
from router.queries.requests import QueryRequest


def query_groups(message: wire.QueryPointGroups) -> GroupQuery:
    """Raises: as ``query_request``."""
    return GroupQuery(
        query_request(message),
        key=json_path(message.group_by),
        limit=at_least(1, given(message, "limit"), LIMIT_DEFAULT, "limit"),
        size=at_least(1, given(message, "group_size"), SIZE_DEFAULT, "group_size"),
        lookup=lookup_in(message),
    )


def search_groups(message: legacy_pb2.SearchPointGroups) -> GroupQuery:
    """Raises: as ``query_request``."""
    return _legacy_groups(message, search_request(message))


def recommend_groups(message: legacy_pb2.RecommendPointGroups) -> GroupQuery:
    """Raises: as ``query_request``."""
    return _legacy_groups(message, recommend_request(message))


def _legacy_groups(message: Any, query: QueryRequest) -> GroupQuery:
    return GroupQuery(
        query,
        key=json_path(message.group_by),
        limit=query.limit,
        size=at_least_one(message.group_size, "group_size"),
        lookup=lookup_in(message),
    )


def lookup_in(message: Any) -> Lookup | None:
    if not message.HasField("with_lookup"):
        return None
    lookup = message.with_lookup
    return Lookup(lookup.collection, projection_in(lookup, payload_default=True))


def add_group(target: Any, group: Group, *, bare: bool, lookup_bare: bool) -> None:
    """To a repeated ``PointGroup``; ``bare`` as of ``add_scored``."""
    message = target.add()
    if isinstance(group.id, str):
        message.id.string_value = group.id
    elif group.id < 0:
        message.id.integer_value = group.id
    else:
        message.id.unsigned_value = group.id
    scores = np.array([hit.score for hit in group.hits], dtype=np.float32)
    add_scored(message.hits, Hits([hit.record for hit in group.hits], scores), bare=bare)
    if group.lookup is not None:
        fill_retrieved(message.lookup, group.lookup, bare=lookup_bare)
