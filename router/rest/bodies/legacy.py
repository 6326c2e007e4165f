"""Bodies of the recommend and discover endpoints that clients before 1.16 use (reference 9.12)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from protos.collections import UNNAMED
from router.checks import check_legacy_discover, check_legacy_recommend
from router.groups import GroupQuery
from router.queries.requests import ContextPairs, Discover, Query, QueryRequest, Recommend, Strategy
from router.rest.bodies.examples import PairBody, decode_examples, decode_pairs, decode_target
from router.rest.bodies.groups import legacy_groups
from router.rest.bodies.queries import legacy_request
from router.rest.bodies.reading import decode
from router.rest.bodies.schemas import LegacyBody, LookupBody, Natural, WithLookupBody


class UsingName(Struct):
    name: str


class ByExamplesBody(LegacyBody, kw_only=True):
    using: str | UsingName | None = None
    lookup_from: LookupBody | None = None


class RecommendBody(ByExamplesBody, kw_only=True):
    positive: list[Any] | None = None
    negative: list[Any] | None = None
    strategy: Strategy | None = None


class RecommendGroupsBody(RecommendBody, kw_only=True):
    group_by: str
    group_size: Natural
    with_lookup: str | WithLookupBody | None = None


class RecommendBatchBody(Struct):
    searches: list[RecommendBody]


class DiscoverBody(ByExamplesBody, kw_only=True):
    target: Any = None
    context: list[PairBody] | None = None


class DiscoverBatchBody(Struct):
    searches: list[DiscoverBody]


_recommend = msgspec.json.Decoder(RecommendBody)
_recommend_batch = msgspec.json.Decoder(RecommendBatchBody)
_recommend_groups = msgspec.json.Decoder(RecommendGroupsBody)
_discover = msgspec.json.Decoder(DiscoverBody)
_discover_batch = msgspec.json.Decoder(DiscoverBatchBody)


def decode_recommend(body: bytes) -> QueryRequest:
    return _recommend_request(decode(body, _recommend), "")


def decode_recommend_batch(body: bytes) -> list[QueryRequest]:
    searches = decode(body, _recommend_batch).searches
    return [_recommend_request(search, f"searches[{place}].") for place, search in enumerate(searches)]


def decode_recommend_groups(body: bytes) -> GroupQuery:
    found = decode(body, _recommend_groups)
    return legacy_groups(_recommend_request(found, ""), found)


def decode_discover(body: bytes) -> QueryRequest:
    return _discover_request(decode(body, _discover), "")


def decode_discover_batch(body: bytes) -> list[QueryRequest]:
    searches = decode(body, _discover_batch).searches
    return [_discover_request(search, f"searches[{place}].") for place, search in enumerate(searches)]


def _recommend_request(body: RecommendBody, path: str) -> QueryRequest:
    query = Recommend(
        decode_examples(body.positive, body.lookup_from, f"{path}positive"),
        decode_examples(body.negative, body.lookup_from, f"{path}negative"),
        body.strategy or Strategy.AVERAGE_VECTOR,
    )
    check_legacy_recommend(query)
    return _request(body, query, path)


def _discover_request(body: DiscoverBody, path: str) -> QueryRequest:
    check_legacy_discover(target=body.target is not None, context=bool(body.context))
    pairs = decode_pairs(body.context, body.lookup_from, f"{path}context")
    if body.target is None:
        return _request(body, ContextPairs(pairs), path)
    return _request(body, Discover(decode_target(body.target, body.lookup_from, path), pairs), path)


def _request(body: ByExamplesBody, query: Query, path: str) -> QueryRequest:
    using = body.using.name if isinstance(body.using, UsingName) else body.using
    return replace(legacy_request(body, path), query=query, using=using or UNNAMED)
