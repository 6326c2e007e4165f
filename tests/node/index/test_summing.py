"""Summing postings and elements: as numpy would, whatever the codes; nothing outside arrays is touched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.index.summing import add_postings, dot_rows

ROWS = 50


def postings(seed: int, dtype: Any) -> tuple[Any, ...]:
    """Rows, codes, starts and ends of a few terms, factors and bases."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, ROWS, 6)
    ends = np.cumsum(sizes)
    rows = np.concatenate([np.sort(rng.permutation(ROWS)[:size]) for size in sizes]).astype(np.int32)
    codes = (rng.random(len(rows)) * 200 - (0 if dtype == np.uint8 else 100)).astype(dtype)
    factors, bases = rng.normal(size=(2, 6)).astype(np.float32)
    return rows, codes, ends - sizes, ends, factors, bases


@given(st.integers(0, 2**32), st.sampled_from([np.float32, np.float16, np.uint8]))
def test_postings_are_added_term_by_term(seed: int, dtype: Any) -> None:
    rows, codes, starts, ends, factors, bases = postings(seed, dtype)
    scores = np.random.default_rng(seed + 1).normal(size=ROWS).astype(np.float32)
    wanted = scores.copy()
    for start, end, factor, base in zip(starts, ends, factors, bases, strict=True):
        wanted[rows[start:end]] += codes[start:end].astype(np.float32) * factor + base
    assert add_postings(scores, rows, codes, starts, ends, factors, bases)
    np.testing.assert_array_equal(scores, wanted)


def test_every_float16_is_what_numpy_takes_it_for() -> None:
    codes = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    scores, rows = np.zeros(1 << 16, dtype=np.float32), np.arange(1 << 16, dtype=np.int32)
    bounds = np.array([0]), np.array([1 << 16])
    one, zero = np.ones(1, dtype=np.float32), np.zeros(1, dtype=np.float32)
    assert add_postings(scores, rows, codes, *bounds, one, zero)
    np.testing.assert_array_equal(scores, codes.astype(np.float32))


@pytest.mark.parametrize("row", [ROWS, -1, 2**31 - 1])
def test_a_posting_of_a_row_that_there_is_not_is_told(row: int) -> None:
    scores, one = np.zeros(ROWS, dtype=np.float32), np.ones(1, dtype=np.float32)
    rows = np.array([3, row], dtype=np.int32)
    assert not add_postings(scores, rows, np.ones(2, np.float32), np.array([0]), np.array([2]), one, one)
    assert scores.sum() == scores[3]


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (2, 1), (0, 5)])
def test_terms_outside_the_postings_are_refused(start: int, end: int) -> None:
    scores, one = np.zeros(ROWS, dtype=np.float32), np.ones(1, dtype=np.float32)
    rows, codes = np.zeros(4, dtype=np.int32), np.ones(4, dtype=np.float32)
    with pytest.raises(ValueError, match="fit each other"):
        add_postings(scores, rows, codes, np.array([start]), np.array([end]), one, one)


@given(st.integers(0, 2**32), st.booleans())
def test_products_with_rows_are_summed_in_the_order_of_their_elements(seed: int, listed: bool) -> None:
    rng = np.random.default_rng(seed)
    numbers = np.array([0, 1, 5, 65_536, 65_541, 2**32 - 1, *range(100, 120)], dtype=np.uint32)
    vectors = [np.sort(rng.permutation(numbers)[: rng.integers(0, 12)]) for _ in range(30)]
    offsets = np.concatenate([[0], np.cumsum([len(vector) for vector in vectors])]).astype(np.int64)
    indices = np.concatenate(vectors).astype(np.uint32)
    values = rng.normal(size=len(indices)).astype(np.float32)
    query = np.sort(rng.permutation(numbers)[: rng.integers(0, 8)])
    weights = rng.normal(size=len(query)).astype(np.float32)
    rows = np.sort(rng.permutation(30)[:11]) if listed else np.arange(30)
    scores, shared = np.empty(len(rows), dtype=np.float32), np.empty(len(rows), dtype=np.bool_)
    dot_rows(offsets, indices, values, rows if listed else None, query, weights, scores, shared)
    known = dict(zip(query.tolist(), weights.tolist(), strict=True))
    for row, score, shares in zip(rows.tolist(), scores, shared, strict=True):
        elements = range(offsets[row], offsets[row + 1])
        both = [(float(values[at]), known[int(indices[at])]) for at in elements if int(indices[at]) in known]
        assert bool(shares) == bool(both)
        assert score == np.float32(sum(value * weight for value, weight in both))


@pytest.mark.parametrize(
    ("row", "offsets"), [(2, [0, 1, 2]), (-1, [0, 1, 2]), (0, [0, 3, 3]), (0, [1, 0, 2])]
)
def test_rows_and_elements_that_there_are_not_are_refused(row: int, offsets: list[int]) -> None:
    numbers, values = np.array([1, 2], dtype=np.uint32), np.ones(2, dtype=np.float32)
    scores, shared = np.empty(1, dtype=np.float32), np.empty(1, dtype=np.bool_)
    with pytest.raises(ValueError, match="fit each other"):
        dot_rows(np.array(offsets), numbers, values, np.array([row]), numbers, values, scores, shared)
