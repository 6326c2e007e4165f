"""The forms that multivectors have on the wire, those of old clients among them."""

from __future__ import annotations

import numpy as np
import pytest

from protos.errors import InvalidField
from protos.qdrant import points_pb2 as wire
from protos.shard import FloatArray
from router.grpc.convert.vectors import fill_vectors, query_vector, stored_vector
from router.grpc.errors import Unconvertible
from router.vectors import SparseValues


def several(rows: list[list[float]]) -> wire.MultiDenseVector:
    return wire.MultiDenseVector(vectors=[wire.DenseVector(data=row) for row in rows])


@pytest.mark.parametrize(
    "message",
    [
        wire.Vector(multi_dense=several([[1, 2], [3, 4], [5, 6]])),
        wire.Vector(data=[1, 2, 3, 4, 5, 6], vectors_count=3),
        wire.VectorInput(multi_dense=several([[1, 2], [3, 4], [5, 6]])),
    ],
)
def test_sub_vectors_are_rows(message: wire.Vector | wire.VectorInput) -> None:
    convert = stored_vector if isinstance(message, wire.Vector) else query_vector
    found = convert(message, "v")  # type: ignore[operator]
    assert not isinstance(found, SparseValues)
    assert found.dtype == np.float32
    assert found.tolist() == [[1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (wire.Vector(multi_dense=several([])), "multi vector must not be empty"),
        (wire.Vector(multi_dense=several([[]])), "all vectors must be non-empty"),
        (wire.Vector(multi_dense=several([[1], [1, 2]])), "found vector with dimension 2"),
        (wire.Vector(data=[1, 2, 3], vectors_count=2), "3 numbers are not 2 vectors of one size"),
        (wire.Vector(data=[1, 2, 3], vectors_count=0), "3 numbers are not 0 vectors of one size"),
        (wire.Vector(vectors_count=2), "dense vector must not be empty"),
    ],
)
def test_wrong_sub_vectors_are_refused(message: wire.Vector, text: str) -> None:
    with pytest.raises((InvalidField, Unconvertible), match=text):
        stored_vector(message, "v")


@pytest.mark.parametrize("rows", [[[1.0, 2.0]], [[1.0, 2.0], [3.5, -4.0]]])
def test_answers_have_them_in_the_variant_alone(rows: list[list[float]]) -> None:
    vector: FloatArray = np.array(rows, dtype=np.float32)
    bare, named = wire.VectorsOutput(), wire.VectorsOutput()
    fill_vectors(bare, {"": vector}, bare=True)
    fill_vectors(named, {"a": vector}, bare=False)
    for output in (bare.vector, named.vectors.vectors["a"]):
        assert [list(row.data) for row in output.multi_dense.vectors] == rows
        assert not output.data
        assert not output.HasField("vectors_count")
