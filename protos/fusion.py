"""Rankings into one: reciprocal ranks and distribution-based scores (reference 9.9). Pure.

Sources: Cormack, Clarke, Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning
Methods" (2009); Mazzeschi, "Distribution-Based Score Fusion" (2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from msgspec import Struct

FloatArray = npt.NDArray[np.float32]
Keys = npt.NDArray[np.int64]
Ranked = tuple[Keys, FloatArray]  # keys of points, each once, and their scores; both (n,), best first

RRF_K: Final = 2
_WIDTH: Final = np.float32(3)  # standard deviations on either side of the mean


class Rrf(Struct, frozen=True, tag=True):
    """``weights``: of the rankings, in their order; None: all 1."""

    k: int = RRF_K
    weights: tuple[float, ...] | None = None


class Dbsf(Struct, frozen=True, tag=True):
    """Scores of each ranking become comparable by its mean and deviation."""


def fuse(by: Rrf | Dbsf, rankings: Sequence[Ranked]) -> Ranked:
    """The points of all rankings; equal scores in the order of their first appearance.

    Scores are float32, added in the order of the rankings.
    """
    weights = by.weights if isinstance(by, Rrf) else None
    if isinstance(by, Dbsf):
        shares = [_relative(scores) for _, scores in rankings]
    else:
        chosen = [1.0] * len(rankings) if weights is None else weights
        shares = [
            _reciprocal(len(keys), by.k, weight) for (keys, _), weight in zip(rankings, chosen, strict=True)
        ]
    return _summed([keys for keys, _ in rankings], shares)


def passing(ranked: Ranked, threshold: float | None) -> Ranked:
    """What a threshold of fusions and formulas lets pass: equal scores, too (reference 9.4)."""
    if threshold is None:
        return ranked
    keys, scores = ranked
    kept = scores >= np.float32(threshold)
    return keys[kept], scores[kept]


def _reciprocal(count: int, k: int, weight: float) -> FloatArray:
    """What each place adds: 1 / ((place + 1) / weight + k - 1), nothing for a weight that is not positive."""
    if weight <= 0:
        return np.zeros(count, dtype=np.float32)
    places = np.arange(1, count + 1, dtype=np.float32)
    with np.errstate(over="ignore"):
        ranks = places / np.float32(weight) + np.float32(k - 1)
    return _float32(1 / ranks)


def _relative(scores: FloatArray) -> FloatArray:
    """Where each score lies between the mean less three deviations (0) and plus three (1); not clamped."""
    if len(scores) < 2:
        return np.full(len(scores), 0.5, dtype=np.float32)
    mean, deviation = scores.mean(dtype=np.float32), scores.std(ddof=1, dtype=np.float32)
    low, high = mean - _WIDTH * deviation, mean + _WIDTH * deviation
    if low == high:
        return np.full(len(scores), 0.5, dtype=np.float32)
    return _float32((scores - low) / (high - low))


def _float32(values: npt.NDArray[Any]) -> FloatArray:
    return values.astype(np.float32, copy=False)


def _summed(keys: Sequence[Keys], shares: Sequence[FloatArray]) -> Ranked:
    every = np.concatenate([np.empty(0, dtype=np.int64), *keys])
    unique, first, places = np.unique(every, return_index=True, return_inverse=True)
    total = np.zeros(len(unique), dtype=np.float32)
    start = 0
    for share in shares:
        total[places[start : start + len(share)]] += share
        start += len(share)
    order = np.lexsort((first, -total))
    return unique[order], total[order]
