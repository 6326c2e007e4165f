"""Queries by examples into what shards are asked, by values computed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from protos.errors import BadInput
from protos.examples import BestScore, Context, Discovery, WeightedSum
from protos.shard import AnyVector, FloatArray, SparseVector
from router.queries.rating import asked_by, average, examples_of
from router.queries.requests import (
    ContextPairs,
    Discover,
    Feedback,
    NearestPoint,
    NearestVector,
    Recommend,
    Strategy,
)


def row(*numbers: float) -> FloatArray:
    return np.array(numbers, dtype=np.float32)


def words(**pairs: float) -> SparseVector:
    indices = [int(name[1:]) for name in pairs]
    return SparseVector(np.array(indices, dtype=np.uint32), row(*pairs.values()))


def points(count: int) -> tuple[NearestPoint, ...]:
    return tuple(NearestPoint(number) for number in range(count))


def numbers_of(vectors: Any) -> list[list[float]]:
    return [vector.tolist() for vector in vectors]


# --- the average ------------------------------------------------------------------------------------


def test_positives_are_averaged() -> None:
    found = average([row(1, 4), row(3, 0)], [])
    assert isinstance(found, np.ndarray)
    assert found.tolist() == [2, 2]
    assert found.dtype == np.float32


def test_negatives_push_to_the_other_side() -> None:
    found = average([row(1, 4), row(3, 0)], [row(1, 1), row(0, 3)])
    assert isinstance(found, np.ndarray)
    assert found.tolist() == [4 - 0.5, 4 - 2]


def test_sparse_vectors_are_averaged_by_index() -> None:
    assert average([words(i1=2, i5=1), words(i5=3)], []) == words(i1=1, i5=2)
    assert average([words(i1=2, i5=1), words(i5=3)], [words(i1=1, i7=4)]) == words(i1=1, i5=4, i7=-4)


def test_parts_of_multivectors_stand_beside_each_other() -> None:
    found = average([np.stack([row(1, 2), row(3, 4)]), np.stack([row(5, 6)])], [np.stack([row(7, 8)])])
    assert numbers_of(found) == [[1, 2], [3, 4], [5, 6], [-7, -8]]


def test_an_average_beyond_float32_is_refused() -> None:
    with pytest.raises(BadInput, match="finite"):
        average([row(3e38, 0)], [row(-3e38, 0)])


# --- what shards are asked --------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", list(Strategy))
def test_recommendations_by_strategy(strategy: Strategy) -> None:
    query = Recommend(points(2), points(1), strategy)
    vectors = [row(1, 0), row(3, 2), row(0, 1)]
    assert len(examples_of(query)) == 3
    asked: Any = asked_by(query, vectors)
    if strategy is Strategy.AVERAGE_VECTOR:
        assert asked.tolist() == [4, 1]
    elif strategy is Strategy.BEST_SCORE:
        assert isinstance(asked, BestScore)
        assert (numbers_of(asked.positive), numbers_of(asked.negative)) == ([[1, 0], [3, 2]], [[0, 1]])
    else:
        assert isinstance(asked, WeightedSum)
        assert (numbers_of(asked.vectors), asked.weights) == ([[1, 0], [3, 2], [0, 1]], (1, 1, -1))


def test_pairs_keep_their_sides() -> None:
    one, two, three, four = points(4)
    vectors: list[AnyVector] = [row(9), row(1), row(2), row(3), row(4)]
    discover = Discover(NearestVector([9.0]), ((one, two), (three, four)))
    assert examples_of(discover)[1:] == (one, two, three, four)
    found = asked_by(discover, vectors)
    assert isinstance(found, Discovery)
    assert numbers_of([found.target]) == [[9]]
    assert [numbers_of((pair.positive, pair.negative)) for pair in found.context] == [[[1], [2]], [[3], [4]]]
    alone = asked_by(ContextPairs(((one, two),)), vectors[1:3])
    assert isinstance(alone, Context)
    assert numbers_of((alone.context[0].positive, alone.context[0].negative)) == [[1], [2]]


def test_feedback_is_a_weight_of_each_example() -> None:
    """Of the scores 0.9, 0.1 and 0.5 the pairs are (0, 1) by 0.8, (0, 2) and (2, 1) by 0.4 each."""
    query = Feedback(NearestPoint(9), points(3), (0.9, 0.1, 0.5), a=2, b=2, c=10)
    found = asked_by(query, [row(9), row(0), row(1), row(2)])
    assert isinstance(found, WeightedSum)
    assert numbers_of(found.vectors) == [[9], [0], [1], [2]]
    assert found.weights == pytest.approx((2, 6.4 + 1.6, -6.4 - 1.6, 0))


def test_judgements_that_do_not_differ_leave_the_target() -> None:
    query = Feedback(NearestPoint(9), points(2), (0.5, 0.5), a=1, b=0, c=3)
    found = asked_by(query, [row(9), row(0), row(1)])
    assert isinstance(found, WeightedSum)
    assert found.weights == (1, 0, 0)


def test_weights_beyond_numbers_are_refused() -> None:
    query = Feedback(NearestPoint(9), points(2), (1e30, 0), a=1, b=30, c=1)
    with pytest.raises(BadInput, match="not finite"):
        asked_by(query, [row(9), row(0), row(1)])
