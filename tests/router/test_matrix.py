"""Distance matrices, with shards in memory."""

from __future__ import annotations

import numpy as np
import pytest

from protos.collections import CreateCollection, Distance, VectorParams
from protos.errors import BadInput
from protos.filters import Filter, HasId
from protos.operations import Upsert, VectorBatch
from protos.shard import UpdateRequest
from router import matrix
from router.collections import CollectionOperations
from router.matrix import Matrix, MatrixQuery, distance_matrix
from router.queries.operations import SearchOperations
from router.queries.requests import ReadOptions
from router.shards import split_ids
from tests.router.fakes import FakeLog, FakeNode

POINTS = 40
ROWS = np.random.default_rng(3).normal(size=(POINTS, 4)).astype("<f4")


async def filled(shards: int, distance: Distance = Distance.EUCLID) -> tuple[FakeNode, SearchOperations]:
    """Every tenth point lacks the vector."""
    node = FakeNode()
    collections = CollectionOperations(FakeLog(), node)
    vectors = {"v": VectorParams(4, distance), "w": VectorParams(4, distance)}
    await collections.create("c", CreateCollection(vectors=vectors, shard_number=shards))
    owned = split_ids(collections.resolve("c"), range(POINTS), None)
    for shard, places in owned.items():
        for name, rest in (("w", True), ("v", False)):
            ids = [point for point in places.tolist() if (point % 10 == 0) == rest]
            batch = VectorBatch(name, 4, ROWS[ids].tobytes())
            await node.shards["c", shard].update(UpdateRequest(Upsert(ids, (batch,), [b"{}"] * len(ids))))
    return node, SearchOperations(collections, node)


async def asked(searches: SearchOperations, query: MatrixQuery) -> Matrix:
    return await distance_matrix(searches, "c", query, ReadOptions())


@pytest.mark.parametrize("distance", [Distance.EUCLID, Distance.DOT])
@pytest.mark.parametrize("shards", [1, 6])
async def test_neighbours_are_the_nearest_of_the_sample(
    shards: int, distance: Distance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A point need not be nearest to itself, and still takes no place from the others."""
    monkeypatch.setattr(matrix, "_IDS_PER_TRIP", 100)
    _, searches = await filled(shards, distance)
    found = await asked(searches, MatrixQuery(sample=20, limit=5, using="v"))
    assert found.ids == sorted(set(found.ids))
    assert len(found.ids) == 20
    assert not {point_id for point_id in found.ids if int(point_id) % 10 == 0}
    ids = np.array(found.ids)
    for point_id, hits in zip(found.ids, found.neighbours, strict=True):
        others = ids[ids != point_id]
        own = ROWS[int(point_id)]
        away = (
            np.linalg.norm(ROWS[others] - own, axis=1)
            if distance is Distance.EUCLID
            else -(ROWS[others] @ own)
        )
        assert [record.id for record in hits.records] == others[np.argsort(away)[:5]].tolist()
        np.testing.assert_allclose(np.abs(hits.scores), np.abs(np.sort(away)[:5]), rtol=1e-5, atol=1e-5)


async def test_offsets_name_places_in_the_ids() -> None:
    _, searches = await filled(2)
    found = await asked(searches, MatrixQuery(sample=7, limit=2, using="v"))
    rows, columns = found.offsets()
    assert rows == [row for row in range(7) for _ in range(2)]
    listed = [record.id for hits in found.neighbours for record in hits.records]
    assert [found.ids[column] for column in columns] == listed
    assert len(found.scores) == 14


async def test_a_matrix_keeps_to_its_filter_and_small_ones_are_whole() -> None:
    _, searches = await filled(3)
    few = Filter(must=(HasId((1, 2, 3, 10)),))
    found = await asked(searches, MatrixQuery(sample=10, limit=9, using="v", filter=few))
    assert found.ids == [1, 2, 3]
    assert [len(hits.records) for hits in found.neighbours] == [2, 2, 2]


async def test_fewer_than_two_points_make_no_matrix() -> None:
    _, searches = await filled(3)
    for ids in ((), (5,), (5, 10)):
        found = await asked(searches, MatrixQuery(using="v", filter=Filter(must=(HasId(ids),))))
        assert found == Matrix([], [])
        assert found.offsets() == ([], [])
        assert found.scores.tolist() == []


async def test_an_unknown_vector_is_refused() -> None:
    _, searches = await filled(1)
    with pytest.raises(BadInput, match="Not existing vector name error: x"):
        await asked(searches, MatrixQuery(using="x"))
