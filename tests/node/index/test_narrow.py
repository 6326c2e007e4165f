"""Rows of fewer bits than float32: widened exactly, and scored as their float32 forms are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from node.index import GraphParams, HnswGraph, best_of, choose_encoding, exact, set_threads, similarities
from node.index.distances import normalize
from node.index.exact import best_candidates, score_table
from node.index.narrow import NarrowRows, floats_of_halves
from protos.collections import Distance

DIM = 24


def stored(kind: str, rows: int = 700, seed: int = 0) -> npt.NDArray[Any]:
    rng = np.random.default_rng(seed)
    if kind == "uint8":
        return rng.integers(0, 256, (rows, DIM)).astype(np.uint8)
    return rng.normal(size=(rows, DIM)).astype(np.float16)


def test_every_finite_half_is_widened_exactly() -> None:
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = np.isfinite(halves)
    expected = halves[finite].astype(np.float32)
    assert (floats_of_halves(halves)[finite].view(np.uint32) == expected.view(np.uint32)).all()


@pytest.mark.parametrize("kind", ["float16", "uint8"])
@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("distance", list(Distance))
def test_they_are_scored_as_their_wide_forms(
    monkeypatch: pytest.MonkeyPatch, kind: str, unit: bool, distance: Distance
) -> None:
    monkeypatch.setattr(exact, "_CACHED_BLOCK_BYTES", 100 * DIM * 4)
    matrix = stored(kind)
    wide = matrix.astype(np.float32)
    wide = normalize(wide) if unit else wide
    narrow = NarrowRows(matrix, unit=unit)
    queries = stored(kind, 5, seed=1).astype(np.float32)
    some = np.flatnonzero(np.arange(len(matrix)) % 3)
    candidates = np.stack([some[i : i + 60] for i in range(5)])
    candidates[2, -7:] = -1
    pairs = [
        (
            score_table(distance, queries, each),
            score_table(distance, queries, each, some),
            *best_of(distance, queries[:1], each, 9, some),
            *best_candidates(distance, queries, each, 9, candidates),
            similarities(distance, queries[0], each, some),
        )
        for each in (narrow, wide)
    ]
    for found, expected in zip(*pairs, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", ["float16", "uint8"])
@pytest.mark.parametrize("distance", list(Distance))
def test_graphs_are_made_of_them(kind: str, distance: Distance) -> None:
    set_threads(1)
    narrow = NarrowRows(stored(kind, 3000), unit=distance is Distance.COSINE)
    rows = np.flatnonzero(np.arange(3000) % 5).astype(np.uint32)
    graph = HnswGraph.build(
        distance, narrow, rows, GraphParams(m=12), choose_encoding(distance, narrow, rows)
    )
    queries = narrow[:20]
    found = graph.candidates(queries, 200, 40)
    best, _ = best_of(distance, queries, narrow, 10, rows.astype(np.int64))
    hits = [len(set(row) & set(wanted)) for row, wanted in zip(found.tolist(), best.tolist(), strict=True)]
    assert np.mean(hits) >= 9.2
