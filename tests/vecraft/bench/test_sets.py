"""Named sets: made once, the same for everybody, with exact truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vecraft.bench import data, sets
from vecraft.bench.sets import SetPlan, make, nearest, recall


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "_BLOCK", 512)
    monkeypatch.setattr(sets, "_TRUTH_BLOCK", 200)


def test_a_generated_set_is_made_once_and_its_queries_are_not_in_it(tmp_path: Path) -> None:
    plan = SetPlan("lowrank16", rows=700, queries=20, cache=tmp_path)
    found = make(plan)
    base, queries = found.base(), found.queries()
    assert (base.shape, queries.shape) == ((700, 16), (20, 16))
    np.testing.assert_array_equal(base, np.concatenate([*data.generate(700, 16, seed=0)]))
    assert (queries @ base.T).max() < 1 - 1e-4
    (found.folder / "base.npy").write_bytes(b"would be noticed")
    assert make(plan).folder == found.folder
    assert (found.folder / "base.npy").read_bytes() == b"would be noticed"
    assert found.payloads() is None


def test_truth_is_exact_whatever_the_blocks_and_kept(tmp_path: Path) -> None:
    found = make(SetPlan("lowrank16", rows=700, queries=20, cache=tmp_path))
    scores = found.queries() @ found.base().T
    np.testing.assert_array_equal(found.truth()[:, :10], np.argsort(-scores, axis=1)[:, :10])
    assert found.truth().shape == (20, sets.K_MAX)
    assert (found.folder / "truth.npy").exists()


def test_a_folder_has_payloads_and_may_be_cut(tmp_path: Path) -> None:
    found = make(SetPlan("wordnet", rows=300, queries=5, cache=tmp_path))
    assert "bundled cut, 300 x 384" in found.name
    payloads = found.payloads()
    assert payloads is not None
    assert len(payloads) == len(found.base()) == 300
    np.testing.assert_allclose(np.linalg.norm(found.base(), axis=1), 1, atol=1e-5)


def test_an_unknown_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no set is called 'sift'"):
        make(SetPlan("sift", cache=tmp_path))


def test_nearest_of_fewer_rows_than_asked_for() -> None:
    rows = np.eye(3, dtype=np.float32)
    assert nearest(rows, rows[:1], 10).shape == (1, 3)


def test_recall_counts_what_is_among_the_first_k() -> None:
    truth = np.array([[1, 2, 3], [4, 5, 6]])
    assert recall(np.array([[2, 3], [4, -1]]), truth) == 0.5
