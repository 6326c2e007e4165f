"""Choosing by a matrix product changes nothing but the time: every result is compared bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.index import best_of, products
from node.index.distances import normalize
from protos.collections import Distance

CHOSEN = [Distance.COSINE, Distance.DOT, Distance.EUCLID]
QUERIES = 20


def made(rng: np.random.Generator, distance: Distance, rows: int, dim: int) -> np.ndarray:
    matrix = rng.normal(size=(rows, dim)).astype(np.float32)
    return normalize(matrix) if distance is Distance.COSINE else matrix


def pair_by_pair(
    distance: Distance, queries: np.ndarray, matrix: np.ndarray, k: int, rows: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    alone = [best_of(distance, query[np.newaxis], matrix, k, rows) for query in queries]
    return np.concatenate([each[0] for each in alone]), np.concatenate([each[1] for each in alone])


def compare(
    distance: Distance, queries: np.ndarray, matrix: np.ndarray, k: int, rows: np.ndarray | None = None
) -> None:
    assert products.serve(distance, len(queries), matrix, len(matrix) if rows is None else len(rows))
    found = best_of(distance, queries, matrix, k, rows)
    expected = pair_by_pair(distance, queries, matrix, k, rows)
    assert found[0].tobytes() == expected[0].tobytes()
    assert found[1].tobytes() == expected[1].tobytes()


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32),
    distance=st.sampled_from(CHOSEN),
    dim=st.sampled_from([1, 7, 64, 130]),
    k=st.sampled_from([1, 10, 100, 599]),
    some=st.booleans(),
    scale=st.sampled_from([1e-20, 1e-3, 1.0, 1e6]),
    offset=st.sampled_from([0.0, 1.0, 300.0]),
    repeats=st.booleans(),
)
def test_results_are_those_of_scoring_every_pair(
    seed: int, distance: Distance, dim: int, k: int, some: bool, scale: float, offset: float, repeats: bool
) -> None:
    rng = np.random.default_rng(seed)
    matrix = made(rng, distance, 900, dim) * np.float32(scale) + np.float32(offset)
    if repeats:
        matrix = matrix[rng.integers(0, 40, 900)]  # many ties
    matrix = normalize(matrix) if distance is Distance.COSINE else np.ascontiguousarray(matrix)
    rows = np.sort(rng.choice(900, 600, replace=False)).astype(np.int64) if some else None
    compare(distance, matrix[:QUERIES].copy(), matrix, k, rows)


@pytest.mark.parametrize("distance", CHOSEN)
def test_blocks_are_joined(distance: Distance, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    matrix = made(rng, distance, 5000, 24)
    monkeypatch.setattr(products, "_BLOCK_BYTES", 24 * 4 * 700)
    compare(distance, made(rng, distance, QUERIES, 24), matrix, 12)


@pytest.mark.parametrize("distance", CHOSEN)
def test_few_are_chosen_of_ordinary_vectors(distance: Distance) -> None:
    """Otherwise the choice would cost more than it saves."""
    rng = np.random.default_rng(2)
    matrix = made(rng, distance, 5000, 384)
    chosen = products.candidates_of(distance, made(rng, distance, QUERIES, 384), matrix, 10, None)
    assert all(rows is not None and len(rows) < 20 for rows in chosen)


@pytest.mark.parametrize("distance", [Distance.DOT, Distance.EUCLID])
def test_what_float32_cannot_hold_is_left_to_the_pairs(distance: Distance) -> None:
    matrix = made(np.random.default_rng(3), distance, 900, 8)
    queries = matrix[:QUERIES] * np.float32(1e15)
    matrix[::2] *= np.float32(1e30)
    with np.errstate(over="ignore", invalid="ignore"):
        assert all(rows is None for rows in products.candidates_of(distance, queries, matrix, 5, None))
        compare(distance, queries, matrix, 5)


def test_neighbours_far_from_the_origin_are_told_apart() -> None:
    """There a product's error is greater than the distances: it must not decide."""
    matrix = (made(np.random.default_rng(4), Distance.EUCLID, 2000, 24) * 0.01 + 1e4).astype(np.float32)
    compare(Distance.EUCLID, matrix[:QUERIES], matrix, 3)
