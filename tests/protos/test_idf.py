"""The weights of sparse queries, and statistics of several shards."""

from __future__ import annotations

import numpy as np
import pytest

from protos.errors import BadInput
from protos.examples import BestScore, Context, Discovery, Examples, Pair, WeightedSum, vectors_of
from protos.idf import Frequencies, Weighing, added, indices_of, weighed
from protos.shard import SearchRequest, SparseVector
from protos.weighing import vectors_to_weigh, weigh


def sparse(**pairs: float) -> SparseVector:
    indices = [int(name[1:]) for name in pairs]
    return SparseVector(np.array(indices, dtype=np.uint32), np.array([*pairs.values()], dtype=np.float32))


def test_weights_are_those_of_the_reference() -> None:
    """Source: reference, the table of formulas: N = 10."""
    found = weighed(sparse(_3=1.0, _9=2.0), [3, 5, 9], Frequencies(10, [1, 4, 10]))
    assert found.indices.tolist() == [3, 9]
    np.testing.assert_allclose(found.values, [1.992430, 2 * 0.046520], rtol=1e-5)


def test_statistics_of_shards_add_up() -> None:
    parts = [Frequencies(3, [1, 0]), Frequencies(0, [0, 0]), Frequencies(4, [4, 2])]
    assert added(parts) == Frequencies(7, [5, 2])


A, B = sparse(_1=1.0, _2=1.0), sparse(_2=2.0, _7=1.0)


@pytest.mark.parametrize(
    "examples",
    [
        BestScore((A,), (B,)),
        WeightedSum((A, B), (0.5, -1.0)),
        Discovery(A, (Pair(B, A),)),
        Context((Pair(A, B), Pair(B, B))),
    ],
)
def test_every_example_is_weighed(examples: Examples) -> None:
    request = SearchRequest("w", None, 3, examples=examples, weighing=Weighing())
    vectors = vectors_to_weigh(request)
    indices = indices_of(vectors).tolist()
    assert indices == [1, 2, 7]
    counts = Frequencies(10, [1, 5, 10])
    found = weigh(request, indices, counts)
    assert found.examples is not None
    assert found.weighing is None
    assert vectors_of(found.examples) == [weighed(vector, indices, counts) for vector in vectors]


def test_dense_vectors_cannot_be_weighed() -> None:
    request = SearchRequest("w", np.ones(2, dtype=np.float32), 3, weighing=Weighing())
    with pytest.raises(BadInput, match="sparse"):
        vectors_to_weigh(request)
