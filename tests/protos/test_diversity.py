"""Points that are near a query and far from each other, against the formula written plainly."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from protos.collections import Distance
from protos.diversity import diverse
from protos.vectors import AnyVector, SparseVector


def row(*numbers: float) -> np.ndarray:
    return np.array(numbers, dtype=np.float32)


def words(**weights: float) -> SparseVector:
    pairs = sorted((ord(word), weight) for word, weight in weights.items())
    indices = np.array([index for index, _ in pairs], dtype=np.uint32)
    return SparseVector(indices, row(*(weight for _, weight in pairs)))


def similarity(one: AnyVector, other: AnyVector, distance: Distance) -> float:
    if isinstance(one, SparseVector):
        assert isinstance(other, SparseVector)
        values = dict(zip(other.indices.tolist(), other.values.tolist(), strict=True))
        return sum(
            v * values.get(i, 0.0) for i, v in zip(one.indices.tolist(), one.values.tolist(), strict=True)
        )
    assert isinstance(other, np.ndarray)
    if one.ndim == 2:
        return sum(max(similarity(a, b, distance) for b in other) for a in one)
    if distance is Distance.EUCLID:
        return -float(((one - other) ** 2).sum())
    if distance is Distance.MANHATTAN:
        return -float(np.abs(one - other).sum())
    scale = np.linalg.norm(one) * np.linalg.norm(other) if distance is Distance.COSINE else 1.0
    return float(one @ other) / scale


def plainly(
    query: AnyVector, candidates: list[AnyVector], distance: Distance, diversity: float, limit: int
) -> list[int]:
    near = [similarity(query, each, distance) for each in candidates]
    chosen = [max(range(len(candidates)), key=near.__getitem__)]
    while len(chosen) < min(limit, len(candidates)):
        merits = {
            place: (1 - diversity) * near[place]
            - diversity * max(similarity(candidates[place], candidates[each], distance) for each in chosen)
            for place in range(len(candidates))
            if place not in chosen
        }
        chosen.append(max(merits, key=merits.__getitem__))
    return chosen


@pytest.mark.parametrize("distance", list(Distance))
@pytest.mark.parametrize("shape", ["dense", "multi", "sparse"])
@pytest.mark.parametrize("diversity", [0.0, 0.3, 0.5, 1.0])
def test_the_choice_is_that_of_the_formula(distance: Distance, shape: str, diversity: float) -> None:
    rng = np.random.default_rng(4)

    def make() -> AnyVector:
        if shape == "sparse":
            indices = np.sort(rng.choice(20, 6, replace=False)).astype(np.uint32)
            return SparseVector(indices, rng.random(6, dtype=np.float32))
        size = (rng.integers(1, 4), 5) if shape == "multi" else 5
        return rng.standard_normal(size).astype(np.float32)

    query, candidates = make(), [make() for _ in range(25)]
    found = diverse(query, candidates, distance, diversity=diversity, limit=12)
    assert found == plainly(query, candidates, distance, diversity, 12)


def test_without_diversity_the_nearest_come_first_and_with_it_the_like_of_them_last() -> None:
    candidates: list[AnyVector] = [row(1, 0), row(0.99, 0.01), row(0.6, 0.8)]
    assert diverse(row(1, 0), candidates, Distance.COSINE, diversity=0.0, limit=3) == [0, 1, 2]
    assert diverse(row(1, 0), candidates, Distance.COSINE, diversity=0.9, limit=3) == [0, 2, 1]


def test_no_candidates_and_words_in_common_with_none_are_fine() -> None:
    assert diverse(row(1), [], Distance.DOT, diversity=0.5, limit=3) == []
    strangers: list[AnyVector] = [words(a=1), words(b=1)]
    assert diverse(words(), strangers, Distance.DOT, diversity=0.5, limit=3) == [0, 1]


def test_each_candidate_is_chosen_once() -> None:
    same: list[AnyVector] = [row(1, 0)] * 5
    for limit, diversity in itertools.product((1, 5, 9), (0.0, 1.0)):
        found = diverse(row(1, 0), same, Distance.DOT, diversity=diversity, limit=limit)
        assert sorted(found) == list(range(min(limit, 5)))
