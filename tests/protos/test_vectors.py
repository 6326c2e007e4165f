"""Scores that fit into an answer."""

from __future__ import annotations

import numpy as np

from protos.vectors import FLOAT32_MAX, finite


def test_numbers_stay_as_they_are() -> None:
    scores = np.array([1.5, -2.0, 0.0], dtype=np.float32)
    assert finite(scores) is scores


def test_what_is_no_finite_number_becomes_the_nearest_that_is() -> None:
    scores = np.array([np.inf, -np.inf, np.nan, 1.0], dtype=np.float32)
    assert finite(scores).tolist() == [FLOAT32_MAX, -FLOAT32_MAX, -FLOAT32_MAX, 1.0]
    assert finite(scores).dtype == np.float32
