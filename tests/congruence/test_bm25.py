"""Documents for BM25 become the vectors of Qdrant's own engine wherever a vector may stand, over both
protocols."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import numpy as np
import pytest
import qdrant_edge as edge
from qdrant_client import QdrantClient, models

from tests.congruence.server import serving_nodes

TEXTS = (
    "The quick brown foxes are running over the lazy dog",
    "A fox, a dog and a wine: red wine",
    "wines of the world, mostly red",
    "",
    "Die schnellen Füchse laufen über den Hund",
)
MODEL = "Qdrant/BM25"
OPTIONS: list[dict[str, Any]] = [
    {},
    {"k": 0.5, "b": 0.25, "avg_len": 5.0},
    {"language": "german", "min_token_len": 4, "ascii_folding": True},
]


def document(text: str, options: dict[str, Any] | None = None) -> models.Document:
    return models.Document(text=text, model=MODEL, options=options or None)


class World:
    def __init__(self, clients: list[QdrantClient], url: str) -> None:
        self.clients, self.url = clients, url

    def create(self, name: str) -> None:
        self.clients[0].create_collection(
            name,
            vectors_config={"d": models.VectorParams(size=2, distance=models.Distance.DOT)},
            sparse_vectors_config={"s": models.SparseVectorParams(), "t": models.SparseVectorParams()},
            shard_number=3,
        )

    def stored(self, name: str, vector: str) -> dict[Any, dict[int, float]]:
        records, _ = self.clients[0].scroll(name, with_vectors=True)
        found = {record.id: record.vector for record in records}
        return {
            point_id: dict(zip(vectors[vector].indices, vectors[vector].values, strict=True))
            for point_id, vectors in found.items()
            if vector in vectors
        }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving_nodes(tmp_path_factory.mktemp("bm25")) as nodes:
        options = {"timeout": 60, "check_compatibility": False, "cloud_inference": True}
        rest = QdrantClient(url=nodes[0].url, **options)
        grpc = QdrantClient(url=nodes[-1].url, grpc_port=nodes[-1].grpc_port, prefer_grpc=True, **options)
        yield World([rest, grpc], nodes[0].url)


def judged(text: str, options: dict[str, Any], *, searching: bool = False) -> dict[int, float]:
    model = edge.Bm25(edge.Bm25Config(**options))
    found = model.embed_query(text) if searching else model.embed_document(text)
    return dict(zip(found.indices, found.values, strict=True))


def same(found: dict[int, float], expected: dict[int, float]) -> None:
    assert found.keys() == expected.keys()
    np.testing.assert_allclose([found[index] for index in expected], list(expected.values()), rtol=1e-5)


@pytest.mark.parametrize("options", OPTIONS, ids=["defaults", "weights", "german"])
def test_documents_are_stored_and_searched_as_the_engine_would(world: World, options: dict[str, Any]) -> None:
    for number, client in enumerate(world.clients):
        name = f"documents {OPTIONS.index(options)} {number}"
        world.create(name)
        points = [
            models.PointStruct(id=i, vector={"s": document(text, options), "d": [i, 1.0]})
            for i, text in enumerate(TEXTS)
        ]
        client.upsert(name, points, wait=True)
        stored = world.stored(name, "s")
        for i, text in enumerate(TEXTS):
            same(stored[i], judged(text, options))
        for text in (*TEXTS, "red wine", "Füchse"):
            query = judged(text, options, searching=True)
            scores = {
                i: sum(weight * stored[i].get(index, 0) for index, weight in query.items())
                for i in range(len(TEXTS))
            }
            found = client.query_points(name, query=document(text, options), using="s", limit=10).points
            assert {point.id for point in found} == {i for i, score in scores.items() if score}
            for point in found:
                assert point.score == pytest.approx(scores[point.id], rel=1e-5)


def test_every_write_takes_documents(world: World) -> None:
    for number, client in enumerate(world.clients):
        name = f"writes {number}"
        world.create(name)
        client.upsert(
            name,
            models.Batch(
                ids=[1, 2],
                vectors={"s": [document(TEXTS[0]), document(TEXTS[1])], "t": [document(TEXTS[2])] * 2},
                payloads=[{"big": 2**63 - 1}, {"f": 1.5}],
            ),
            wait=True,
        )
        client.update_vectors(
            name, [models.PointVectors(id=2, vector={"s": document(TEXTS[4]), "d": [1, 2]})], wait=True
        )
        client.batch_update_points(
            name,
            [
                models.UpsertOperation(
                    upsert=models.PointsList(
                        points=[models.PointStruct(id=3, vector={"t": document(TEXTS[1])})]
                    )
                ),
                models.UpdateVectorsOperation(
                    update_vectors=models.UpdateVectors(
                        points=[models.PointVectors(id=3, vector={"s": document(TEXTS[2])})]
                    )
                ),
            ],
            wait=True,
        )
        for vector, texts in {
            "s": {1: TEXTS[0], 2: TEXTS[4], 3: TEXTS[2]},
            "t": {1: TEXTS[2], 2: TEXTS[2], 3: TEXTS[1]},
        }.items():
            stored = world.stored(name, vector)
            assert stored.keys() == texts.keys()
            for point_id, text in texts.items():
                same(stored[point_id], judged(text, {}))
        assert client.retrieve(name, [1])[0].payload == {"big": 2**63 - 1}


def test_batches_and_groups_search_by_documents(world: World) -> None:
    world.create("queries")
    points = [
        models.PointStruct(id=i, vector={"s": document(text)}, payload={"g": i % 2})
        for i, text in enumerate(TEXTS)
    ]
    world.clients[0].upsert("queries", points, wait=True)
    wine = models.QueryRequest(query=models.NearestQuery(nearest=document("red wine")), using="s", limit=5)
    for client in world.clients:
        answers = client.query_batch_points("queries", [wine, wine])
        assert [[point.id for point in answer.points] for answer in answers] == [[1, 2], [1, 2]]
        groups = client.query_points_groups("queries", "g", query=document("red wine"), using="s").groups
        assert [(group.id, [hit.id for hit in group.hits]) for group in groups] == [(1, [1]), (0, [2])]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (models.Document(text="x", model="another/model"), "InferenceService URL not configured"),
        (models.Document(text="x", model=MODEL, options={"k": -1}), "Invalid BM25 config"),
        (models.Image(image="http://x", model=MODEL), f"Only text input is supported for {MODEL}."),
        (models.InferenceObject(object={"a": 1}, model="bm25"), "Only text input is supported for bm25."),
        (models.Document(text="x", model=""), "must not be empty"),
    ],
)
def test_what_cannot_be_embedded_is_refused_over_both(world: World, query: Any, text: str) -> None:
    if not world.clients[0].collection_exists("refusals"):
        world.create("refusals")
    for client in world.clients:
        point = models.PointStruct(id=1, vector={"s": query})
        for ask in (
            partial(client.query_points, "refusals", query=query, using="s"),
            partial(client.upsert, "refusals", [point]),
        ):
            with pytest.raises(Exception, match=r".") as told:
                ask()
            error: Any = told.value
            assert text in (error.content.decode() if hasattr(error, "content") else error.details())
    assert world.clients[0].count("refusals").count == 0


def test_a_document_among_plain_vectors_over_plain_http(world: World) -> None:
    """Vectors of all forms in one body, an unnamed document that fits nowhere, and odd payloads."""
    world.create("http")
    url = f"{world.url}/collections/http/points?wait=true"
    body = {
        "points": [
            {"id": 1, "vector": {"d": [1, 2], "s": {"text": "red wine", "model": "bm25"}}},
            {"id": 2, "vector": {"d": [1, 2], "s": {"indices": [5], "values": [0.5]}}, "payload": {"n": 1.0}},
            {"id": 3, "vector": {}},
        ]
    }
    assert httpx.put(url, json=body).status_code == 200
    assert world.stored("http", "s")[2] == {5: 0.5}
    same(world.stored("http", "s")[1], judged("red wine", {}))
    unnamed = {"points": [{"id": 4, "vector": {"text": "red wine", "model": "bm25"}}]}
    answer = httpx.put(url, json=unnamed)
    assert answer.status_code == 400
    assert "Not existing vector name" in answer.text
