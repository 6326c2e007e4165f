"""Graphs of payload values: which fields and values get them, and what searches make of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from node.filter.columns import Columns
from node.optimizer.stats import wanted_values
from node.replica.replica import ShardReplica
from protos.collections import CollectionConfig, Distance, HnswConfig, KeywordIndexParams, VectorParams
from protos.operations import Upsert
from protos.shard import SearchParams, SearchRequest, Way
from tests.node.optimizer.replicas import DIM, ONE_KB, index, until, until_green
from tests.node.replica.conftest import Shards
from tests.node.replica.points import batch, config_of, having, write


def tenanted(**hnsw: object) -> CollectionConfig:
    settings = HnswConfig(**({"m": 0, "payload_m": 8, "ef_construct": 8} | hnsw))  # type: ignore[arg-type]
    return config_of({"": VectorParams(DIM, Distance.COSINE)}, settings, **ONE_KB)


def of_tenants(count: int, tenant: Callable[[int], str]) -> Upsert:
    matrix = np.random.default_rng(3).normal(size=(count, DIM))
    payloads = [b'{"tenant":"%s"}' % tenant(i).encode() for i in range(count)]
    return Upsert(list(range(count)), (batch(matrix),), payloads)


async def ways_of(replica: ShardReplica, tenant: str) -> list[Way]:
    query = np.random.default_rng(7).normal(size=DIM).astype(np.float32)
    request = SearchRequest("", query, 3, having("tenant", tenant), SearchParams(hnsw_ef=4), explain=True)
    (hits,) = await replica.search([request])
    assert hits.plan is not None
    assert len(hits.records) == 3
    return [step.way for step in hits.plan.steps]


@pytest.mark.slow
async def test_a_large_tenant_gets_a_graph_of_its_own_and_small_ones_none(shards: Shards) -> None:
    replica = await shards.open(tenanted(full_scan_threshold=10))
    await index(replica, "tenant", is_tenant=True)
    await write(replica, of_tenants(2500, lambda i: "large" if i % 5 else f"small{i % 50}"))
    info = await until_green(replica)
    assert info.indexed_vectors == 2500
    (segment,) = replica.view.segments
    assert segment.graph("") is None
    assert await ways_of(replica, "large") == [Way.VALUE_GRAPH]
    assert await ways_of(replica, "small5") == [Way.ROWS]
    # Only what is indexed, or so little that it need not be, is asked for: graphs of values are indexes.
    request = SearchRequest("", np.ones(DIM, dtype=np.float32), 3, params=SearchParams(indexed_only=True))
    (hits,) = await replica.search([request])
    assert len(hits.records) == 3


@pytest.mark.slow
async def test_an_index_made_later_leads_to_graphs_of_its_values(shards: Shards) -> None:
    replica = await shards.open(tenanted(m=8))
    await write(replica, of_tenants(2500, lambda i: "large" if i % 5 < 2 else f"small{i % 50}"))
    await until_green(replica)
    assert await ways_of(replica, "large") != [Way.VALUE_GRAPH]
    await index(replica, "tenant")
    await until(replica, lambda info: replica.view.segments[0].value_graphs("") is not None)
    assert replica.view.segments[0].graph("") is not None
    assert await ways_of(replica, "large") == [Way.VALUE_GRAPH]


@pytest.mark.parametrize(
    ("hnsw", "params", "expected"),
    [
        ({"m": 0, "payload_m": 8}, {}, 8),
        ({"m": 16, "payload_m": 0}, {"is_tenant": True}, None),
        ({"m": 0}, {"is_tenant": True}, None),
        ({"m": 16}, {}, None),
        ({"m": 16}, {"is_tenant": True}, 16),
        ({"m": 16, "payload_m": 8}, {"enable_hnsw": False}, None),
    ],
)
def test_which_fields_get_graphs_of_their_values(
    hnsw: dict[str, int], params: dict[str, bool], expected: int | None
) -> None:
    config = config_of({"": VectorParams(DIM, Distance.COSINE)}, HnswConfig(**hnsw))
    columns = Columns()
    columns.install(columns.built("tenant", KeywordIndexParams(**params), []))
    wanted = wanted_values(config, columns.view(), [""]).get("")
    assert (None if wanted is None else (wanted.fields, wanted.params.m)) == (
        None if expected is None else (("tenant",), expected)
    )


def test_a_chosen_full_scan_threshold_says_which_values_are_too_small_for_graphs() -> None:
    columns = Columns()
    columns.install(columns.built("tenant", KeywordIndexParams(), []))

    def rows_min(kib: int) -> int:
        hnsw = HnswConfig(payload_m=8, full_scan_threshold=kib)
        config = config_of({"": VectorParams(DIM, Distance.COSINE)}, hnsw)
        return wanted_values(config, columns.view(), [""])[""].rows_min

    assert rows_min(1000) == 1000 * 1024 // (DIM * 4) + 1
    assert rows_min(10) == rows_min(HnswConfig().full_scan_threshold) == 2401
