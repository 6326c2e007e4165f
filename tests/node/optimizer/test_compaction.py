"""Segments that are merged, compacted or dropped: points stay, slots are used again, tenants lie together."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest

from node.optimizer import runner
from protos.collections import IntegerIndexParams, KeywordIndexParams, encode_index_params
from protos.operations import CreateIndex, DeletePoints, SetPayload, Upsert
from protos.shard import ShardStatus
from tests.node.optimizer.replicas import (
    DIM,
    ONE_KB,
    ROWS,
    answers,
    index,
    random_points,
    seal,
    until,
    until_green,
    wide,
)
from tests.node.replica.conftest import Shards
from tests.node.replica.points import batch, config_of, contents, having, nearest, upsert, write


@pytest.mark.slow
async def test_a_segment_with_many_deleted_rows_is_compacted(shards: Shards) -> None:
    loaded = wide(indexing_threshold=1, vacuum_min_vector_number=100)
    active = wide(**ONE_KB, vacuum_min_vector_number=100)
    replica = await shards.open(loaded)
    await replica.apply_config(CreateIndex("n", encode_index_params(KeywordIndexParams())))
    await write(replica, random_points(0, ROWS))
    await seal(replica)
    await write(replica, DeletePoints(ids=list(range(300))))
    await write(replica, SetPayload(b'{"n":"kept"}', ids=[300, 301]))
    stored, before = await contents(replica), await answers(replica)
    await replica.update_config(active)
    info = await until_green(replica)
    assert [segment.rows for segment in replica.view.segments] == [200]
    assert info.indexed_vectors == 200
    assert await contents(replica) == stored
    assert await answers(replica) == before
    assert await replica.count(having("n", "kept"), exact=True) == 2
    await write(replica, SetPayload(b'{"n":"late"}', ids=[400]))
    await replica.checkpoint()
    shards.crash()
    reopened = await shards.open(active)
    assert await answers(reopened) == before
    assert await reopened.count(having("n", "late"), exact=True) == 1


@pytest.mark.slow
async def test_small_segments_are_merged(shards: Shards) -> None:
    replica = await shards.open(wide(indexing_threshold=0))
    for part in range(4):
        await write(replica, random_points(part * 100, 100))
        await seal(replica)
    await write(replica, DeletePoints(ids=[5, 150]))
    stored, before = await contents(replica), await answers(replica)
    await replica.update_config(
        wide(indexing_threshold=0, max_optimization_threads=1, default_segment_number=1)
    )
    info = await until_green(replica)
    assert (info.segments, info.indexed_vectors) == (1, 0)
    assert await contents(replica) == stored
    assert await answers(replica) == before


@pytest.mark.slow
async def test_a_crash_in_the_middle_of_a_compaction_loses_nothing(
    shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "REMAP_POINTS", 50)
    replica = await shards.open(wide(indexing_threshold=0, vacuum_min_vector_number=100))
    await write(replica, random_points(0, ROWS))
    await seal(replica)
    await write(replica, DeletePoints(ids=list(range(300))))
    stored = await contents(replica)
    halfway, optimizer = asyncio.Event(), replica._optimizer
    remap, steps, loop = optimizer._remap, [], asyncio.get_running_loop()

    def one_step(*args: object) -> None:
        if not steps:
            remap(*args)  # type: ignore[arg-type]
            steps.append(args)
            loop.call_soon_threadsafe(halfway.set)
        else:
            raise OSError("the power is gone")

    monkeypatch.setattr(optimizer, "_remap", one_step)
    await replica.update_config(
        wide(indexing_threshold=0, max_optimization_threads=1, vacuum_min_vector_number=100)
    )
    await halfway.wait()
    assert await contents(replica) == stored
    await replica.checkpoint()
    await write(replica, SetPayload(b'{"late":1}', ids=[310, 490]))
    stored = await contents(replica)
    shards.crash()
    reopened = await shards.open(wide(indexing_threshold=0))
    assert await contents(reopened) == stored
    assert len(reopened.view.segments) == 2


async def test_segments_without_live_rows_are_dropped_and_their_slots_used_again(shards: Shards) -> None:
    replica = await shards.open(config_of(max_optimization_threads=1))
    await write(replica, upsert(range(100)))
    await seal(replica)
    await write(replica, DeletePoints(ids=list(range(100))))
    await until(replica, lambda info: info.segments == 0 and info.status is ShardStatus.GREEN)
    await write(replica, upsert([1]))
    assert replica.view.segments[0].start == 0
    assert await nearest(replica, [1, 0, 0, 0]) == [1]


async def test_slots_that_a_reader_can_still_see_are_not_used_again(shards: Shards) -> None:
    replica = await shards.open(config_of(max_optimization_threads=1))
    await write(replica, upsert(range(100)))
    await seal(replica)
    old = replica.view
    await write(replica, DeletePoints(ids=list(range(100))))
    await until(replica, lambda info: info.segments == 0)
    await write(replica, upsert([1]))
    assert replica.view.segments[0].start >= 128
    assert old.points.count == 100


@pytest.mark.slow
async def test_a_compaction_puts_tenants_side_by_side_and_orders_each_by_the_principal_key(
    shards: Shards,
) -> None:
    replica = await shards.open(wide(indexing_threshold=1, vacuum_min_vector_number=100))
    await index(replica, "tenant", is_tenant=True)
    await replica.apply_config(
        CreateIndex("time", encode_index_params(IntegerIndexParams(is_principal=True)))
    )
    matrix = np.random.default_rng(3).normal(size=(ROWS, DIM))
    payloads = [b'{"tenant":"%d","time":%d}' % (i % 7, i * 37 % ROWS) for i in range(ROWS)]
    await write(replica, Upsert(list(range(ROWS)), (batch(matrix),), payloads))
    await seal(replica)
    await write(replica, DeletePoints(ids=list(range(0, ROWS, 3))))
    await write(replica, SetPayload(b'{"tenant":"new"}', ids=[1, 100]))
    stored, before = await contents(replica), await answers(replica)
    await replica.update_config(wide(**ONE_KB, vacuum_min_vector_number=100))
    await until_green(replica)
    (segment,) = replica.view.segments
    assert segment.rows == len(stored)
    slots = np.arange(segment.start, segment.start + segment.rows)
    records = replica.view.points.records(slots)
    laid = [json.loads(record.payload) for record in records if record is not None]
    keys = [(payload["tenant"], payload["time"]) for payload in laid]
    assert keys == sorted(keys)
    assert await contents(replica) == stored
    assert await answers(replica) == before
