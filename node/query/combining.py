"""Similarities to several examples made one score per row (reference 9.6–9.8). Pure array code.

Lives here: the formulas, and how high they can get for rows that are less similar than some bound.
May not live here: which rows are scored (``scoring``), where candidates come from (``examples``).

Formulas are computed in 32 bits, as Qdrant does, so that scores near the ends of the sigmoid are equal where
its are; sums of many terms in 64. A score is never NaN: what cannot be told apart from it ranks last.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from protos.examples import BestScore, Context, Discovery, Examples, WeightedSum
from protos.shard import FloatArray

_EPSILON = np.float32(np.finfo(np.float32).eps)  # by this much a pair's positive must be nearer
_LARGEST = np.finfo(np.float32).max
_HALF, _ONE = np.float32(0.5), np.float32(1.0)


def combine(examples: Examples, table: FloatArray) -> FloatArray:
    """One score per column.

    Args:
        table: (examples, n) float32, internal similarities, rows in the order of ``vectors_of``.
    """
    match examples:
        case BestScore(positive=positive):
            scores = _best_score(table[: len(positive)], table[len(positive) :])
        case WeightedSum(weights=weights):
            scores = _weighted_sum(np.array(weights, dtype=np.float64), table)
        case Discovery():
            scores = _rank(table[1:]) + squashed(table[0])
        case Context():
            scores = _context(table)
    return _finite(scores)


def squashed(similarity: FloatArray) -> FloatArray:
    """Any number into 0 to 1, order kept: 0.5 for 0."""
    with np.errstate(invalid="ignore"):  # of what is infinite
        return _HALF * (_soft(similarity) + _ONE)


def best_unseen(examples: Examples, edges: FloatArray) -> float:
    """The highest score of a row that is less similar to each walked example than its edge.

    ``edges``: (walked,); walked are the positives of a best score, the target of a discovery.
    """
    pairs = len(examples.context) if isinstance(examples, Discovery) else 0
    return float(squashed(edges.max(initial=-np.inf, keepdims=True))[0] + np.float32(pairs))


def _soft(x: FloatArray) -> FloatArray:
    soft = np.divide(x, _ONE + np.abs(x), dtype=np.float32)
    return np.where(np.isinf(x), np.sign(x), soft)


def _best_score(positive: FloatArray, negative: FloatArray) -> FloatArray:
    nearest = positive.max(axis=0, initial=-np.inf)
    repelling = negative.max(axis=0, initial=-np.inf)
    return np.where(nearest > repelling, squashed(nearest), -squashed(repelling))


def _weighted_sum(weights: npt.NDArray[np.float64], table: FloatArray) -> FloatArray:
    total = np.zeros(table.shape[1], dtype=np.float64)
    with np.errstate(invalid="ignore"):
        for weight, row in zip(weights, table, strict=True):
            if weight:
                total += weight * row.astype(np.float64)
    return np.clip(total, -_LARGEST, _LARGEST).astype(np.float32)


def _rank(sides: FloatArray) -> FloatArray:
    """How many more pairs have their positive nearer than have their negative."""
    positive, negative = _halves(sides)
    total = np.zeros(sides.shape[1], dtype=np.int32)
    for better, worse in zip(positive, negative, strict=True):
        total += better > worse
        total -= better < worse
    return total.astype(np.float32)


def _context(sides: FloatArray) -> FloatArray:
    positive, negative = _halves(sides)
    total = np.zeros(sides.shape[1], dtype=np.float32)
    for better, worse in zip(positive, negative, strict=True):
        with np.errstate(invalid="ignore", over="ignore"):
            total += _soft(np.minimum(better - worse - _EPSILON, np.float32(0)))
    return total


def _halves(sides: FloatArray) -> tuple[FloatArray, FloatArray]:
    half = len(sides) // 2
    return sides[:half], sides[half:]


def _finite(scores: FloatArray) -> FloatArray:
    scores = scores.astype(np.float32, copy=False)
    unknown = np.isnan(scores)
    return np.where(unknown, np.float32(-_LARGEST), scores) if unknown.any() else scores
