"""Exact search of any small segment equals a scan in float64, whatever is absent or not allowed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from node.segments import GrowingSegment, VectorSchema, seal
from node.segments.hints import Hints
from protos.collections import Distance
from tests.node.index import oracle
from tests.node.segments.make import pack


@given(
    distance=st.sampled_from(Distance),
    rows=st.integers(1, 40),
    k=st.integers(1, 50),
    present_share=st.sampled_from([0.0, 0.5, 1.0]),
    allowed_share=st.sampled_from([None, 0.0, 0.3, 1.0]),
    seed=st.integers(0, 10_000),
)
@settings(max_examples=40, deadline=None)
def test_search_equals_a_scan(
    distance: Distance, rows: int, k: int, present_share: float, allowed_share: float | None, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    # Small integers: many ties, and float32 is exact.
    matrix = rng.integers(-2, 3, size=(rows, 3)).astype(np.float32)
    query = rng.integers(-2, 3, size=3).astype(np.float32)
    present = rng.random(rows) < present_share
    allowed = np.ones(rows, dtype=np.bool_) if allowed_share is None else rng.random(rows) < allowed_share
    scores = oracle.similarities(distance, query, matrix)
    candidates = np.flatnonzero(present & allowed)
    best = candidates[np.argsort(-scores[candidates], kind="stable")[:k]]
    with tempfile.TemporaryDirectory() as directory:
        growing = GrowingSegment.create(Path(directory) / "s", 64, rows, [VectorSchema("v", 3, distance)])
        growing.append({"v": (matrix, present)}, rows)
        for view in (growing.view(), seal(growing)):
            bits = None if allowed_share is None else pack(allowed)
            slots, similarities = view.search("v", query[np.newaxis], k, allowed=bits)
            assert slots.tolist() == [(best + 64).tolist()]
            assert similarities.tolist() == [scores[best].tolist()]
            listed = view.search("v", query[np.newaxis], k, hints=Hints(np.flatnonzero(allowed)))
            assert listed[0].tolist() == slots.tolist()
            assert listed[1].tolist() == similarities.tolist()
