"""Generated sparse vectors, like those of texts: few words are frequent, most are rare."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from protos.shard import SparseVector

WORDS = 30_000
_FLATTENED = 20  # ranks by which the most frequent words are less so than by Zipf's law


class SparseSet(Struct, frozen=True, eq=False):
    """``parts``: a number from 0 to 99 of each row, by which filters choose."""

    rows: list[SparseVector]
    queries: list[SparseVector]
    parts: npt.NDArray[np.int64]


def generate(rows: int, queries: int, *, row_words: int, query_words: int, seed: int) -> SparseSet:
    rng = np.random.default_rng(seed)
    shares = 1 / (np.arange(WORDS) + _FLATTENED)
    ends = np.cumsum(shares / shares.sum())
    return SparseSet(
        [_vector(rng, ends, row_words) for _ in range(rows)],
        [_vector(rng, ends, query_words) for _ in range(queries)],
        rng.integers(0, 100, rows),
    )


def _vector(rng: np.random.Generator, ends: npt.NDArray[np.float64], words: int) -> SparseVector:
    """Rare words weigh more, as learned vectors and BM25 have it."""
    indices = np.unique(np.searchsorted(ends, rng.random(words)).clip(max=WORDS - 1)).astype(np.uint32)
    weights = rng.lognormal(0.0, 0.5, len(indices)) * np.log1p(indices + 2.0) / np.log(WORDS)
    return SparseVector(indices, weights.astype(np.float32))
