"""Merging per-segment results, thresholds and ties."""

import numpy as np
import pytest

from node.query import ranking


def _row(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def test_merge_keeps_the_best_of_all_segments_and_leaves_padding_behind():
    parts = [
        (np.array([[5, 7, -1]]), np.array([[0.9, 0.2, 9.0]], dtype=np.float32)),
        (np.array([[70, 71, 72]]), np.array([[0.8, 0.3, 0.1]], dtype=np.float32)),
    ]
    slots, similarities = ranking.merge_segments(parts, 4)
    assert slots.tolist() == [[5, 70, 71, 7]]
    np.testing.assert_array_equal(similarities, [_row(0.9, 0.8, 0.3, 0.2)])


def test_merge_of_short_segments_is_trimmed_to_what_was_found():
    parts = [
        (np.array([[5, -1]]), np.array([[0.9, 0.0]], dtype=np.float32)),
        (np.array([[70, -1]]), np.array([[-3.0, 0.0]], dtype=np.float32)),
    ]
    slots, similarities = ranking.merge_segments(parts, 4)
    trimmed, best = ranking.trim(slots[0], similarities[0])
    assert trimmed.tolist() == [5, 70]
    assert best.tolist() == pytest.approx([0.9, -3.0])


@pytest.mark.parametrize(("descending", "expected"), [(True, 1), (False, 0)])
def test_threshold_is_strict(descending: bool, expected: int):
    scores = _row(0.9, 0.5, 0.1) if descending else _row(0.5, 0.9)
    assert ranking.within_threshold(scores, 0.5, descending=descending) == expected


def test_ties_of_the_last_wanted_score_are_all_considered():
    assert ranking.end_of_ties(_row(3, 2, 2, 2, 1), 2) == 4
    assert ranking.end_of_ties(_row(3, 2, 1), 2) == 2
    assert ranking.end_of_ties(_row(3, 2), 5) == 2


def test_equal_scores_go_by_id_larger_first_when_descending_smaller_first_when_ascending():
    assert ranking.order_ties(_row(2, 1, 1), [b"a", b"b", b"c"], descending=True) == [0, 2, 1]
    assert ranking.order_ties(_row(1, 1, 2), [b"b", b"a", b"c"], descending=False) == [1, 0, 2]
    assert ranking.order_ties(_row(3, 2, 1), [b"a", b"b", b"c"], descending=True) is None
