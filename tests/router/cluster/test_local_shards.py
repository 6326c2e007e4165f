"""One node's replica of a shard by itself."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from consensus.buckets import shard_of
from consensus.commands import CreateShardKey, SetPayloadIndex
from protos.collections import PayloadSchema, PayloadSchemaType
from protos.errors import BadInput, NotFound, ShardUnavailable, Timeout
from protos.ids import id_key
from protos.operations import UpdateStatus
from protos.shard import OrderBy, Projection, ScrollRequest
from router.cluster import local_shards
from router.cluster.local_shards import LocalShardOperations
from tests.router.cluster.fakes import ClusterLog, ClusterNode
from tests.router.fakes import FakePoint, FakeShard

POINTS = 40


class World:
    """Shard 0 of a collection of two holds points of both; shard 1 is on other peers."""

    def __init__(self) -> None:
        self.log, self.node = ClusterLog(), ClusterNode()
        self.log.add_collection(shards=((2, 1), (2, 3)))
        self.shard = FakeShard(self.log.collection().config)
        self.node.shards[("c", 0)] = self.shard
        for number in range(POINTS):
            vectors = {"": np.array([number, 0], dtype=np.float32)}
            self.shard.points[number] = FakePoint(0, {"n": POINTS - number}, vectors)
        self.own = [n for n in range(POINTS) if shard_of(self.log.collection(), id_key(n)) == 0]
        self.operations = LocalShardOperations(self.log, self.node)


@pytest.fixture
async def world() -> World:
    world = World()
    assert 0 < len(world.own) < POINTS
    return world


IDS_ONLY = Projection()


async def test_a_replica_shows_all_it_holds(world: World) -> None:
    records = await world.operations.retrieve("c", 0, list(range(50)), IDS_ONLY)
    assert [record.id for record in records] == list(range(POINTS))
    page = await world.operations.scroll("c", 0, ScrollRequest(3))
    assert ([record.id for record in page.records], page.next_offset) == ([0, 1, 2], 3)
    assert await world.operations.count("c", 0, None, exact=True) == POINTS


async def test_points_of_another_shard_can_be_left_out(world: World) -> None:
    records = await world.operations.retrieve("c", 0, list(range(POINTS)), IDS_ONLY, expected=0)
    assert [record.id for record in records] == world.own
    assert await world.operations.count("c", 0, None, exact=False, expected=0) == len(world.own)
    assert await world.operations.count("c", 0, None, exact=False, expected=1) == POINTS - len(world.own)


@pytest.mark.parametrize("page", [1, 2, 7, 1000])
@pytest.mark.parametrize("limit", [1, 5, 39, 100])
async def test_pages_of_what_belongs_to_a_shard_leave_nothing_out(
    world: World, monkeypatch: pytest.MonkeyPatch, page: int, limit: int
) -> None:
    monkeypatch.setattr(local_shards, "PAGE", page)
    found, offset = [], None
    while True:
        request = ScrollRequest(limit, offset=offset, projection=IDS_ONLY)
        got = await world.operations.scroll("c", 0, request, expected=0)
        found += [record.id for record in got.records]
        assert len(got.records) == limit or got.next_offset is None
        offset = got.next_offset
        if offset is None:
            break
    assert found == world.own


async def test_an_ordered_page_goes_on_until_enough_belong(world: World) -> None:
    order = OrderBy("n")
    with pytest.raises(BadInput):
        await world.operations.scroll("c", 0, ScrollRequest(3, order_by=order), expected=0)
    world.log.apply(SetPayloadIndex("c", "n", PayloadSchema(PayloadSchemaType.INTEGER)))
    page = await world.operations.scroll("c", 0, ScrollRequest(3, order_by=order), expected=0)
    assert [record.id for record in page.records] == sorted(world.own, reverse=True)[:3]
    everything = await world.operations.scroll("c", 0, ScrollRequest(100, order_by=order), expected=0)
    assert [record.id for record in everything.records] == sorted(world.own, reverse=True)


async def test_what_is_not_here_is_told(world: World) -> None:
    with pytest.raises(NotFound, match="Collection `x` doesn't exist!"):
        await world.operations.count("x", 0, None, exact=True)
    with pytest.raises(NotFound, match="Shard 9 of c does not exist"):
        await world.operations.count("c", 9, None, exact=True)
    with pytest.raises(NotFound, match="Shard 9 of c does not exist"):
        await world.operations.count("c", 0, None, exact=True, expected=9)
    with pytest.raises(ShardUnavailable):
        await world.operations.count("c", 1, None, exact=True)
    with pytest.raises(BadInput, match="Not existing vector name error: v"):
        await world.operations.retrieve("c", 0, [1], Projection(vectors=("v",)))


async def test_a_read_that_takes_too_long_times_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object, **__: object) -> int:
        await asyncio.Event().wait()
        return 0

    monkeypatch.setattr(world.shard, "count", never)
    with pytest.raises(Timeout, match="Operation 'Count' timed out"):
        await world.operations.count("c", 0, None, exact=True, timeout_ms=1)


async def test_cleaning_removes_what_does_not_belong_through_the_primary(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_shards, "PAGE", 7)
    result = await world.operations.clean("c", 0, wait=True)
    assert result.status is UpdateStatus.COMPLETED
    assert list(world.shard.points) == world.own
    assert set(world.node.led) == {2}
    assert result.operation_id == world.shard.operations - 1


async def test_cleaning_a_clean_shard_writes_nothing(world: World) -> None:
    await world.operations.clean("c", 0, wait=True)
    written = len(world.shard.requests)
    result = await world.operations.clean("c", 0, wait=True)
    assert (result.status, result.operation_id) == (UpdateStatus.COMPLETED, None)
    assert len(world.shard.requests) == written


async def test_a_cleaning_that_is_not_waited_for_goes_on(world: World) -> None:
    result = await world.operations.clean("c", 0)
    assert result.operation_id is None
    await world.operations.clean("c", 0, wait=True)
    assert list(world.shard.points) == world.own
    assert len(world.shard.requests) == 1


async def test_closing_ends_a_cleaning_and_another_one_completes_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: object) -> object:
        await asyncio.Event().wait()
        raise AssertionError

    with monkeypatch.context() as patched:
        patched.setattr(world.shard, "update", never)
        await world.operations.clean("c", 0)
        await world.operations.close()
    assert len(world.shard.points) == POINTS
    await world.operations.clean("c", 0, wait=True)
    assert list(world.shard.points) == world.own


async def test_a_second_cleaning_joins_the_one_that_runs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    update, go_on = world.shard.update, asyncio.Event()

    async def slow(request: object) -> object:
        await go_on.wait()
        return await update(request)  # type: ignore[arg-type]

    monkeypatch.setattr(world.shard, "update", slow)
    assert (await world.operations.clean("c", 0)).status is UpdateStatus.ACKNOWLEDGED
    second = asyncio.create_task(world.operations.clean("c", 0, wait=True))
    await asyncio.sleep(0)
    go_on.set()
    assert (await second).status is UpdateStatus.COMPLETED
    assert len(world.shard.requests) == 1


async def test_a_custom_keys_points_all_belong_to_its_only_shard(world: World) -> None:
    world.log.add_collection("k", custom=True)
    world.log.apply(CreateShardKey("k", "a", ((1,),)))
    shard = FakeShard(world.log.collection("k").config)
    shard.points = dict(world.shard.points)
    world.node.shards[("k", 0)] = shard
    assert await world.operations.count("k", 0, None, exact=True, expected=0) == POINTS
