"""The formulas of reference 9.6–9.8, by values computed by hand and against a plain form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.query.combining import best_unseen, combine, squashed
from protos.examples import BestScore, Context, Discovery, Examples, Pair, WeightedSum
from protos.shard import FloatArray
from tests.node.query import naive_examples

ANY = np.zeros(1, dtype=np.float32)  # an example: here only how many there are matters
PAIR = Pair(ANY, ANY)


def table(*rows: list[float]) -> FloatArray:
    return np.array(rows, dtype=np.float32)


def test_the_sigmoid_has_the_documented_values() -> None:
    assert squashed(table([0.5, 0, -3])[0]).tolist() == pytest.approx([2 / 3, 0.5, 0.125])


def test_the_nearest_example_decides_the_best_score() -> None:
    examples = BestScore((ANY, ANY), (ANY,))
    found = combine(examples, table([0.5, 0.1, 0.5], [-3, 0.2, 0.4], [0.25, 0.5, 0.5]))
    assert found.tolist() == pytest.approx([2 / 3, -2 / 3, -2 / 3])  # a tie is the negative's


def test_negatives_alone_push_away() -> None:
    assert combine(BestScore((), (ANY,)), table([0.5, -3])).tolist() == pytest.approx([-2 / 3, -0.125])


def test_sums_add_what_is_weighted() -> None:
    examples = WeightedSum((ANY, ANY, ANY), (1.0, 1.0, -1.0))
    assert combine(examples, table([1, 2], [0.5, 0], [0.25, 4])).tolist() == [1.25, -2]


def test_a_sum_of_what_nearly_cancels_keeps_its_digits() -> None:
    examples = WeightedSum((ANY, ANY, ANY), (1.0, 1.0, -1.0))
    assert combine(examples, table([1e8], [0.125], [1e8])).tolist() == [0.125]


def test_discovery_counts_pairs_and_adds_the_target() -> None:
    examples = Discovery(ANY, (PAIR, PAIR))
    sides = ([0.9, 0.1, 0.3], [0.9, 0.9, 0.9], [0.5, 0.5, 0.3], [0.2, 0.2, 1.0])
    assert combine(examples, table([0.5, 0, -3], *sides)).tolist() == pytest.approx([2 + 2 / 3, 0.5, -0.875])


def test_discovery_without_pairs_is_the_target_alone() -> None:
    assert combine(Discovery(ANY), table([0.5, 0])).tolist() == pytest.approx([2 / 3, 0.5])


def test_context_tells_the_loss_of_each_pair() -> None:
    examples = Context((PAIR,))
    found = combine(examples, table([0.2, 0.5, 0.5], [0.5, 0.2, 0.5]))
    assert found.tolist() == pytest.approx([-0.230769, 0, -1.1920929e-07], rel=1e-5)


@pytest.mark.parametrize(
    "examples",
    [BestScore((ANY,), (ANY,)), WeightedSum((ANY, ANY), (1.0, -1.0)), Discovery(ANY), Context((PAIR,))],
    ids=lambda examples: type(examples).__name__,
)
def test_similarities_beyond_numbers_give_numbers(examples: Examples) -> None:
    rows = 1 if isinstance(examples, Discovery) else 2
    cells = [np.inf, -np.inf, np.inf, -np.inf, 3e38]
    other = [np.inf, np.inf, -np.inf, -np.inf, -3e38]
    assert np.isfinite(combine(examples, table(cells, other)[:rows])).all()


numbers = st.floats(-1e4, 1e4, width=32)


@st.composite
def rated(draw: st.DrawFn) -> tuple[Examples, FloatArray]:
    kind, size = draw(st.sampled_from((BestScore, WeightedSum, Discovery, Context))), draw(st.integers(1, 4))
    if kind is BestScore:
        split = draw(st.integers(0, size))
        examples: Any = BestScore((ANY,) * split, (ANY,) * (size - split))
    elif kind is WeightedSum:
        examples = WeightedSum((ANY,) * size, tuple(draw(st.floats(-9, 9)) for _ in range(size)))
    else:
        examples = Discovery(ANY, (PAIR,) * size) if kind is Discovery else Context((PAIR,) * size)
        size = 2 * size + (kind is Discovery)
    columns = draw(st.integers(0, 5))
    cells = draw(st.lists(numbers, min_size=size * columns, max_size=size * columns))
    return examples, np.array(cells, dtype=np.float32).reshape(size, columns)


def numbered(examples: Examples) -> Examples:
    """The same with row numbers in place of vectors."""
    match examples:
        case BestScore(positive=positive, negative=negative):
            return BestScore(
                tuple(range(len(positive))),  # type: ignore[arg-type]
                tuple(range(len(positive), len(positive) + len(negative))),  # type: ignore[arg-type]
            )
        case WeightedSum(vectors=vectors, weights=weights):
            return WeightedSum(tuple(range(len(vectors))), weights)  # type: ignore[arg-type]
        case Discovery(context=context):
            pairs = tuple(Pair(1 + i, 1 + i + len(context)) for i in range(len(context)))  # type: ignore[arg-type]
            return Discovery(0, pairs)  # type: ignore[arg-type]
        case Context(context=context):
            return Context(tuple(Pair(i, i + len(context)) for i in range(len(context))))  # type: ignore[arg-type]


@given(rated())
def test_any_table_is_scored_as_by_the_plain_form(case: tuple[Examples, FloatArray]) -> None:
    examples, similarities = case
    plain = numbered(examples)
    expected = [naive_examples.score(plain, column.__getitem__) for column in similarities.T.tolist()]
    assert combine(examples, similarities).tolist() == pytest.approx(expected, rel=1e-4, abs=1e-3)


def test_no_unseen_row_beats_the_bound() -> None:
    edges = np.array([0.5, 0.75], dtype=np.float32)
    below = table([0.5, 0.1], [0.75, 0.7])
    positives = BestScore((ANY, ANY))
    assert combine(positives, below).max() <= best_unseen(positives, edges)
    found = Discovery(ANY, (PAIR,))
    assert (
        combine(found, table([0.5], [1], [0])).max()
        <= best_unseen(found, edges[:1])
        == pytest.approx(1 + 2 / 3)
    )
    assert best_unseen(positives, np.array([-np.inf, -np.inf], dtype=np.float32)) == 0
