"""Scores against values worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import qdrant_edge as edge

from node.index.distances import normalize, to_client_scores
from protos.collections import Distance


def test_rows_get_unit_length_and_the_input_stays_as_it_was() -> None:
    matrix = np.array([[3.0, 4.0], [0.0, -2.0]], dtype=np.float32)
    result = normalize(matrix)
    np.testing.assert_array_equal(result, np.array([[0.6, 0.8], [0.0, -1.0]], dtype=np.float32))
    assert matrix[0, 0] == 3.0
    assert result.dtype == np.float32


def test_a_zero_vector_stays_zero() -> None:
    assert not normalize(np.zeros((1, 3), dtype=np.float32)).any()


def test_normalising_twice_changes_no_bit() -> None:
    once = normalize(np.random.default_rng(1).normal(size=(200, 33)).astype(np.float32))
    assert normalize(once).tobytes() == once.tobytes()


def test_a_row_alone_gets_the_bits_it_gets_among_others() -> None:
    rows = np.random.default_rng(2).normal(size=(200, 33)).astype(np.float32)
    rows *= np.geomspace(1e-6, 1e25, 200, dtype=np.float32)[:, np.newaxis]
    rows[7], rows[8] = 0, normalize(rows[8:9])[0]
    together = normalize(rows)
    assert np.concatenate([normalize(rows[i : i + 1]) for i in range(200)]).tobytes() == together.tobytes()
    assert b"".join(normalize(row).tobytes() for row in rows) == together.tobytes()


@pytest.mark.parametrize("dim", [1, 3, 7, 8, 9, 31, 64, 384, 1537])
def test_unit_length_is_that_of_exact_arithmetic(dim: int) -> None:
    rows = np.random.default_rng(dim).normal(size=(300, dim)).astype(np.float32) * np.float32(7)
    exact = rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    np.testing.assert_array_max_ulp(normalize(rows), exact.astype(np.float32), maxulp=2)


def test_a_row_that_is_no_number_stays_none() -> None:
    assert np.isnan(normalize(np.float32([[np.nan, 1], [np.inf, 1]]))[:, 0]).all()


def test_rows_may_lie_anyhow() -> None:
    rows = np.random.default_rng(4).normal(size=(6, 10)).astype(np.float32)
    assert normalize(rows[::2, ::3]).tobytes() == normalize(rows[::2, ::3].copy()).tobytes()
    assert normalize(rows[:0]).shape == (0, 10)


def test_lengths_beyond_float32_are_handled() -> None:
    huge = np.array([[3e30, 4e30]], dtype=np.float32)
    np.testing.assert_allclose(normalize(huge), [[0.6, 0.8]], rtol=1e-6)
    mixed = np.array([[3e30, 4e30], [3.0, 4.0], [0.0, 0.0]], dtype=np.float32)
    np.testing.assert_allclose(normalize(mixed), [[0.6, 0.8], [0.6, 0.8], [0.0, 0.0]], rtol=1e-6)


@pytest.mark.parametrize(
    "length", [0.0, 1e-45, 1e-30, 1e-4, 3.4525e-4, 3.4528e-4, 1e-3, 1 + 4e-7, 1 + 2e-6, 1e18]
)
@pytest.mark.parametrize("dim", [1, 2, 64])
def test_vectors_are_stored_as_qdrants_engine_stores_them(tmp_path: Path, length: float, dim: int) -> None:
    """It leaves those alone that have next to no length (squared: below float32's epsilon) or unit length."""
    matrix = np.full((1, dim), length / np.sqrt(dim), dtype=np.float32)
    vectors = edge.EdgeVectorParams(size=dim, distance=edge.Distance.Cosine)
    shard = edge.EdgeShard.create(str(tmp_path), edge.EdgeConfig(vectors=vectors, wal_enabled=False))
    shard.update(edge.UpdateOperation.upsert_points([edge.Point(1, matrix[0].tolist(), {})]))
    (stored,) = shard.retrieve([1], with_payload=False, with_vector=True)
    expected = np.array([stored.vector], dtype=np.float32)
    np.testing.assert_array_max_ulp(normalize(matrix), expected, maxulp=1)
    assert (normalize(matrix) == matrix).all() == (expected == matrix).all()


@pytest.mark.parametrize(
    ("distance", "internal", "client"),
    [
        (Distance.COSINE, 0.5, 0.5),
        (Distance.DOT, -7.0, -7.0),
        (Distance.EUCLID, -25.0, 5.0),
        (Distance.MANHATTAN, -7.0, 7.0),
    ],
)
def test_client_sees_the_documented_score(distance: Distance, internal: float, client: float) -> None:
    scores = to_client_scores(distance, np.array([internal], dtype=np.float32))
    assert scores.dtype == np.float32
    assert scores[0] == client
