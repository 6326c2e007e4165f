"""Read operations apart from any protocol."""

from __future__ import annotations

import asyncio

import pytest

from protos.collections import CreateCollection, Distance, VectorParams
from protos.errors import Timeout
from protos.shard import ScrollRequest
from router.collections import CollectionOperations
from router.search import WINDOW_MAX, NearestVector, QueryRequest, ReadOptions, SearchOperations
from tests.router.fakes import FakeLog, FakeNode, FakeShard


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
async def searches(node: FakeNode) -> SearchOperations:
    collections = CollectionOperations(FakeLog(), node)
    await collections.create("c", CreateCollection(vectors={"": VectorParams(2, Distance.DOT)}))
    return SearchOperations(collections, node)


class _StuckShard(FakeShard):
    async def count(self, filter: object, *, exact: bool) -> int:
        return await asyncio.Future()


async def test_a_read_that_takes_too_long_times_out(node: FakeNode, searches: SearchOperations) -> None:
    (key, shard), *_ = node.shards.items()
    node.shards[key] = _StuckShard(shard.config)
    with pytest.raises(Timeout, match=r"Timeout error: Operation 'Count' timed out after 0.001s"):
        await searches.count("c", None, ReadOptions(timeout_ms=1), exact=True)


async def test_searches_of_one_call_share_a_trip(node: FakeNode, searches: SearchOperations) -> None:
    request = QueryRequest(query=NearestVector([1.0, 0.0]))
    trips: list[int] = []
    shard = next(iter(node.shards.values()))
    inner = shard.search

    async def counted(requests: list) -> list:  # type: ignore[type-arg]
        trips.append(len(requests))
        return await inner(requests)

    shard.search = counted  # type: ignore[method-assign]
    await searches.query("c", [request] * 5, ReadOptions())
    assert trips == [5]


async def test_windows_beyond_any_answer_are_cut(node: FakeNode, searches: SearchOperations) -> None:
    request = QueryRequest(query=NearestVector([1.0, 0.0]), limit=2**64, offset=5)
    await searches.query("c", [request], ReadOptions())
    assert next(iter(node.shards.values())).searches[0].limit == WINDOW_MAX
    page = await searches.scroll("c", ScrollRequest(limit=2**64), ReadOptions())
    assert page.records == []
