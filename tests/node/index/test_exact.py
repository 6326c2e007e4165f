"""Exact scoring against a float64 oracle."""

from __future__ import annotations

import numpy as np
import pytest

from node.index import best_of, similarities
from node.index.exact import NO_ROW, best_candidates, select
from protos.collections import Distance
from tests.node.index import oracle

RNG = np.random.default_rng(7)
MATRIX = RNG.normal(size=(3000, 24)).astype(np.float32)
QUERIES = RNG.normal(size=(5, 24)).astype(np.float32)
SOME = np.sort(RNG.choice(3000, 500, replace=False)).astype(np.int64)


@pytest.mark.parametrize("distance", list(Distance))
@pytest.mark.parametrize("rows", [None, SOME], ids=["all", "some"])
def test_order_and_scores_are_those_of_the_oracle(distance: Distance, rows: np.ndarray | None) -> None:
    found, scores = best_of(distance, QUERIES, MATRIX, 20, rows)
    candidates = np.arange(3000) if rows is None else rows
    for query, picked, got in zip(QUERIES, found, scores, strict=True):
        expected = oracle.similarities(distance, query, MATRIX)
        best = candidates[np.argsort(-expected[candidates], kind="stable")[:20]]
        np.testing.assert_array_equal(picked, best)
        np.testing.assert_allclose(got, expected[best], rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("distance", list(Distance))
def test_a_score_has_the_same_bits_alone_in_a_batch_and_by_row(distance: Distance) -> None:
    found, together = best_of(distance, QUERIES, MATRIX, 7)
    for i, query in enumerate(QUERIES):
        rows, alone = best_of(distance, query[np.newaxis], MATRIX, 7)
        assert alone.tobytes() == together[i].tobytes()
        assert rows.tobytes() == found[i].tobytes()
        assert similarities(distance, query, MATRIX, found[i]).tobytes() == together[i].tobytes()


@pytest.mark.parametrize("distance", [Distance.EUCLID, Distance.MANHATTAN])
def test_equal_vectors_far_from_the_origin_are_at_exactly_zero(distance: Distance) -> None:
    """With norms of 1e5 the expanded square would be wrong by more than the neighbours' distances."""
    matrix = (MATRIX * 0.01 + 1e4).astype(np.float32)
    found, scores = best_of(distance, matrix[:40], matrix, 2)
    np.testing.assert_array_equal(found[:, 0], np.arange(40))
    assert (scores[:, 0] == 0).all()
    second = [oracle.similarities(distance, matrix[i], matrix)[found[i, 1]] for i in range(40)]
    np.testing.assert_allclose(scores[:, 1], second, rtol=1e-5)


def test_equal_scores_go_by_row_also_at_the_edge() -> None:
    matrix = np.ones((100, 4), dtype=np.float32)
    matrix[50] = 2.0
    found, _ = best_of(Distance.DOT, np.ones((1, 4), dtype=np.float32), matrix, 5)
    assert found.tolist() == [[50, 0, 1, 2, 3]]


def test_results_over_several_blocks_equal_those_over_one(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = best_of(Distance.EUCLID, QUERIES, MATRIX, 9, SOME)
    monkeypatch.setattr("node.index.exact._BLOCK_ROWS", 128)
    monkeypatch.setattr("node.index.exact._SCORES_BYTES_MAX", 4 * 1024)
    result = best_of(Distance.EUCLID, QUERIES, MATRIX, 9, SOME)
    assert result[0].tobytes() == expected[0].tobytes()
    assert result[1].tobytes() == expected[1].tobytes()


def test_manhattan_over_several_gathered_blocks_equals_one(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = similarities(Distance.MANHATTAN, QUERIES[0], MATRIX, SOME)
    monkeypatch.setattr("node.index.exact._GATHER_BYTES", 1000)
    assert similarities(Distance.MANHATTAN, QUERIES[0], MATRIX, SOME).tobytes() == expected.tobytes()


def test_fewer_candidates_than_wanted_give_fewer_columns() -> None:
    found, scores = best_of(Distance.DOT, QUERIES, MATRIX, 10, SOME[:3])
    assert found.shape == scores.shape == (5, 3)
    found, _ = best_of(Distance.DOT, QUERIES, MATRIX, 10, SOME[:0])
    assert found.shape == (5, 0)
    found, _ = best_of(Distance.DOT, QUERIES[:0], MATRIX, 10)
    assert found.shape == (0, 10)


def test_a_score_that_is_not_a_number_ranks_last() -> None:
    scores = np.array([1.0, np.nan, 3.0, 2.0], dtype=np.float32)
    assert select(scores, 3).tolist() == [2, 3, 0]


def test_read_only_rows_are_scored_in_place() -> None:
    frozen = MATRIX.view()
    frozen.flags.writeable = False
    found, _ = best_of(Distance.DOT, QUERIES, frozen, 3)
    np.testing.assert_array_equal(found, best_of(Distance.DOT, QUERIES, MATRIX, 3)[0])


@pytest.mark.parametrize("distance", list(Distance))
@pytest.mark.parametrize("queries", [1, 5])
def test_each_query_has_the_best_of_candidates_of_its_own(distance: Distance, queries: int) -> None:
    candidates = np.stack([RNG.permutation(3000)[:40] for _ in range(queries)]).astype(np.int64)
    rows, scores = best_candidates(distance, QUERIES[:queries], MATRIX, 7, candidates)
    for i in range(queries):
        expected = best_of(distance, QUERIES[i : i + 1], MATRIX, 7, np.sort(candidates[i]))
        assert rows[i].tobytes() == expected[0].tobytes()
        assert scores[i].tobytes() == expected[1].tobytes()


@pytest.mark.parametrize("distance", list(Distance))
def test_where_candidates_are_too_few_the_rest_is_padding(distance: Distance) -> None:
    candidates = np.array([[4, NO_ROW, 2, NO_ROW], [7, 1, 3, 2], [NO_ROW] * 4], dtype=np.int64)
    rows, scores = best_candidates(distance, QUERIES[:3], MATRIX, 3, candidates)
    assert set(rows[0].tolist()) == {2, 4, NO_ROW}
    assert rows[0, 2] == NO_ROW
    assert rows[1].min() >= 0
    assert rows[2].tolist() == [NO_ROW] * 3
    assert np.isneginf(scores).sum() == 4


def test_of_candidates_equal_ones_go_by_row_and_nan_is_before_padding() -> None:
    matrix = np.ones((9, 2), dtype=np.float32)
    matrix[3] = np.nan
    query = np.ones((1, 2), dtype=np.float32)
    rows, _ = best_candidates(Distance.DOT, query, matrix, 4, np.array([[8, 3, 5, NO_ROW]]))
    assert rows.tolist() == [[5, 8, 3, NO_ROW]]
    rows, _ = best_candidates(Distance.DOT, query, matrix, 4, np.array([[8, 3, 5, 2]]))
    assert rows.tolist() == [[2, 5, 8, 3]]


@pytest.mark.parametrize("k", [1, 3, 100, 600])
def test_many_candidates_are_ranked_as_few_are(k: int) -> None:
    candidates = RNG.permutation(3000)[:900].astype(np.int64)
    rows, scores = best_candidates(Distance.COSINE, QUERIES[:1], MATRIX, k, candidates[np.newaxis])
    expected = best_of(Distance.COSINE, QUERIES[:1], MATRIX, k, np.sort(candidates))
    assert rows.tobytes() == expected[0].tobytes()
    assert scores.tobytes() == expected[1].tobytes()
