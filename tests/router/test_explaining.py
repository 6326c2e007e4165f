"""What a query's explanation tells, of real shards."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from node.local import LocalNode
from protos.collections import (
    CreateCollection,
    CreateFieldIndex,
    Distance,
    PayloadSchema,
    PayloadSchemaType,
    VectorParams,
)
from protos.errors import BadInput
from protos.filters import FieldCondition, Filter, MatchValue
from protos.fusion import Rrf
from protos.operations import Upsert, VectorBatch
from protos.shard import OrderBy, Way
from router.collections import CollectionOperations
from router.points import Draft, PointOperations, WriteOptions
from router.queries.explaining import Explanation
from router.queries.operations import SearchOperations
from router.queries.requests import (
    DiverseNearest,
    NearestPoint,
    NearestVector,
    Prefetch,
    Query,
    QueryRequest,
    RandomSample,
    ReadOptions,
)
from tests.router.fakes import FakeLog

POINTS, SHARDS = 300, 3
ROWS = np.random.default_rng(2).normal(size=(POINTS, 4)).astype("<f4")


@pytest.fixture
async def searches(tmp_path: Path) -> AsyncIterator[SearchOperations]:
    node = LocalNode(tmp_path, search_threads=1)
    collections = CollectionOperations(FakeLog(), node)
    await collections.create(
        "c", CreateCollection(vectors={"v": VectorParams(4, Distance.DOT)}, shard_number=SHARDS)
    )
    index = CreateFieldIndex("indexed", PayloadSchema(PayloadSchemaType.INTEGER))
    await collections.create_index("c", index)
    payloads = [json.dumps({"indexed": i % 10, "plain": i % 2}).encode() for i in range(POINTS)]
    change = Upsert(list(range(POINTS)), (VectorBatch("v", 4, ROWS.tobytes()),), payloads)
    points = PointOperations(collections, node)
    await points.apply("c", Draft(lambda _: change), WriteOptions(wait=True))
    yield SearchOperations(collections, node)
    await collections.close()
    await node.close()


def where(key: str, value: int) -> Filter:
    return Filter(must=(FieldCondition(key, (MatchValue(value),)),))


async def explained(searches: SearchOperations, request: QueryRequest) -> Explanation:
    return await searches.explain("c", request, ReadOptions())


async def test_every_shard_tells_what_it_did(searches: SearchOperations) -> None:
    request = QueryRequest(NearestVector(ROWS[0]), using="v", limit=5, filter=where("indexed", 3))
    found = await explained(searches, request)
    (stage,) = found.stages
    assert (stage.stage, stage.kind, stage.using, stage.limit) == ("query", "search", "v", 5)
    assert (stage.indexed, stage.unindexed) == (["indexed"], [])
    assert [shard.shard for shard in stage.shards] == [0, 1, 2]
    plans = [shard.plan for shard in stage.shards if shard.plan is not None]
    assert len(plans) == SHARDS
    assert sum(plan.candidates for plan in plans) == POINTS // 10
    assert sum(plan.estimated for plan in plans) == POINTS // 10
    assert sum(step.matching for plan in plans for step in plan.steps) == POINTS // 10
    assert {step.way for plan in plans for step in plan.steps} == {Way.ROWS}
    assert sum(step.scored for plan in plans for step in plan.steps) == POINTS // 10
    assert [shard.points for shard in stage.shards] == [5] * SHARDS
    for shard, plan in zip(stage.shards, plans, strict=True):
        assert 0 < plan.filter_micros < plan.micros < shard.micros <= found.phases.shards
    assert found.phases.vectors > 0


async def test_payloads_that_had_to_be_read_are_counted(searches: SearchOperations) -> None:
    request = QueryRequest(NearestVector(ROWS[0]), using="v", limit=5, filter=where("plain", 1))
    (stage,) = (await explained(searches, request)).stages
    assert (stage.indexed, stage.unindexed) == ([], ["plain"])
    checked = [shard.plan.checked for shard in stage.shards if shard.plan is not None]
    assert all(checked)


async def test_each_search_of_a_tree_is_told_by_its_place(searches: SearchOperations) -> None:
    leaf = Prefetch(NearestPoint(7), using="v", limit=20)
    listed = Prefetch(None, limit=4, filter=where("indexed", 2))
    inner = Prefetch(Rrf(), limit=10, prefetch=(leaf, listed))
    request = QueryRequest(
        NearestVector(ROWS[1]), using="v", prefetch=(inner, leaf), filter=where("plain", 1)
    )
    found = await explained(searches, request)
    assert [(stage.stage, stage.kind, stage.using, stage.limit) for stage in found.stages] == [
        ("prefetch[0].prefetch[0]", "search", "v", 20),
        ("prefetch[0].prefetch[1]", "scroll", None, 4),
        ("prefetch[1]", "search", "v", 20),
    ]
    assert (found.stages[1].indexed, found.stages[1].unindexed) == (["indexed"], ["plain"])
    for shard in found.stages[1].shards:
        assert shard.plan is None
        assert (shard.estimated or 0) <= 30


async def test_a_choice_of_diverse_points_is_told_as_the_search_for_its_candidates(
    searches: SearchOperations,
) -> None:
    request = QueryRequest(DiverseNearest(NearestVector(ROWS[0]), 0.5, 9), using="v", limit=5)
    (stage,) = (await explained(searches, request)).stages
    assert (stage.stage, stage.kind, stage.limit) == ("query", "search", 9)
    assert [shard.points for shard in stage.shards] == [9] * SHARDS


@pytest.mark.parametrize(
    ("query", "kind"), [(OrderBy("indexed"), "order_by"), (RandomSample(), "sample"), (None, "scroll")]
)
async def test_reads_without_a_vector_tell_how_many_may_match(
    searches: SearchOperations, query: Query | None, kind: str
) -> None:
    (stage,) = (await explained(searches, QueryRequest(query, limit=3))).stages
    assert stage.kind == kind
    assert [shard.points for shard in stage.shards] == [3] * SHARDS
    assert sum(shard.estimated or 0 for shard in stage.shards) == POINTS


async def test_a_wrong_query_is_refused_as_when_it_is_answered(searches: SearchOperations) -> None:
    with pytest.raises(BadInput, match="expected dim: 4, got 2"):
        await explained(searches, QueryRequest(NearestVector([1, 2]), using="v"))
