"""Distance matrices of whole collections are those of qdrant-client's local mode, over both protocols,
whatever the number of shards; of samples they are right for the points chosen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from tests.congruence.material import DISTANCES, VECTORS, make_points
from tests.congruence.server import serving_nodes
from tests.congruence.test_protocols import over_grpc

SHARDS = {"one": 1, "six": 6}
RED = models.Filter(must_not=[models.FieldCondition(key="tag", match=models.MatchValue(value="red"))])


class World:
    def __init__(self, clients: list[QdrantClient]) -> None:
        self.clients, self.local = clients, QdrantClient(":memory:")
        config = {
            name: models.VectorParams(size=size, distance=models.Distance(distance))
            for name, (size, distance) in VECTORS.items()
        }
        points = [models.PointStruct(**point) for point in make_points(seed=6)]
        self.points = {str(point.id): point for point in points}
        self.local.create_collection("c", vectors_config=config)
        self.local.upsert("c", points)
        for name, shards in SHARDS.items():
            clients[0].create_collection(name, vectors_config=config, shard_number=shards)
            for start in range(0, len(points), 40):
                clients[0].upsert(name, points[start : start + 40], wait=True)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving_nodes(tmp_path_factory.mktemp("matrix")) as nodes:
        rest = QdrantClient(url=nodes[0].url, timeout=60, check_compatibility=False)
        yield World([rest, over_grpc(QdrantClient, nodes[-1])])


def rows_of(pairs: models.SearchMatrixPairsResponse) -> dict[str, list[tuple[str, float]]]:
    rows: dict[str, list[tuple[str, float]]] = {}
    for pair in pairs.pairs:
        rows.setdefault(str(pair.a), []).append((str(pair.b), pair.score))
    return rows


def same(found: dict[str, list[tuple[str, float]]], expected: dict[str, list[tuple[str, float]]]) -> None:
    assert list(found) == list(expected)
    for point_id, neighbours in expected.items():
        np.testing.assert_allclose(
            [score for _, score in found[point_id]], [score for _, score in neighbours], atol=1e-5
        )
        assert {name for name, _ in found[point_id]} == {name for name, _ in neighbours}


@pytest.mark.parametrize("condition", [None, RED], ids=["all", "filtered"])
@pytest.mark.parametrize("distance", DISTANCES)
def test_whole_matrices_are_those_of_local_mode(world: World, distance: str, condition: Any) -> None:
    ask: dict[str, Any] = {
        "query_filter": condition,
        "sample": 1000,
        "limit": 4,
        "using": distance.lower(),
    }
    expected = rows_of(world.local.search_matrix_pairs("c", **ask))
    for client in world.clients:
        for name in SHARDS:
            pairs = client.search_matrix_pairs(name, **ask)
            same(rows_of(pairs), expected)
            offsets = client.search_matrix_offsets(name, **ask)
            assert [str(point_id) for point_id in offsets.ids] == list(expected)
            named = zip(offsets.offsets_row, offsets.offsets_col, offsets.scores, strict=True)
            listed = [(offsets.ids[row], offsets.ids[column], score) for row, column, score in named]
            assert listed == [(pair.a, pair.b, pair.score) for pair in pairs.pairs]


def test_samples_are_of_the_size_asked_for_and_right(world: World) -> None:
    for client in world.clients:
        for name in SHARDS:
            found = client.search_matrix_offsets(name, using="euclid", sample=20, limit=3)
            assert len(found.ids) == 20
            assert len(found.scores) == 60
            rows = [np.array(world.points[str(each)].vector["euclid"]) for each in found.ids]
            for row, column, score in zip(found.offsets_row, found.offsets_col, found.scores, strict=True):
                assert row != column
                assert score == pytest.approx(np.linalg.norm(rows[row] - rows[column]), abs=1e-5)


def test_nothing_to_compare_is_an_empty_matrix(world: World) -> None:
    nobody = models.Filter(must=[models.HasIdCondition(has_id=[1])])
    for client in world.clients:
        assert client.search_matrix_pairs("six", query_filter=nobody, using="dot").pairs == []
        found = client.search_matrix_offsets("six", query_filter=nobody, using="dot")
        assert (found.ids, found.scores, found.offsets_row, found.offsets_col) == ([], [], [], [])


@pytest.mark.parametrize(
    ("ask", "text"),
    [
        ({"using": "nowhere"}, "Not existing vector name error: nowhere"),
        ({"using": "dot", "sample": 1}, "value 1 invalid, must be 2 or larger"),
        ({"using": "dot", "limit": 0}, "value 0 invalid, must be 1 or larger"),
    ],
)
def test_what_is_wrong_is_said_over_both(world: World, ask: dict[str, Any], text: str) -> None:
    for client in world.clients:
        with pytest.raises(Exception, match=r".") as told:
            client.search_matrix_pairs("one", **ask)
        error: Any = told.value
        assert text in (error.content.decode() if hasattr(error, "content") else error.details())
