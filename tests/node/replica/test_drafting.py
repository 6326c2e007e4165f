"""Payload indexes that are built beside the writes hold what indexes built at once hold."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from node.filter.columns import Columns, Draft
from node.replica import apply, drafting
from node.replica.opened import ReplicaFiles
from protos.collections import IntegerIndexParams, KeywordIndexParams, encode_index_params
from protos.errors import ServiceError
from protos.operations import CreateIndex, DeletePoints, SetPayload
from protos.shard import ShardStatus
from tests.node.replica.conftest import Shards
from tests.node.replica.points import having, upsert, write

FIELD = CreateIndex("k", encode_index_params(KeywordIndexParams()))


def test_a_draft_takes_in_what_it_missed_and_no_more() -> None:
    columns, points = Columns(), {slot: {"n": slot} for slot in range(100)}
    draft = columns.draft("n", IntegerIndexParams())
    assert draft is not None
    assert columns.draft("n", IntegerIndexParams()) is None
    draft.fill([(slot, dict(payload)) for slot, payload in points.items()])
    for slot in (3, 7):
        points[slot] = {"n": 1000}
    del points[50]
    points[200] = {"n": 1000}
    columns.touched([3, 7])
    columns.touched([50, 200, 3])
    asked: list[list[int]] = []

    def payloads_at(slots: Any) -> list[dict[str, Any] | None]:
        asked.append(list(slots))
        return [points.get(slot) for slot in slots]

    columns.install(columns.built("n", IntegerIndexParams(), (), payloads_at))
    assert asked == [[3, 7, 50, 200]]
    assert columns.view().points("n") == 100
    columns.touched([1])  # nobody keeps these any more
    assert draft.count_missed() == 0


def test_a_draft_with_other_parameters_or_half_done_is_not_used() -> None:
    def nothing(slots: Any) -> list[None]:
        return [None] * len(slots)

    columns = Columns()
    assert columns.draft("n", IntegerIndexParams()) is not None
    column = columns.built("n", IntegerIndexParams(), [(1, {"n": 5})], nothing)
    assert column.view().points == 1
    done = columns.draft("n", IntegerIndexParams())
    assert done is not None
    done.fill([])
    assert columns.built("n", KeywordIndexParams(), [(1, {"n": "five"})], nothing).view().points == 1


class Held:
    """Holds the builder after it read its first state."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.filled, self.go_on = asyncio.Event(), asyncio.Event()
        beside = ReplicaFiles.beside

        async def held(files: ReplicaFiles, call: Any, *args: Any) -> Any:
            answer = await beside(files, call, *args)
            if not self.filled.is_set():
                self.filled.set()
                await self.go_on.wait()
            return answer

        monkeypatch.setattr(ReplicaFiles, "beside", held)


@pytest.mark.parametrize("few", [0, 10_000], ids=["builder", "writer"])
async def test_writes_while_an_index_is_built_are_in_it(
    shards: Shards, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """Whether the builder takes them in or leaves them to the writer."""
    monkeypatch.setattr(drafting, "FEW_SLOTS", few)
    held = Held(monkeypatch)
    replica = await shards.open()
    await write(replica, upsert(range(200), [{"k": "old"}] * 200))
    creating = asyncio.create_task(replica.apply_config(FIELD))
    await held.filled.wait()
    await write(replica, upsert(range(190, 220), [{"k": "new"}] * (220 - 190)))
    await write(replica, DeletePoints(ids=list(range(10))))
    await write(replica, SetPayload(b'{"k":"set"}', ids=[20, 21]))
    assert replica.view.columns.fields == {}

    def never(points: Any) -> Any:
        raise AssertionError("the writer reads only what the draft missed")
        yield

    monkeypatch.setattr(apply, "payloads_of", never)
    held.go_on.set()
    await creating
    assert list(replica.view.columns.fields) == ["k"]
    assert replica.view.columns.points("k") == 210
    for value, count in {"old": 178, "new": 30, "set": 2}.items():
        assert await replica.count(having("k", value), exact=True) == count
    await write(replica, SetPayload(b'{"k":"set"}', ids=[22]))
    assert await replica.count(having("k", "set"), exact=True) == 3
    assert (await replica.info()).status is ShardStatus.GREEN


async def test_without_a_draft_the_writer_builds_the_index(
    shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: Draft, scan: Any) -> None:
        raise ServiceError("no luck")

    replica = await shards.open()
    await write(replica, upsert(range(20), [{"k": "old"}] * 20))
    fill = Draft.fill
    monkeypatch.setattr(Draft, "fill", fails)
    beside = ReplicaFiles.beside

    async def once(files: ReplicaFiles, call: Any, *args: Any) -> Any:
        try:
            return await beside(files, call, *args)
        finally:
            monkeypatch.setattr(Draft, "fill", fill)

    monkeypatch.setattr(ReplicaFiles, "beside", once)
    await replica.apply_config(FIELD)
    assert await replica.count(having("k", "old"), exact=True) == 20


async def test_a_draft_ends_with_the_one_who_wanted_it(
    shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(monkeypatch)
    replica = await shards.open()
    await write(replica, upsert(range(20), [{"k": "old"}] * 20))
    creating = asyncio.create_task(replica.apply_config(FIELD))
    await held.filled.wait()
    creating.cancel()
    await asyncio.gather(creating, return_exceptions=True)
    assert replica.contents.applier.columns._drafts == {}
    await replica.apply_config(FIELD)
    assert await replica.count(having("k", "old"), exact=True) == 20
