"""What the router relies on in a shard, asked of the fake it is tested with and of a real one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from node.local import LocalNode
from protos.collections import (
    CreateCollection,
    CreateFieldIndex,
    Distance,
    PayloadSchema,
    PayloadSchemaType,
    VectorParams,
)
from protos.errors import Forbidden, NotFound
from protos.facets import FacetHit, FacetRequest
from protos.filters import FieldCondition, Filter, MatchValue
from protos.operations import (
    ClearPayload,
    DeletePayload,
    DeletePoints,
    DeleteVectors,
    OverwritePayload,
    PointChange,
    SetPayload,
    UpdateMode,
    UpdateStatus,
    UpdateVectors,
    Upsert,
    VectorBatch,
)
from protos.shard import (
    Direction,
    OrderBy,
    PayloadSelector,
    Projection,
    ScrollRequest,
    SearchRequest,
    UpdateRequest,
)
from protos.shard_client import ShardClient
from router.collections import CollectionOperations
from tests.router.fakes import FakeLog, FakeNode

EVERYTHING = Projection(payload=True, vectors=True)
IS_TWO = Filter(must=(FieldCondition("n", (MatchValue(2),)),))


@pytest.fixture(params=["fake", "real"])
async def shard(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ShardClient]:
    """One shard with the vectors ``a`` (Dot) and ``e`` (Euclid) of two components and an index on ``n``."""
    node = FakeNode() if request.param == "fake" else LocalNode(tmp_path, search_threads=1)
    collections = CollectionOperations(FakeLog(), node)
    vectors = {"a": VectorParams(2, Distance.DOT), "e": VectorParams(2, Distance.EUCLID)}
    await collections.create("c", CreateCollection(vectors=vectors))
    index = CreateFieldIndex("n", PayloadSchema(PayloadSchemaType.INTEGER))
    await collections.create_index("c", index)
    yield node.shard("c", 0)
    await collections.close()
    await node.close()


def _batch(name: str, rows: list[list[float]], owners: list[int] | None = None) -> VectorBatch:
    where = b"" if owners is None else np.array(owners, "<u4").tobytes()
    return VectorBatch(name, 2, np.array(rows, "<f4").tobytes(), where)


def _points(*numbers: int) -> Upsert:
    """``n`` is the id; ``a`` is (id, 0); only the first point has ``e``, (0, id)."""
    return Upsert(
        ids=list(numbers),
        vectors=(_batch("a", [[n, 0] for n in numbers]), _batch("e", [[0, numbers[0]]], [0])),
        payloads=[b'{"n":%d}' % n for n in numbers],
    )


async def _write(shard: ShardClient, change: PointChange) -> int:
    result = await shard.update(UpdateRequest(change, wait=True))
    assert result.status is UpdateStatus.COMPLETED
    assert result.operation_id is not None
    return result.operation_id


async def _payloads(shard: ShardClient) -> dict[object, object]:
    records = await shard.scroll(ScrollRequest(limit=100))
    return {record.id: msgspec.json.decode(record.payload or b"null") for record in records}


async def test_points_come_back_as_they_were_put(shard: ShardClient) -> None:
    operation = await _write(shard, _points(2, 3))
    first, second = await shard.retrieve([3, 9, 2, 3], EVERYTHING)
    assert (first.id, second.id) == (3, 2)
    assert (first.version, first.payload) == (operation, b'{"n":3}')
    assert {name: vector.tolist() for name, vector in (first.vectors or {}).items()} == {"a": [3.0, 0.0]}
    assert {name: vector.tolist() for name, vector in (second.vectors or {}).items()} == {
        "a": [2.0, 0.0],
        "e": [0.0, 2.0],
    }


async def test_only_what_is_asked_for_is_returned(shard: ShardClient) -> None:
    await _write(shard, _points(2))
    (record,) = await shard.retrieve([2], Projection())
    assert (record.payload, record.vectors) == (None, None)
    (record,) = await shard.retrieve([2], Projection(PayloadSelector(exclude=("n",)), ("e",)))
    assert record.payload == b"{}"
    assert (record.vectors or {}).keys() == {"e"}


async def test_operation_ids_grow_and_are_the_versions_of_points(shard: ShardClient) -> None:
    first = await _write(shard, _points(1))
    second = await _write(shard, SetPayload(b'{"x":1}', ids=[1]))
    assert second > first
    (record,) = await shard.retrieve([1], Projection())
    assert record.version == second


async def test_without_wait_a_write_is_acknowledged(shard: ShardClient) -> None:
    result = await shard.update(UpdateRequest(_points(1)))
    assert result.status is UpdateStatus.ACKNOWLEDGED


async def test_searches_rank_by_the_clients_scores(shard: ShardClient) -> None:
    await _write(shard, _points(1, 2, 3))
    await _write(shard, UpdateVectors([1, 2, 3], (_batch("e", [[0, 1], [0, 2], [0, 4]]),)))
    query = np.array([1, 0], np.float32)
    dot, euclid = await shard.search(
        [
            SearchRequest("a", query, 2, projection=EVERYTHING),
            SearchRequest("e", np.zeros(2, np.float32), 5, score_threshold=4.0),
        ]
    )
    assert [record.id for record in dot.records] == [3, 2]
    assert dot.scores.tolist() == [3.0, 2.0]
    assert dot.records[0].payload == b'{"n":3}'
    assert [record.id for record in euclid.records] == [1, 2]
    assert euclid.scores.tolist() == [1.0, 2.0]
    assert euclid.records[0].payload is None


async def test_searches_keep_to_their_filter(shard: ShardClient) -> None:
    await _write(shard, _points(1, 2, 3))
    (hits,) = await shard.search([SearchRequest("a", np.ones(2, np.float32), 5, filter=IS_TWO)])
    assert [record.id for record in hits.records] == [2]


async def test_scroll_goes_by_id_from_its_offset(shard: ShardClient) -> None:
    uuid = "00000000-0000-0000-0000-000000000001"
    await _write(shard, _points(5, 1, 3))
    await _write(shard, Upsert([uuid], (), [b"{}"]))
    records = await shard.scroll(ScrollRequest(limit=2, offset=3))
    assert [record.id for record in records] == [3, 5]
    records = await shard.scroll(ScrollRequest(limit=9, offset=4))
    assert [record.id for record in records] == [5, uuid]


async def test_scroll_orders_by_a_key(shard: ShardClient) -> None:
    await _write(shard, _points(5, 1, 3))
    await _write(shard, Upsert([9], (), [b'{"n":[2,4]}']))
    order = OrderBy("n", Direction.DESC, start_from=4)
    records = await shard.scroll(ScrollRequest(limit=9, order_by=order))
    assert [(record.id, record.order_value) for record in records] == [(9, 4), (3, 3), (9, 2), (1, 1)]


async def test_counts_follow_the_filter(shard: ShardClient) -> None:
    await _write(shard, _points(1, 2, 3))
    assert await shard.count(None, exact=True) == 3
    assert await shard.count(IS_TWO, exact=True) == 1


async def test_facets_count_points_by_value(shard: ShardClient) -> None:
    await _write(shard, _points(1, 2, 3))
    await _write(shard, Upsert([7, 8], (), [b'{"n":[2,2,3]}', b'{"n":2}']))
    by_value = [FacetHit(2, 3), FacetHit(3, 2), FacetHit(1, 1)]
    assert await shard.facet(FacetRequest("n", None)) == by_value
    assert await shard.facet(FacetRequest("n", 2)) == by_value[:2]
    assert await shard.facet(FacetRequest("n", 9, IS_TWO)) == [FacetHit(2, 3), FacetHit(3, 1)]


@pytest.mark.parametrize(
    ("mode", "left"),
    [
        (UpdateMode.INSERT_ONLY, {1: {"n": 1}, 2: {"new": True}}),
        (UpdateMode.UPDATE_ONLY, {1: {"new": True}}),
        (UpdateMode.UPSERT, {1: {"new": True}, 2: {"new": True}}),
    ],
)
async def test_upserts_keep_to_their_mode(
    shard: ShardClient, mode: UpdateMode, left: dict[object, object]
) -> None:
    await _write(shard, _points(1))
    await _write(shard, Upsert([1, 2], (), [b'{"new":true}'] * 2, mode))
    assert await _payloads(shard) == left


async def test_a_condition_guards_existing_points_only(shard: ShardClient) -> None:
    await _write(shard, _points(1, 2))
    await _write(shard, Upsert([1, 2, 3], (), [b"{}"] * 3, condition=IS_TWO))
    assert await _payloads(shard) == {1: {"n": 1}, 2: {}, 3: {}}


async def test_payload_changes(shard: ShardClient) -> None:
    await _write(shard, _points(1, 2))
    await _write(shard, SetPayload(b'{"x":1,"n":null}', ids=[1]))
    await _write(shard, SetPayload(b'{"y":1}', path="o", filter=IS_TWO))
    assert await _payloads(shard) == {1: {"x": 1}, 2: {"n": 2, "o": {"y": 1}}}
    await _write(shard, DeletePayload(("o.y",), ids=[2]))
    await _write(shard, OverwritePayload(b'{"z":null}', ids=[1]))
    assert await _payloads(shard) == {1: {"z": None}, 2: {"n": 2, "o": {}}}
    await _write(shard, ClearPayload(filter=IS_TWO))
    assert await _payloads(shard) == {1: {"z": None}, 2: {}}


async def test_vectors_are_deleted_by_filter_and_id(shard: ShardClient) -> None:
    await _write(shard, _points(1, 2, 3))
    await _write(shard, DeleteVectors(("a",), ids=[1], filter=IS_TWO))
    records = await shard.retrieve([1, 2, 3], EVERYTHING)
    assert [sorted(record.vectors or {}) for record in records] == [["e"], [], ["a"]]


async def test_points_are_deleted_by_id_or_filter(shard: ShardClient) -> None:
    await _write(shard, _points(1, 2, 3))
    await _write(shard, DeletePoints(ids=[1, 99]))
    await _write(shard, DeletePoints(filter=IS_TWO))
    assert (await _payloads(shard)).keys() == {3}


@pytest.mark.parametrize(
    "change",
    [
        SetPayload(b"{}", ids=[9]),
        DeleteVectors(("a",), ids=[9]),
        UpdateVectors([9], (_batch("a", [[1, 1]]),)),
    ],
)
async def test_a_missing_point_is_not_found(shard: ShardClient, change: PointChange) -> None:
    with pytest.raises(NotFound, match="No point with id 9 found"):
        await shard.update(UpdateRequest(change, wait=True))


async def test_a_change_within_some_points_leaves_the_others_alone(shard: ShardClient) -> None:
    await _write(shard, _points(1, 2, 3))
    await _write(shard, DeletePoints(ids=[1, 3], within=IS_TWO))
    await _write(shard, SetPayload(b'{"x":1}', filter=Filter(), within=IS_TWO))
    with pytest.raises(NotFound):
        await _write(shard, OverwritePayload(b"{}", ids=[1], within=IS_TWO))
    with pytest.raises(Forbidden, match="Point 3 exists"):
        await _write(shard, replace(_points(4, 3), within=IS_TWO))
    assert await _payloads(shard) == {1: {"n": 1}, 2: {"n": 2, "x": 1}, 3: {"n": 3}}
