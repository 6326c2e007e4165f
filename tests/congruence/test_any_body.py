"""Whatever a schema allows is answered as the schema says or refused, and never with an internal error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, find, given, settings
from pydantic import TypeAdapter
from qdrant_client.http import models

from tests.congruence.bodies import POINTS, Bodies
from tests.congruence.server import examples, serving, whoever_is_asked

ROUTES: dict[str, tuple[Any, Any]] = {
    "points/query": (models.QueryRequest, models.QueryResponse),
    "points/query/batch": (models.QueryRequestBatch, list[models.QueryResponse]),
    "points/query/groups": (models.QueryGroupsRequest, models.GroupsResult),
    "points/scroll": (models.ScrollRequest, models.ScrollResult),
    "points/count": (models.CountRequest, models.CountResult),
    "points": (models.PointRequest, list[models.Record]),
    "points/search/matrix/pairs": (models.SearchMatrixRequest, models.SearchMatrixPairsResponse),
    "points/search/matrix/offsets": (models.SearchMatrixRequest, models.SearchMatrixOffsetsResponse),
    "facet": (models.FacetRequest, models.FacetResponse),
}
# Method and path under a collection of their own, which they may leave in any state.
WRITES: dict[str, tuple[Any, Any]] = {
    "PUT points": (models.PointInsertOperations, models.UpdateResult),
    "POST points/delete": (models.PointsSelector, models.UpdateResult),
    "PUT points/vectors": (models.UpdateVectors, models.UpdateResult),
    "POST points/vectors/delete": (models.DeleteVectors, models.UpdateResult),
    "POST points/payload": (models.SetPayload, models.UpdateResult),
    "PUT points/payload": (models.SetPayload, models.UpdateResult),
    "POST points/payload/delete": (models.DeletePayload, models.UpdateResult),
    "POST points/payload/clear": (models.PointsSelector, models.UpdateResult),
    "POST points/batch": (models.UpdateOperations, list[models.UpdateResult]),
    "PUT index": (models.CreateFieldIndex, models.UpdateResult),
}
# Right bodies of these are too seldom made: vectors or names must fit the collection.
SELDOM = {"PUT points", "PUT points/vectors", "POST points/vectors/delete", "POST points/batch"}
INDEXES = {"n": "integer", "tag": "keyword", "place": "geo", "at": "datetime"}
# What a server without an inference service answers to documents of any model (reference 16.1).
NO_INFERENCE = "InferenceService URL not configured"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A collection, and another to look things up in."""
    with serving(tmp_path_factory.mktemp("any")) as urls, httpx.Client(base_url=urls[0], timeout=60) as found:
        for name in ("c", "other", "written"):
            fill(found, name)
        yield found


def fill(client: httpx.Client, name: str) -> None:
    """A collection of every kind of vector on three shards, with points and indexes."""
    several = {"size": 3, "distance": "Cosine", "multivector_config": {"comparator": "max_sim"}}
    vectors = {"dense": {"size": 3, "distance": "Euclid"}, "several": several}
    body = {"vectors": vectors, "sparse_vectors": {"words": {"modifier": "idf"}}, "shard_number": 3}
    assert client.put(f"/collections/{name}", json=body).status_code == 200
    for field, kind in INDEXES.items():
        body = {"field_name": field, "field_schema": kind}
        client.put(f"/collections/{name}/index?wait=true", json=body)
    points = [_point(number) for number in range(POINTS)]
    answer = client.put(f"/collections/{name}/points?wait=true", json={"points": points})
    assert answer.status_code == 200, answer.text


def _point(number: int) -> dict[str, Any]:
    row = [number / 4, 1.0, -number / 3]
    vector = {
        "dense": row,
        "several": [row, row[::-1]],
        "words": {"indices": [number % 5, 7], "values": [1, 2]},
    }
    payload = {
        "n": number,
        "tag": ["red", "c"][number % 2],
        "place": {"lat": number, "lon": -number},
        "at": f"2021-03-{number + 1:02}T00:00:00Z",
        "a": {"b": [number, "red"]},
    }
    return {"id": number, "vector": vector, "payload": payload}


@pytest.mark.parametrize("route", ROUTES)
def test_any_body_is_answered_or_refused_as_the_schema_says(client: httpx.Client, route: str) -> None:
    assert send_any(client, "POST", f"/collections/c/{route}", *ROUTES[route]), "nothing was answered"


@pytest.mark.parametrize("route", WRITES)
def test_any_write_is_done_or_refused_as_the_schema_says(client: httpx.Client, route: str) -> None:
    method, path = route.split()
    answered = send_any(client, method, f"/collections/written/{path}", *WRITES[route])
    assert answered or route in SELDOM, "nothing was done"


def send_any(client: httpx.Client, method: str, path: str, asked: Any, answered: Any) -> int:
    """How many bodies were answered with a result."""
    result, told = TypeAdapter(answered), [0]

    @settings(
        max_examples=max(examples(150), 100),  # of fewer, all may be wrong
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(body=Bodies(TypeAdapter(asked).json_schema()).strategy())
    def check(body: Any) -> None:
        answer = client.request(method, path, json=body)
        found = answer.json()
        if answer.status_code == 200:
            told[0] += 1
            assert found["status"] == "ok"
            result.validate_python(found["result"])
        else:
            text = found["status"]["error"]
            assert answer.status_code < 500 or NO_INFERENCE in text, (text, json.dumps(body))
            assert "result" not in found

    check()
    return told[0]


QUERIES = Bodies(models.QueryRequest.model_json_schema()).strategy().map(lambda body: body.get("query"))
KINDS = {
    *("nearest", "recommend", "discover", "context", "order_by", "fusion", "formula", "sample"),
    *("rrf", "relevance_feedback", "list", "int", "str"),
}


@whoever_is_asked
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_bodies_reach_every_kind_of_query(kind: str) -> None:
    """The generator is not worth much if a kind never comes up; ``find`` fails when none does."""

    def is_such(query: Any) -> bool:
        return kind in query if isinstance(query, dict) else kind == type(query).__name__

    found = find(
        QUERIES, is_such, settings=settings(max_examples=5000, suppress_health_check=list(HealthCheck))
    )
    assert is_such(found)
