"""Searches that one shard answers alone, against the way that takes any query."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from protos.collections import CreateCollection, Distance, MultiVectorConfig, SparseVectorParams, VectorParams
from protos.filters import Filter, HasId
from protos.idf import Weighing
from protos.shard import Hits, Projection, SearchParams, SearchRequest
from router.collections import CollectionOperations
from router.queries.direct import direct_searches, search_directly
from router.queries.nearest import nearest
from router.queries.requests import NearestPoint, NearestVector, Prefetch, QueryRequest
from router.replicas.readers import ShardReaders
from router.scope import Scope
from router.vectors import SparseValues, params_of, query_vector
from tests.router.fakes import FakeLog, FakeNode


async def _scope(**config: Any) -> Scope:
    node = FakeNode()
    collections = CollectionOperations(FakeLog(), node)
    vectors = {
        "": VectorParams(2, Distance.DOT),
        "many": VectorParams(2, Distance.COSINE, multivector_config=MultiVectorConfig("max_sim")),
    }
    await collections.create(
        "c", CreateCollection(vectors=vectors, sparse_vectors={"sparse": SparseVectorParams()}, **config)
    )
    return Scope(collections.resolve("c"), ShardReaders(collections.watch, node))


_requests = st.builds(
    QueryRequest,
    query=st.builds(NearestVector, st.lists(st.floats(-9, 9, width=32), min_size=2, max_size=2)),
    using=st.sampled_from(["", "many"]),
    limit=st.integers(1, 5),
    offset=st.integers(0, 3),
    filter=st.none() | st.just(Filter(must=(HasId((1,)),))),
    params=st.builds(SearchParams, hnsw_ef=st.none() | st.integers(1, 9), exact=st.booleans()),
    score_threshold=st.none() | st.floats(-1, 1),
    projection=st.builds(Projection, payload=st.booleans(), vectors=st.booleans()),
)


@given(st.lists(_requests, min_size=1, max_size=3))
async def test_the_shard_is_asked_the_same_and_the_answer_is_the_same(requests: list[QueryRequest]) -> None:
    scope = await _scope()
    searches = direct_searches(scope.state, requests)
    assert searches is not None
    asked: list[SearchRequest] = []
    found = await search_directly(scope, requests, searches)
    params = scope.state.config.params
    vectors = [[query_vector(each.query.vector, params_of(params, each.using))] for each in requests]  # type: ignore[union-attr,arg-type]
    (shard,) = scope.shards(None)
    inner = shard.search

    async def recorded(given: list[SearchRequest]) -> list[Hits]:
        asked.extend(given)
        return await inner(given)

    shard.search = recorded  # type: ignore[method-assign]
    expected = await nearest(scope, requests, vectors)
    assert list(map(_comparable, searches)) == list(map(_comparable, asked))
    assert [hits.records for hits in found] == [hits.records for hits in expected]


def _comparable(search: SearchRequest) -> Any:
    assert isinstance(search.vector, np.ndarray)
    return replace(search, vector=None), search.vector.tolist()


_plain = QueryRequest(query=NearestVector([1.0, 2.0]))


@pytest.mark.parametrize(
    "request_",
    [
        replace(_plain, query=None),
        replace(_plain, query=NearestPoint(1)),
        replace(_plain, prefetch=(Prefetch(),)),
        replace(_plain, shard_keys=("a",)),
        replace(_plain, using="sparse", query=NearestVector(SparseValues([1], [1.0]))),
        replace(_plain, using="unknown"),
        replace(_plain, params=SearchParams(idf=Weighing())),
        replace(_plain, projection=Projection(vectors=("unknown",))),
    ],
)
async def test_what_takes_more_is_declined_together_with_what_it_came_with(request_: QueryRequest) -> None:
    scope = await _scope()
    assert direct_searches(scope.state, [_plain, request_]) is None


async def test_several_shards_are_declined() -> None:
    scope = await _scope(shard_number=2)
    assert direct_searches(scope.state, [_plain]) is None
