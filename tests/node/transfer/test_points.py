"""Copying points between shards that are written to meanwhile."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable

import pytest

from node.transfer import points as module
from node.transfer.points import PointCopy
from node.transfer.progress import Progress
from protos.errors import ServiceError
from protos.filters import FieldCondition, Filter, MatchValue
from protos.ids import PointId
from protos.operations import DeletePoints, PointChange, UpdateResult
from protos.shard import Projection, Record, ScrollRequest, UpdateRequest
from tests.node.replica.points import config_of, upsert
from tests.router.fakes import FakeShard

TENANT = Filter(must=(FieldCondition("tenant", (MatchValue("a"),)),))


class Watched:
    """A shard; ``before`` is run before each of the first calls."""

    def __init__(self) -> None:
        self.shard = FakeShard(config_of())
        self.before: list[Callable[[], Awaitable[None]]] = []

    async def _call(self) -> None:
        if self.before:
            await self.before.pop(0)()

    async def update(self, request: UpdateRequest) -> UpdateResult:
        await self._call()
        return await self.shard.update(request)

    async def scroll(self, request: ScrollRequest) -> list[Record]:
        await self._call()
        return await self.shard.scroll(request)

    async def retrieve(self, ids: list[PointId], projection: Projection) -> list[Record]:
        await self._call()
        return await self.shard.retrieve(ids, projection)

    async def count(self, filter: Filter | None, *, exact: bool) -> int:
        return await self.shard.count(filter, exact=exact)

    async def write(self, change: PointChange) -> None:
        await self.shard.update(UpdateRequest(change, wait=True))

    def payloads(self) -> dict[PointId, object]:
        return {key: point.payload for key, point in self.shard.points.items()}


def put(point_id: int, tenant: str = "a", **more: object) -> PointChange:
    return upsert([point_id], [{"tenant": tenant, **more}])


def copy_between(source: Watched, target: Watched, filter: Filter | None = TENANT) -> PointCopy:
    return PointCopy(source, target, filter, Progress.of_nobody())


async def test_the_points_that_match_are_copied_whole() -> None:
    source, target = Watched(), Watched()
    await source.write(upsert([1, 2, 3], [{"tenant": "a"}, {"tenant": "b"}, {"tenant": "a", "x": [1]}]))
    await copy_between(source, target).run()
    assert target.payloads() == {1: {"tenant": "a"}, 3: {"tenant": "a", "x": [1]}}
    assert target.shard.points[3].vectors[""].tolist() == source.shard.points[3].vectors[""].tolist()


async def test_what_changes_meanwhile_is_brought_over_by_the_next_pass() -> None:
    source, target = Watched(), Watched()
    for number in range(5):
        await source.write(put(number))

    async def change() -> None:
        await source.write(put(0, late=True))
        await source.write(put(9))
        await source.write(DeletePoints(ids=[1]))
        await source.write(put(2, tenant="b"))

    target.before = [_nothing, change]  # the check that nothing is there yet, then after the first writes
    source.before = [_nothing, _nothing, change]
    await copy_between(source, target).run()
    expected = {key: payload for key, payload in source.payloads().items() if key != 2}
    assert target.payloads() == expected


async def _nothing() -> None:
    """Stands in for calls before which nothing happens."""


async def test_the_last_pass_leaves_alone_what_others_have_written() -> None:
    source, target = Watched(), Watched()
    for number in range(4):
        await source.write(put(number))
    copy = copy_between(source, target)
    await copy.run()
    await target.write(put(0, by="client"))
    await target.write(DeletePoints(ids=[1]))
    for number in (0, 1, 2, 7):
        await source.write(put(number, late=True))
    await source.write(DeletePoints(ids=[3]))
    await target.write(put(8, by="client"))
    await source.write(put(8, late=True))
    await copy.settle()
    assert target.payloads() == {
        0: {"tenant": "a", "by": "client"},
        2: {"tenant": "a", "late": True},
        7: {"tenant": "a", "late": True},
        8: {"tenant": "a", "by": "client"},
    }


@pytest.mark.parametrize("calls", range(2))  # the points that changed, those that are gone
async def test_what_others_write_at_any_moment_of_the_last_pass_stays(calls: int) -> None:
    source, target = Watched(), Watched()
    for number in range(3):
        await source.write(put(number))
    copy = copy_between(source, target)
    await copy.run()
    for number in (0, 1, 7):
        await source.write(put(number, late=True))
    await source.write(DeletePoints(ids=[2]))

    async def by_client() -> None:
        for number in (0, 2, 7):
            await target.write(put(number, by="client"))

    target.before = [*[_nothing] * calls, by_client]
    await copy.settle()
    assert not target.before
    written = {number: {"tenant": "a", "by": "client"} for number in (0, 2, 7)}
    assert target.payloads() == {**written, 1: {"tenant": "a", "late": True}}


@pytest.mark.parametrize("seed", range(20))
async def test_any_writes_meanwhile_leave_both_equal(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE_POINTS", 3)
    monkeypatch.setattr(module, "BATCH_POINTS", 2)
    rng = random.Random(seed)
    source, target = Watched(), Watched()
    for number in range(12):
        await source.write(put(number, tenant=rng.choice("ab")))

    async def anything() -> None:
        point_id = rng.randrange(15)
        change = put(point_id, rng.choice("ab"), n=rng.random())
        await source.write(rng.choice([change, change, DeletePoints(ids=[point_id])]))

    source.before = [rng.choice([_nothing, anything]) for _ in range(30)]
    copy = copy_between(source, target)
    await copy.run()
    source.before = []
    await copy.settle()
    wanted = {
        key: payload for key, payload in source.payloads().items() if json.dumps(payload).find('"a"') > 0
    }
    assert target.payloads() == wanted


async def test_points_that_change_without_end_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEW_CHANGES", 0)
    monkeypatch.setattr(module, "PASSES_MAX", 5)
    source, target = Watched(), Watched()
    await source.write(put(1))

    async def change() -> None:
        await source.write(put(1, n=len(source.before)))

    source.before = [change] * 100
    with pytest.raises(ServiceError):
        await copy_between(source, target).run()
