"""Multivectors over REST: what is wrong with one, in writes and in queries (reference 12)."""

from __future__ import annotations

from typing import Any

import pytest

from protos.operations import Upsert
from router import checks
from tests.router.rest.conftest import Rest

POINTS = "/collections/c/points"
SEVERAL = {"size": 2, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}}

WRONG: list[tuple[Any, int, str]] = [
    ([[]], 422, "all vectors must be non-empty"),
    ([[1, 2], []], 422, "all vectors must be non-empty"),
    ([[1, 2], [3]], 422, "all vectors must have the same dimension, found vector with dimension 1"),
    ([[1], [2]], 400, "Wrong input: Vector dimension error: expected dim: 2, got 1"),
    ([1], 400, "Wrong input: Vector dimension error: expected dim: 2, got 1"),
    ([[1, 2], 3], 400, "Format error in JSON body"),
    ([1, [2, 3]], 400, "Format error in JSON body"),
    ([[[1, 2]]], 400, "Format error in JSON body"),
]


@pytest.fixture
async def several(rest: Rest) -> Rest:
    await rest.create(vectors=SEVERAL)
    return rest


@pytest.mark.parametrize(("vector", "status", "text"), WRONG)
@pytest.mark.parametrize("batch", [False, True], ids=["points", "batch"])
async def test_a_wrong_multivector_is_not_written(
    several: Rest, vector: Any, status: int, text: str, batch: bool
) -> None:
    body: Any = {"points": [{"id": 1, "vector": vector}]}
    if batch:
        body = {"batch": {"ids": [1], "vectors": [vector]}}
    answer = await several.put(POINTS, body)
    assert answer.status == status, answer.body
    assert text in answer.error
    assert several.shards()[0].requests == []


@pytest.mark.parametrize(("vector", "status", "text"), WRONG)
async def test_a_wrong_multivector_is_not_searched_by(
    several: Rest, vector: Any, status: int, text: str
) -> None:
    answer = await several.post(f"{POINTS}/query", {"query": vector})
    assert answer.status == status, answer.body
    assert text in answer.error


async def test_a_multivector_has_fewer_numbers_than_a_limit(
    several: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checks.MULTIVECTOR_MAX == 1_048_576
    monkeypatch.setattr(checks, "MULTIVECTOR_MAX", 64)
    point = {"id": 1, "vector": [[1, 2]] * 32}
    answer = await several.put(POINTS, {"points": [point]})
    assert answer.status == 422
    assert "Total size of all vectors (64) must be less than 64" in answer.error
    point["vector"] = [[1, 2]] * 31
    assert (await several.put(POINTS, {"points": [point]})).status == 200


async def test_a_plain_vector_is_written_as_one_sub_vector(several: Rest) -> None:
    points = [{"id": 1, "vector": [1, 2]}, {"id": 2, "vector": [[3, 4], [5, 6]]}]
    assert (await several.put(POINTS, {"points": points})).status == 200
    change = several.shards()[0].requests[0].change
    assert isinstance(change, Upsert)
    (batch,) = change.vectors
    assert batch.offsets().tolist() == [0, 1, 3]
