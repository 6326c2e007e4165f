"""Inverted indexes of sparse vectors, as the optimizer builds them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from node.index import SparseParams
from node.replica.replica import ShardReplica
from protos.collections import (
    CollectionConfig,
    CollectionParams,
    Datatype,
    OptimizersConfig,
    SparseIndexParams,
    SparseVectorParams,
)
from protos.operations import DeletePoints, Upsert
from protos.shard import SearchRequest
from tests.node.optimizer.replicas import ONE_KB, ROWS, until, until_green
from tests.node.replica.conftest import Shards
from tests.node.replica.kinds import batches, words
from tests.node.replica.points import write


def worded(index: SparseIndexParams | None = None, **optimizers: Any) -> CollectionConfig:
    chosen = OptimizersConfig(**{**ONE_KB, **optimizers})
    params = CollectionParams({}, sparse_vectors={"words": SparseVectorParams(index)})
    return CollectionConfig(params, optimizer_config=chosen)


def random_words(first: int, count: int) -> Upsert:
    rng = np.random.default_rng(first)
    points = [
        {"words": words({int(i): float(rng.integers(1, 9)) for i in rng.choice(300, 20, replace=False)})}
        for _ in range(count)
    ]
    return Upsert(list(range(first, first + count)), batches(points), [b"{}"] * count)


async def worded_answers(replica: ShardReplica) -> list[tuple[list[object], list[float]]]:
    rng = np.random.default_rng(7)
    queries = [words({int(i): 1.0 for i in rng.choice(300, 5, replace=False)}) for _ in range(10)]
    found = await replica.search([SearchRequest("words", query, 20) for query in queries])
    return [([record.id for record in hits.records], hits.scores.tolist()) for hits in found]


def codes_of(replica: ShardReplica) -> set[Datatype | None]:
    built = [segment.built("words") for segment in replica.view.segments if segment.rows]
    return {one.datatype if isinstance(one, SparseParams) else None for one in built}


@pytest.mark.slow
async def test_sparse_vectors_get_an_inverted_index_and_keep_their_answers(shards: Shards) -> None:
    """Through deletes after the build, another type of codes, and damage to the file."""
    replica = await shards.open(worded(indexing_threshold=0))
    await write(replica, random_words(0, ROWS))
    before = await worded_answers(replica)
    assert (await replica.info()).indexed_vectors == 0
    await replica.update_config(worded())
    info = await until_green(replica)
    assert info.indexed_vectors == ROWS
    assert await worded_answers(replica) == before

    await write(replica, DeletePoints(list(range(0, 100, 2))))
    assert (await replica.info()).indexed_vectors == ROWS - 50
    alive = await worded_answers(replica)
    assert all(int(str(point)) % 2 or int(str(point)) >= 100 for points, _ in alive for point in points)

    await replica.update_config(worded(SparseIndexParams(datatype=Datatype.UINT8)))
    await until(replica, lambda _: codes_of(replica) == {Datatype.UINT8})
    await until_green(replica)
    assert await worded_answers(replica) == alive

    await replica.checkpoint()
    shards.crash()
    for path in (shards.directory / "segments").glob("*/postings.*"):
        path.write_bytes(b"")
    reopened = await shards.open(worded(SparseIndexParams(datatype=Datatype.UINT8)))
    assert codes_of(reopened) == {None}
    assert await worded_answers(reopened) == alive
    reopened.touch()
    await until_green(reopened)
    assert codes_of(reopened) == {Datatype.UINT8}
    assert await worded_answers(reopened) == alive
