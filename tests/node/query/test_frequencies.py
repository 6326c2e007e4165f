"""Statistics of sparse vectors on real replicas: before and after a build, after deletes, in any corpus."""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np
import pytest

from node.query.frequencies import frequencies
from node.replica.replica import ShardReplica
from protos.collections import CollectionConfig, CollectionParams, OptimizersConfig, SparseVectorParams
from protos.errors import BadInput
from protos.filters import Filter
from protos.idf import Frequencies, FrequencyRequest, Weighing
from protos.operations import DeletePoints, Upsert
from protos.shard import SearchRequest, SparseVector
from tests.node.optimizer.replicas import until
from tests.node.replica.conftest import Shards, shards  # noqa: F401 - a fixture
from tests.node.replica.kinds import batches, words
from tests.node.replica.points import having, write

ROWS, WORDS = 400, 60
WANTED = [0, 1, 2, 5, 17, 59, 10**6]
Points = dict[int, tuple[SparseVector | None, int]]


def config(threshold_kb: int) -> CollectionConfig:
    params = CollectionParams({}, sparse_vectors={"words": SparseVectorParams(modifier="idf")})
    chosen = OptimizersConfig(indexing_threshold=threshold_kb, max_optimization_threads=1)
    return CollectionConfig(params, optimizer_config=chosen)


def made(ids: Iterable[int], seed: int) -> Points:
    """Some have no vector, some an empty one."""
    rng = np.random.default_rng(seed)
    found: Points = {}
    for point in ids:
        chosen = {int(number) % WORDS for number in rng.zipf(1.5, rng.integers(0, 9))}
        vector = words(dict.fromkeys(chosen, 1.0)) if rng.random() < 0.9 else None
        found[point] = (vector, int(rng.integers(0, 3)))
    return found


def change_of(points: Points) -> Upsert:
    vectors = batches([{} if vector is None else {"words": vector} for vector, _ in points.values()])
    return Upsert([*points], vectors, [json.dumps({"part": part}).encode() for _, part in points.values()])


def expected(points: Points, part: int | None = None) -> Frequencies:
    counted = [
        set(vector.indices.tolist())
        for vector, own in points.values()
        if vector is not None and len(vector.indices) and part in (None, own)
    ]
    return Frequencies(len(counted), [sum(word in each for each in counted) for word in WANTED])


def agree(replica: ShardReplica, points: Points) -> None:
    corpora: list[Filter | None] = [None, having("part", 1)]
    asked = [FrequencyRequest("words", WANTED, Weighing(corpus)) for corpus in corpora]
    wanted = [expected(points), expected(points, 1)]
    assert frequencies(replica.view, asked) == wanted
    assert frequencies(replica.view, asked) == wanted  # some is kept
    few = [FrequencyRequest("words", WANTED[:2])]
    assert frequencies(replica.view, few) == [Frequencies(wanted[0].points, wanted[0].containing[:2])]


@pytest.mark.slow
async def test_statistics_are_exact_whatever_was_built_and_deleted(shards: Shards) -> None:  # noqa: F811
    replica = await shards.open(config(0))
    points = made(range(ROWS), 1)
    await write(replica, change_of(points))
    agree(replica, points)
    await replica.update_config(config(1))
    await until(replica, lambda info: info.indexed_vectors > 0)
    assert any(segment.built("words") for segment in replica.view.segments)
    agree(replica, points)
    await write(replica, DeletePoints(list(range(60))))
    points = {point: points[point] for point in points if point >= 60}
    agree(replica, points)
    newer = made(range(100, 130), 2) | made(range(ROWS, ROWS + 20), 3)
    await write(replica, change_of(newer))
    agree(replica, points | newer)


async def test_a_search_is_weighed_by_its_shard_if_asked_to(shards: Shards) -> None:  # noqa: F811
    replica = await shards.open(config(0))
    await write(replica, change_of({point: (words({1: 1.0, 10 + point: 1.0}), 0) for point in range(10)}))
    query = words({1: 1.0, 13: 1.0})
    plain, weighed = SearchRequest("words", query, 1), SearchRequest("words", query, 1, weighing=Weighing())
    one, other = await replica.search([plain, weighed])
    assert one.scores.tolist() == [2.0]
    np.testing.assert_allclose(other.scores, [1.992430 + 0.046520], rtol=1e-5)


async def test_a_vector_that_is_not_there_is_refused(shards: Shards) -> None:  # noqa: F811
    replica = await shards.open(config(0))
    with pytest.raises(BadInput):
        await replica.frequencies([FrequencyRequest("other", [1])])
