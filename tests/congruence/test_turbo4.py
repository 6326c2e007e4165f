"""Vectors of four bits a component lose no more than in Qdrant's own engine: not of what is stored, not of
scores, and not of what exact searches find."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import qdrant_edge as edge
from qdrant_client import QdrantClient, models

from tests.congruence.edge import DISTANCES
from tests.congruence.server import serving

Floats = npt.NDArray[np.float64]

DIMS = (32, 100)
POINTS, QUERIES, LIMIT = 1200, 60, 10
CASES = [(distance, dim) for distance in DISTANCES for dim in DIMS]
# Both round the same vectors to 16 levels, each in its own basis: they differ by chance, in recall by some
# 0.01 over all queries (0.3 of a hit each).
CHANCE, RECALL_CHANCE = 1.1, 0.03


def name_of(distance: str, dim: int) -> str:
    return f"{distance.lower()}_{dim}"


def made(dim: int, count: int, seed: int) -> Floats:
    """Clusters, stretched unevenly over the components."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(1).normal(size=(40, dim))
    spread = np.linspace(3, 0.3, dim)
    found = (centres[rng.integers(0, 40, count)] + rng.normal(size=(count, dim))) * spread
    return found.astype(np.float32).astype(np.float64)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantClient]:
    with serving(tmp_path_factory.mktemp("turbo4")) as urls:
        client = QdrantClient(url=urls[0], timeout=120, check_compatibility=False)
        params = {
            name_of(distance, dim): models.VectorParams(
                size=dim, distance=models.Distance(distance), datatype=models.Datatype.TURBO4
            )
            for distance, dim in CASES
        }
        client.create_collection("t", vectors_config=params)
        for first in range(0, POINTS, 200):
            client.upsert("t", models.Batch(**batch(first, first + 200)), wait=True)
        yield client
        client.close()


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[edge.EdgeShard]:
    params = {
        name_of(distance, dim): edge.EdgeVectorParams(
            size=dim, distance=DISTANCES[distance], datatype=edge.VectorStorageDatatype.Turbo4
        )
        for distance, dim in CASES
    }
    directory = tmp_path_factory.mktemp("edge") / "shard"
    Path(directory).mkdir()
    shard = edge.EdgeShard.create(str(directory), edge.EdgeConfig(vectors=params))
    given = batch(0, POINTS)
    points = [
        edge.Point(point, {name: rows[point] for name, rows in given["vectors"].items()}, None)
        for point in given["ids"]
    ]
    shard.update(edge.UpdateOperation.upsert_points(points))
    yield shard
    shard.close()


def batch(first: int, last: int) -> dict[str, Any]:
    vectors = {name_of(distance, dim): made(dim, POINTS, 2)[first:last].tolist() for distance, dim in CASES}
    return {"ids": [*range(first, last)], "vectors": vectors}


def true_scores(distance: str, queries: Floats, rows: Floats) -> Floats:
    if distance == "Cosine":
        queries, rows = unit(queries), unit(rows)
    if distance in ("Cosine", "Dot"):
        return queries @ rows.T
    difference = queries[:, np.newaxis] - rows
    if distance == "Euclid":
        return np.linalg.norm(difference, axis=2)
    scores: Floats = np.abs(difference).sum(axis=2)
    return scores


def unit(rows: Floats) -> Floats:
    scaled: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return scaled


@pytest.mark.parametrize(("distance", "dim"), CASES)
def test_no_more_is_lost_than_in_the_engine(
    ours: QdrantClient, judge: edge.EdgeShard, distance: str, dim: int
) -> None:
    using = name_of(distance, dim)
    given, queries = made(dim, POINTS, 2), made(dim, QUERIES, 3)
    wanted = true_scores(distance, queries, given)
    order = -wanted if distance in ("Cosine", "Dot") else wanted
    best = np.argsort(order, axis=1)[:, :LIMIT]
    lost, found = [], []
    for vectors, search in ((our_vectors, our_search), (their_vectors, their_search)):
        side = ours if vectors is our_vectors else judge
        shown = vectors(side, using)
        stored = unit(given) if distance == "Cosine" else given
        lost.append(np.mean(np.square(shown - stored).sum(axis=1) / np.square(stored).sum(axis=1)))
        hits, errors = [], []
        for query, truth, nearest in zip(queries, wanted, best, strict=True):
            answer = search(side, using, query.tolist())
            hits.append(len({*answer} & {*nearest.tolist()}) / LIMIT)
            errors += [abs(score - truth[point]) for point, score in answer.items()]
        found.append((np.mean(hits), np.mean(errors)))
    assert lost[0] <= CHANCE * lost[1]
    (recall, error), (their_recall, their_error) = found
    assert recall >= their_recall - RECALL_CHANCE
    assert error <= CHANCE * their_error


def our_vectors(client: QdrantClient, using: str) -> Floats:
    records = client.retrieve("t", [*range(POINTS)], with_vectors=[using], with_payload=False)
    vectors: dict[int, Any] = {int(record.id): record.vector for record in records}
    return np.array([vectors[point][using] for point in range(POINTS)])


def their_vectors(shard: edge.EdgeShard, using: str) -> Floats:
    records = shard.retrieve([*range(POINTS)], with_payload=False, with_vector=True)
    vectors: dict[int, Any] = {int(str(record.id)): record.vector for record in records}
    return np.array([vectors[point][using] for point in range(POINTS)])


def our_search(client: QdrantClient, using: str, query: list[float]) -> dict[int, float]:
    exact = models.SearchParams(exact=True)
    found = client.query_points("t", query, using=using, limit=LIMIT, search_params=exact).points
    return {int(hit.id): hit.score for hit in found}


def their_search(shard: edge.EdgeShard, using: str, query: list[float]) -> dict[int, float]:
    request = edge.SearchRequest(
        query=edge.Query.Nearest(query, using=using), limit=LIMIT, params=edge.SearchParams(exact=True)
    )
    return {int(str(hit.id)): hit.score for hit in shard.search(request)}
