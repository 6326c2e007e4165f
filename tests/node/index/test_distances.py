"""Scores against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

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


def test_lengths_beyond_float32_are_handled() -> None:
    huge = np.array([[3e30, 4e30]], dtype=np.float32)
    np.testing.assert_allclose(normalize(huge), [[0.6, 0.8]], rtol=1e-6)
    mixed = np.array([[3e30, 4e30], [3.0, 4.0], [0.0, 0.0]], dtype=np.float32)
    np.testing.assert_allclose(normalize(mixed), [[0.6, 0.8], [0.6, 0.8], [0.0, 0.0]], rtol=1e-6)
    tiny = np.array([[3e-30, 4e-30]], dtype=np.float32)
    np.testing.assert_allclose(normalize(tiny), [[0.6, 0.8]], rtol=1e-6)


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
