"""Searches that one shard answers alone, against the way that takes any query."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from protos.collections import CreateCollection, Distance, MultiVectorConfig, SparseVectorParams, VectorParams
from protos.collections.strict_mode import StrictModeConfig
from protos.errors import Forbidden, RateLimited, ShardUnavailable, Timeout
from protos.filters import Filter, HasId
from protos.idf import Weighing
from protos.shard import Hits, Position, Projection, Record, SearchParams, SearchRequest
from router.auth.access import Access, CollectionAccess, Level, Match
from router.collections import CollectionOperations
from router.queries.direct import direct_searches, search_directly
from router.queries.nearest import nearest
from router.queries.operations import SearchOperations
from router.queries.requests import NearestPoint, NearestVector, Prefetch, QueryRequest, ReadOptions
from router.replicas.consistency import Consistency
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


# --- at once -----------------------------------------------------------------------------------------------


class _Served:
    """A collection of one shard, on a node that answers at once what it is told to."""

    def __init__(self, hits: Hits | asyncio.Future[Hits] | None) -> None:
        self.node = FakeNode()
        self.node.answers_soon = hits
        self.collections = CollectionOperations(FakeLog(), self.node)
        self.searches = SearchOperations(self.collections, self.node)

    async def query(self, *requests: QueryRequest, **options: Any) -> list[Hits]:
        return await self.searches.query("c", list(requests), ReadOptions(**options))

    async def create(self, **config: Any) -> _Served:
        vectors = {"": VectorParams(2, Distance.DOT)}
        await self.collections.create("c", CreateCollection(vectors=vectors, **config))
        return self


def _hits(*ids: int) -> Hits:
    return Hits([Record(each, 1) for each in ids], np.arange(len(ids), dtype=np.float32))


async def test_what_the_node_finds_at_once_is_the_answer() -> None:
    served = await _Served(_hits(1, 2, 3, 4)).create()
    (found,) = await served.query(replace(_plain, limit=2, offset=1))
    assert [record.id for record in found.records] == [2, 3]
    assert found.scores.tolist() == [1.0, 2.0]
    ((collection, shard_id, search),) = served.node.asked_soon
    assert (collection, shard_id, search.limit) == ("c", 0, 3)


async def test_who_asks_for_more_than_one_nodes_word_or_bounds_it_is_not_answered_at_once() -> None:
    served = await _Served(_hits(1)).create()
    tenant = CollectionAccess(Level.READ, (Match("group", "a"),))
    uuid = served.collections.resolve("c").uuid
    for options in (
        {"consistency": Consistency.ALL},
        {"at_least": {(uuid, 0): Position(1, 0)}},
        {"access": Access(None, {"c": tenant})},
    ):
        (found,) = await served.query(_plain, **options)
        assert found.records == []
    assert [hits.records for hits in await served.query(_plain, _plain)] == [[], []]
    assert served.node.asked_soon == []


async def test_what_the_node_will_find_is_the_answer_if_it_comes_in_time() -> None:
    future = asyncio.get_running_loop().create_future()
    served = await _Served(future).create()
    query = asyncio.create_task(served.query(replace(_plain, limit=1, offset=1)))
    await asyncio.sleep(0)
    future.set_result(_hits(1, 2, 3))
    assert [record.id for record in (await query)[0].records] == [2]


async def test_what_the_node_does_not_find_in_time_is_not_waited_for() -> None:
    future = asyncio.get_running_loop().create_future()
    served = await _Served(future).create()
    with pytest.raises(Timeout, match="Query"):
        await served.query(_plain, timeout_ms=1)
    assert future.cancelled()


async def test_a_replica_that_closes_meanwhile_leaves_the_query_to_the_next() -> None:
    future = asyncio.get_running_loop().create_future()
    future.set_exception(ShardUnavailable("the shard is being closed"))
    served = await _Served(future).create()
    (found,) = await served.query(_plain)
    assert found.records == []  # of the shard, which has no points


async def test_a_query_that_has_to_wait_after_all_counts_once() -> None:
    limits = StrictModeConfig(enabled=True, read_rate_limit=1)
    served = await _Served(None).create(strict_mode_config=limits)
    await served.query(_plain)
    assert len(served.node.asked_soon) == 1
    with pytest.raises(RateLimited):
        await served.query(_plain)


async def test_who_may_not_read_is_told_so_before_anything_is_found() -> None:
    served = await _Served(_hits(1)).create()
    with pytest.raises(Forbidden):
        await served.query(_plain, access=Access(None))
    assert served.node.asked_soon == []
