"""Facets over several shards, with shards in memory."""

from __future__ import annotations

import json

import numpy as np
import pytest

from protos.collections import CreateCollection, CreateFieldIndex, PayloadSchema, PayloadSchemaType
from protos.errors import BadInput
from protos.facets import FacetHit
from protos.operations import Upsert
from protos.shard import UpdateRequest
from router.collections import CollectionOperations
from router.facets import FacetQuery, merge_facets, values_asked
from router.queries.operations import SearchOperations
from router.queries.requests import ReadOptions
from tests.router.fakes import FakeLog, FakeNode

VALUES = np.random.default_rng(5).zipf(1.3, size=3000) % 700


async def filled(shards: int) -> tuple[FakeNode, SearchOperations]:
    node = FakeNode()
    collections = CollectionOperations(FakeLog(), node)
    await collections.create("c", CreateCollection(vectors={}, shard_number=shards))
    index = CreateFieldIndex("k", PayloadSchema(PayloadSchemaType.INTEGER))
    await collections.create_index("c", index)
    for shard in range(shards):
        ids = list(range(shard, len(VALUES), shards))
        payloads = [json.dumps({"k": int(VALUES[point_id])}).encode() for point_id in ids]
        await node.shards["c", shard].update(UpdateRequest(Upsert(ids, (), payloads)))
    return node, SearchOperations(collections, node)


def counted(limit: int) -> list[FacetHit]:
    values, counts = np.unique(VALUES, return_counts=True)
    order = np.lexsort((values, -counts))[:limit]
    return [FacetHit(int(values[i]), int(counts[i])) for i in order]


@pytest.mark.parametrize("shards", [1, 6])
async def test_exact_facets_are_those_of_all_points(shards: int) -> None:
    node, searches = await filled(shards)
    found = await searches.facet("c", FacetQuery("k", limit=500, exact=True), ReadOptions())
    assert found == counted(500)
    asked = [shard.facets[0].limit for shard in node.shards.values()]
    assert asked == [500] if shards == 1 else asked == [None] * shards


async def test_approximate_facets_ask_for_more_than_they_need() -> None:
    node, searches = await filled(6)
    assert await searches.facet("c", FacetQuery("k", limit=5), ReadOptions()) == counted(5)
    assert [shard.facets[0].limit for shard in node.shards.values()] == [128] * 6


@pytest.mark.parametrize(
    ("limit", "exact", "alone", "asked"),
    [(10, False, False, 128), (50, False, False, 200), (50, True, False, None), (7, True, True, 7)],
)
def test_how_many_values_a_shard_is_asked_for(
    limit: int, exact: bool, alone: bool, asked: int | None
) -> None:
    assert values_asked(FacetQuery("k", limit=limit, exact=exact), alone=alone) == asked


def test_counts_add_up_and_equal_ones_go_by_value() -> None:
    parts = [[FacetHit("b", 2), FacetHit("a", 1)], [FacetHit("c", 3), FacetHit("a", 1)]]
    assert merge_facets(parts, 10) == [FacetHit("c", 3), FacetHit("a", 2), FacetHit("b", 2)]
    assert merge_facets(parts, 2) == [FacetHit("c", 3), FacetHit("a", 2)]
    assert merge_facets([], 2) == []


async def test_a_key_without_an_index_is_refused() -> None:
    _, searches = await filled(1)
    with pytest.raises(BadInput, match="No appropriate index for faceting: `other`"):
        await searches.facet("c", FacetQuery("other"), ReadOptions())
