"""The benchmark of sparse vectors, at its smallest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vecraft.bench.sparse import SparsePlan, measure
from vecraft.bench.sparse_sets import generate


def test_generated_vectors_are_the_same_for_a_seed_and_have_ascending_indices() -> None:
    one, other = (generate(20, 3, row_words=30, query_words=5, seed=4) for _ in range(2))
    assert one.rows == other.rows
    assert one.queries == other.queries
    assert all(np.all(np.diff(row.indices.astype(np.int64)) > 0) for row in one.rows)


@pytest.mark.slow
def test_both_engines_have_the_same_scores(tmp_path: Path) -> None:
    report = measure(SparsePlan(tmp_path, rows=400, queries=5))
    equal = [each for each in report.measurements if each.name.endswith("equal scores")]
    assert [each.value for each in equal] == [1.0] * 3
