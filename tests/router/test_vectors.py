"""Vectors of requests: packed for writing, and made ready to search by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from protos.collections import CollectionParams, Distance, MultiVectorConfig, SparseVectorParams, VectorParams
from protos.errors import BadInput
from protos.operations import VectorKind
from protos.shard import SparseVector
from router.vectors import SparseValues, VectorRows, pack, query_vector

SEVERAL = VectorParams(2, Distance.DOT, multivector_config=MultiVectorConfig("max_sim"))
ONE = VectorParams(2, Distance.DOT)
PARAMS = CollectionParams({"several": SEVERAL, "one": ONE})
OF_KINDS = "Conversion between multi and regular vectors failed"


def test_multivectors_are_packed_one_after_another() -> None:
    rows = VectorRows([0, 2], [[[1.0, 2.0], [3.0, 4.0]], [5.0, 6.0]])  # the last: a single sub-vector
    (batch,) = pack({"several": rows}, PARAMS, 3)
    assert batch.kind is VectorKind.MULTI
    assert batch.matrix().tolist() == [[1, 2], [3, 4], [5, 6]]
    assert batch.offsets().tolist() == [0, 2, 3]
    assert batch.row_of_point(3).tolist() == [0, -1, 1]


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("several", [[1.0, 2.0], [3.0]], "Vector dimension error: expected dim: 2, got 1"),
        ("several", [[1.0, 2.0, 3.0]], "Vector dimension error: expected dim: 2, got 3"),
        ("several", [1.0], "Vector dimension error: expected dim: 2, got 1"),
        ("several", [[1.0, 1e39]], "must be finite"),
        ("several", SparseValues([1], [1.0]), "Conversion between sparse and regular vectors failed"),
        ("one", [[1.0, 2.0]], OF_KINDS),
    ],
)
def test_vectors_that_do_not_fit_are_refused(name: str, value: Any, text: str) -> None:
    with pytest.raises(BadInput, match=text):
        pack({name: VectorRows([0], [value])}, PARAMS, 1)
    with pytest.raises(BadInput, match=text):
        query_vector(value, PARAMS.vectors[name])


@pytest.mark.parametrize("value", [[1.0, 2.0], [[1.0, 2.0]], np.float32([1, 2]), np.float32([[1, 2]])])
def test_one_vector_searches_multivectors_as_one_sub_vector(value: Any) -> None:
    found = query_vector(value, SEVERAL)
    assert not isinstance(found, SparseVector)
    assert found.tolist() == [[1, 2]]


def test_a_stored_multivector_searches_no_plain_vectors() -> None:
    with pytest.raises(BadInput, match=OF_KINDS):
        query_vector(np.float32([[1, 2]]), ONE)
    with pytest.raises(BadInput, match="sparse"):
        query_vector(np.float32([[1, 2]]), SparseVectorParams())


@pytest.mark.parametrize("count", [2, 5000])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_query_has_finite_components_however_large_they_are(count: int, bad: float) -> None:
    params = VectorParams(count, Distance.DOT)
    large = np.full(count, np.finfo(np.float32).max, np.float32)
    assert query_vector(large, params) is large
    large[-1] = bad
    with pytest.raises(BadInput, match="must be finite"):
        query_vector(large, params)
