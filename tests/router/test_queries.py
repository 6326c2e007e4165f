"""Read operations apart from any protocol."""

from __future__ import annotations

import asyncio

import pytest

from protos.collections import CollectionConfig, CreateCollection, Distance, VectorParams
from protos.errors import ShardUnavailable, Timeout
from protos.shard import ScrollRequest
from router.collections import CollectionOperations
from router.queries.operations import SearchOperations
from router.queries.requests import WINDOW_MAX, NearestVector, QueryRequest, ReadOptions
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
    def __init__(self, config: CollectionConfig) -> None:
        super().__init__(config)
        self.asked, self.cancelled = asyncio.Event(), asyncio.Event()

    async def count(self, filter: object, *, exact: bool) -> int:
        self.asked.set()
        try:
            return await asyncio.Future()
        finally:
            self.cancelled.set()


async def test_a_read_that_takes_too_long_times_out(node: FakeNode, searches: SearchOperations) -> None:
    (key, shard), *_ = node.shards.items()
    node.shards[key] = _StuckShard(shard.config)
    with pytest.raises(Timeout, match=r"Timeout error: Operation 'Count' timed out after 0.001s"):
        await searches.count("c", None, ReadOptions(timeout_ms=1), exact=True)


async def test_a_read_without_a_timeout_has_that_of_the_node(node: FakeNode) -> None:
    collections = CollectionOperations(FakeLog(), node)
    await collections.create("c", CreateCollection(vectors={"": VectorParams(2, Distance.DOT)}))
    (key, shard), *_ = node.shards.items()
    node.shards[key] = _StuckShard(shard.config)
    with pytest.raises(Timeout, match=r"timed out after 0.002s"):
        await SearchOperations(collections, node, timeout_ms=2).count("c", None, ReadOptions(), exact=True)


async def test_a_failed_shard_ends_the_reads_of_the_others(node: FakeNode) -> None:
    collections = CollectionOperations(FakeLog(), node)
    vectors = {"": VectorParams(2, Distance.DOT)}
    await collections.create("d", CreateCollection(vectors=vectors, shard_number=2))
    stuck, failing = _StuckShard(node.shards["d", 0].config), node.shards["d", 1]
    node.shards["d", 0] = stuck

    async def fail(_filter: object, *, exact: bool) -> int:
        await stuck.asked.wait()
        raise ShardUnavailable("gone")

    failing.count = fail  # type: ignore[method-assign]
    with pytest.raises(ShardUnavailable):
        await SearchOperations(collections, node).count("d", None, ReadOptions(), exact=True)
    await stuck.cancelled.wait()


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
