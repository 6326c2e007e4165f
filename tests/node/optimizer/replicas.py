"""Replicas with enough points for graphs, and waiting for what the optimizer makes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import numpy as np

from node.replica.replica import ShardReplica
from protos.clock import SystemClock
from protos.collections import (
    CollectionConfig,
    Distance,
    KeywordIndexParams,
    VectorParams,
    encode_index_params,
)
from protos.operations import CreateIndex, Upsert
from protos.shard import ShardInfo, ShardStatus
from tests.node.replica.conftest import Shards
from tests.node.replica.points import batch, config_of, having, nearest

DIM = 32
ROWS = 500
ONE_KB = {"indexing_threshold": 1, "max_optimization_threads": 1}


class ManualClock(SystemClock):
    """Time passes when the test says so."""

    now_ms = 0

    def monotonic_ms(self) -> int:
        return self.now_ms


def wide(**optimizers: object) -> CollectionConfig:
    return config_of({"": VectorParams(DIM, Distance.COSINE)}, **optimizers)


def random_points(first: int, count: int, seed: int = 1) -> Upsert:
    matrix = np.random.default_rng(seed + first).normal(size=(count, DIM))
    payloads = [b'{"part":%d}' % (i % 3) for i in range(count)]
    return Upsert(list(range(first, first + count)), (batch(matrix),), payloads)


async def until(replica: ShardReplica, condition: Callable[[ShardInfo], bool]) -> ShardInfo:
    """Wait for a state that the optimizer reaches by itself."""
    async with asyncio.timeout(60):
        while not condition(info := await replica.info()):  # noqa: ASYNC110 - it says nothing by itself
            await asyncio.sleep(0.02)
    return info


async def until_green(replica: ShardReplica) -> ShardInfo:
    return await until(replica, lambda info: info.status is ShardStatus.GREEN)


async def answers(replica: ShardReplica) -> list[list[object]]:
    queries = np.random.default_rng(7).normal(size=(10, DIM))
    found: list[list[object]] = [await nearest(replica, query.tolist(), 10) for query in queries]
    return [*found, list(await nearest(replica, queries[0].tolist(), 10, filter=having("part", 1)))]


async def seal(replica: ShardReplica) -> None:
    await replica.on_writer(replica.contents.applier.segments.seal_all)
    await replica.on_writer(replica.contents.publish)


def still(shards: Shards) -> ManualClock:
    """Have replicas opened from now on go by a clock that the test moves."""
    clock = ManualClock()
    shards.machinery = msgspec.structs.replace(shards.machinery, clock=clock)
    return clock


async def index(replica: ShardReplica, field: str, **params: object) -> None:
    await replica.apply_config(
        CreateIndex(field, encode_index_params(KeywordIndexParams(**params)))  # type: ignore[arg-type]
    )
