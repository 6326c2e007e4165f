"""Rankings into one, by figures worked out by hand (reference 9.9)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos.fusion import Dbsf, Ranked, Rrf, fuse, passing


def ranked(*pairs: tuple[int, float]) -> Ranked:
    keys = np.array([key for key, _ in pairs], dtype=np.int64)
    return keys, np.array([score for _, score in pairs], dtype=np.float32)


def places(*keys: int) -> Ranked:
    return ranked(*((key, 0.0) for key in keys))


def as_dict(found: Ranked) -> dict[int, float]:
    return dict(zip(found[0].tolist(), found[1].tolist(), strict=True))


def test_reciprocal_ranks_add_up() -> None:
    keys, scores = fuse(Rrf(), [places(1, 2, 3), places(3, 4)])
    assert keys.tolist() == [3, 1, 2, 4]
    assert scores.tolist() == pytest.approx([1 / 4 + 1 / 2, 1 / 2, 1 / 3, 1 / 3])


def test_weights_stretch_the_places() -> None:
    found = as_dict(fuse(Rrf(k=60, weights=(3.0, 0.0)), [places(1, 2), places(2, 3)]))
    assert found == pytest.approx({1: 1 / (1 / 3 + 59), 2: 1 / (2 / 3 + 59), 3: 0.0})


def test_scores_are_placed_within_three_deviations() -> None:
    # mean 2, deviation 1: from -1 to 5
    keys, scores = fuse(Dbsf(), [ranked((1, 3.0), (2, 2.0), (3, 1.0)), ranked((3, 9.0))])
    assert keys.tolist() == [3, 1, 2]
    assert scores.tolist() == pytest.approx([1 / 3 + 0.5, 2 / 3, 0.5])


def test_what_lies_far_out_is_not_clamped() -> None:
    outlier = [(key, 0.0) for key in range(100)]
    _, scores = fuse(Dbsf(), [ranked((100, 1e6), *outlier)])
    assert scores[0] > 1


def test_equal_scores_tell_nothing() -> None:
    assert as_dict(fuse(Dbsf(), [ranked((1, 7.0), (2, 7.0))])) == {1: 0.5, 2: 0.5}


def test_a_threshold_lets_equal_scores_pass() -> None:
    found = ranked((1, 0.5), (2, 0.25), (3, 0.125))
    assert as_dict(passing(found, 0.25)) == {1: 0.5, 2: 0.25}
    assert passing(found, None) is found


@pytest.mark.parametrize("by", [Rrf(), Dbsf()])
def test_no_rankings_and_empty_ones_give_nothing(by: Rrf | Dbsf) -> None:
    assert fuse(by, [])[0].tolist() == fuse(by, [places(), places()])[0].tolist() == []


rankings = st.lists(st.lists(st.integers(0, 9), unique=True, max_size=6), min_size=1, max_size=4)


@given(rankings, st.integers(1, 60))
def test_reciprocal_ranks_are_those_of_the_formula(lists: list[list[int]], k: int) -> None:
    expected: dict[int, float] = {}
    for keys in lists:
        for place, key in enumerate(keys):
            expected[key] = expected.get(key, 0.0) + 1 / (place + k)
    keys, scores = fuse(Rrf(k), [places(*some) for some in lists])
    assert dict(zip(keys.tolist(), scores.tolist(), strict=True)) == pytest.approx(expected, rel=1e-5)
    assert (np.diff(scores) <= 0).all()
