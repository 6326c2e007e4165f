"""Requests of others between the moment a collection is agreed on and the moment its shards are open."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from protos.collections import CollectionParams, decode_create
from protos.errors import NotFound, ShardUnavailable
from protos.operations import Upsert, VectorBatch
from protos.shard import ShardStatus
from router.collections import CollectionOperations, operations
from router.points import Draft, PointOperations, WriteOptions
from router.queries.operations import SearchOperations
from router.queries.requests import ReadOptions
from tests.router.collections.test_operations import DENSE, Node
from tests.router.fakes import FakeLog


class Sides:
    """One client that creates and deletes, and others that read and write."""

    def __init__(self) -> None:
        self.node = Node()
        self.collections = CollectionOperations(FakeLog(), self.node)
        self.points = PointOperations(self.collections, self.node)
        self.searches = SearchOperations(self.collections, self.node)

    async def being_created(self) -> asyncio.Task[bool]:
        """A creation that has been agreed on, its shards not yet open."""
        self.node.gate.clear()
        self.node.entered.clear()
        creation = asyncio.create_task(self.collections.create("c", decode_create(DENSE)))
        await self.node.entered.wait()
        assert self.collections.exists("c")
        return creation

    def write(self) -> asyncio.Task[Any]:
        return asyncio.create_task(self.points.apply("c", Draft(_upsert), WriteOptions(wait=True)))

    def count(self) -> asyncio.Task[int]:
        return asyncio.create_task(self.searches.count("c", None, ReadOptions(), exact=True))


def _upsert(_vectors: CollectionParams) -> Upsert:
    return Upsert([1], (VectorBatch("", 2, bytes(8)),), [b"{}"])


async def _all_wait() -> None:
    """Run every task until all wait for something that only a test can bring about."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def sides() -> Sides:
    return Sides()


async def test_requests_wait_until_the_shards_are_open(sides: Sides) -> None:
    creation = await sides.being_created()
    count, write, info = sides.count(), sides.write(), asyncio.create_task(sides.collections.info("c"))
    await _all_wait()
    assert not count.done()
    assert not write.done()
    assert not info.done()
    sides.node.gate.set()
    await asyncio.gather(creation, count, write)
    assert (await info).status is ShardStatus.GREEN
    assert list(sides.node.shards["c", 0].points) == [1]


async def test_a_write_to_a_recreated_collection_never_goes_to_the_shards_of_the_old_one(
    sides: Sides,
) -> None:
    await sides.collections.create("c", decode_create(DENSE))
    old = sides.node.shards["c", 0]
    sides.node.gate.clear()
    deletion = asyncio.create_task(sides.collections.delete("c"))
    creation = asyncio.create_task(sides.collections.create("c", decode_create(DENSE)))
    await _all_wait()
    assert sides.collections.exists("c")
    assert sides.node.shards["c", 0] is old
    write = sides.write()
    await _all_wait()
    assert not write.done()
    sides.node.gate.set()
    await asyncio.gather(deletion, creation, write)
    assert old.points == {}


async def test_waiting_for_shards_is_bounded(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "OPENING_TIMEOUT_S", 0.01)
    creation = await sides.being_created()
    with pytest.raises(ShardUnavailable, match="collection `c` is still being opened"):
        await sides.count()
    assert (await sides.collections.info("c")).status is ShardStatus.RED
    sides.node.gate.set()
    await creation
    assert await sides.count() == 0


async def test_a_collection_that_is_deleted_before_its_shards_open_is_not_found(sides: Sides) -> None:
    creation = await sides.being_created()
    count = sides.count()
    deletion = asyncio.create_task(sides.collections.delete("c"))
    await _all_wait()
    assert not sides.collections.exists("c")
    sides.node.gate.set()
    with pytest.raises(NotFound, match="Collection `c` doesn't exist"):
        await count
    assert await asyncio.gather(creation, deletion) == [True, True]
