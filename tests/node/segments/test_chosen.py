"""Rows that may be returned and have a vector, as a view keeps them from one search to the next."""

from __future__ import annotations

import numpy as np

from node import bits
from node.segments.dense import VectorsView
from node.segments.schema import VectorSchema
from protos.collections import Distance

SCHEMA = VectorSchema("", 4, Distance.DOT)


def test_bits_that_come_again_admit_the_same_and_others_their_own() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(100, 4)).astype(np.float32)
    present = rng.random(100) < 0.8
    view = VectorsView(SCHEMA, rows, bits.pack_mask(present), None)
    one, other = (rng.random(100) < share for share in (0.5, 0.9))
    for allowed, packed in [(each, bits.pack_mask(each)) for each in (one, other)] * 2:
        for _ in range(2):
            found, _scores = view.search(rows[:3], 100, packed, ef=None, exact=True)
            for row in found:
                assert set(row.tolist()) == set(np.flatnonzero(allowed & present).tolist())
