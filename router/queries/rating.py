"""Queries by vectors into what a shard is asked for: a vector to search by, or examples to rate points by.

Lives here, pure: the average (reference 9.6), which is a plain vector, and the scorings that shards know
(``protos.examples``). May not live here: where the vectors of examples come from (``examples``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import permutations

import numpy as np
import numpy.typing as npt

from protos.errors import BadInput
from protos.examples import BestScore, Context, Discovery, Examples, Pair, WeightedSum
from protos.shard import AnyVector, FloatArray, SearchRequest, SparseVector
from router.queries.requests import (
    ByExamples,
    ContextPairs,
    Discover,
    DiverseNearest,
    Example,
    Feedback,
    NearestPoint,
    NearestVector,
    Query,
    Recommend,
    Strategy,
)

Rated = AnyVector | Examples

_NUMBERS_AT_ONCE = 1 << 18  # averaged on the event loop: below a millisecond


def examples_of(query: Query | None) -> tuple[Example, ...]:
    """All of them, in the order in which ``asked_by`` takes their vectors; none: no vectors rank points."""
    match query:
        case NearestVector() | NearestPoint():
            return (query,)
        case DiverseNearest(nearest=nearest):
            return (nearest,)
        case Recommend(positive=positive, negative=negative):
            return (*positive, *negative)
        case Discover(target=target, context=context):
            return (target, *_in_pairs(context))
        case ContextPairs(context=context):
            return _in_pairs(context)
        case Feedback(target=target, examples=examples):
            return (target, *examples)
    return ()


def by_vectors(query: Query | None) -> bool:
    """Do vectors rank the points?"""
    return isinstance(query, NearestVector | NearestPoint | DiverseNearest | ByExamples)


def by_distance(query: Query | None) -> bool:
    """Are the scores those of the metric, so that on some the smaller is better?"""
    if isinstance(query, Recommend):
        return query.strategy is Strategy.AVERAGE_VECTOR
    return isinstance(query, NearestVector | NearestPoint | DiverseNearest)


async def rated_by(query: Query | None, vectors: Sequence[AnyVector]) -> Rated:
    """As ``asked_by``; much work is done beside the event loop."""
    if isinstance(query, Recommend) and sum(map(_numbers, vectors)) > _NUMBERS_AT_ONCE:
        return await asyncio.to_thread(asked_by, query, vectors)
    return asked_by(query, vectors)


def asked_by(query: Query | None, vectors: Sequence[AnyVector]) -> Rated:
    """``vectors``: of ``examples_of(query)``, each of which is there.

    Raises: BadInput if numbers get too large.
    """
    given = iter(vectors)
    match query:
        case Recommend():
            positive = tuple(next(given) for _ in query.positive)
            return _recommended(query.strategy, positive, tuple(given))
        case Discover(context=context):
            return Discovery(next(given), _pairs(given, len(context)))
        case ContextPairs(context=context):
            return Context(_pairs(given, len(context)))
        case Feedback():
            return WeightedSum(tuple(vectors), _weights(query))
    return next(given)


def search_of(rated: Rated, using: str, limit: int) -> SearchRequest:
    """What a shard is asked; the rest of the request is the caller's."""
    if isinstance(rated, Examples):
        return SearchRequest(using, None, limit, examples=rated)
    return SearchRequest(using, rated, limit)


def _in_pairs(pairs: Sequence[tuple[Example, Example]]) -> tuple[Example, ...]:
    return tuple(example for pair in pairs for example in pair)


def _pairs(vectors: Iterator[AnyVector], count: int) -> tuple[Pair, ...]:
    return tuple(Pair(next(vectors), next(vectors)) for _ in range(count))


def _recommended(
    strategy: Strategy, positive: tuple[AnyVector, ...], negative: tuple[AnyVector, ...]
) -> Rated:
    if strategy is Strategy.BEST_SCORE:
        return BestScore(positive, negative)
    if strategy is Strategy.SUM_SCORES:
        return WeightedSum((*positive, *negative), (1.0,) * len(positive) + (-1.0,) * len(negative))
    return average(positive, negative)


def _weights(query: Feedback) -> tuple[float, ...]:
    """Of the target and the examples: each pair, of which one was scored higher, adds to one's and takes
    from the other's what its difference is worth."""
    weights = np.zeros(len(query.examples), dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        for better, worse in permutations(range(len(query.examples)), 2):
            confidence = query.scores[better] - query.scores[worse]
            if confidence > 0:
                worth = np.float64(confidence) ** query.b * query.c
                weights[better] += worth
                weights[worse] -= worth
    if not np.isfinite(weights).all():
        raise BadInput("the scores and the strategy of the feedback give weights that are not finite")
    return (query.a, *weights.tolist())


def _numbers(vector: AnyVector) -> int:
    return len(vector.values) if isinstance(vector, SparseVector) else vector.size


# --- the average ------------------------------------------------------------------------------------


def average(positive: Sequence[AnyVector], negative: Sequence[AnyVector]) -> AnyVector:
    """Of the positives; with negatives, as far beyond it as theirs is on the other side.

    Of sparse vectors by index; of multivectors all parts beside each other, those of negatives turned round.
    """
    sparse = [vector for vector in (*positive, *negative) if isinstance(vector, SparseVector)]
    if sparse:
        return _average_sparse(sparse[: len(positive)], sparse[len(positive) :])
    dense = [vector for vector in (*positive, *negative) if not isinstance(vector, SparseVector)]
    for_it, against = dense[: len(positive)], dense[len(positive) :]
    if dense[0].ndim == 2:
        return np.concatenate([*for_it, *(-vector for vector in against)])
    mean = _mean(for_it)
    return _float32(2 * mean - _mean(against) if against else mean)


def _mean(vectors: Sequence[FloatArray]) -> npt.NDArray[np.float64]:
    mean: npt.NDArray[np.float64] = np.mean(np.stack(vectors), axis=0, dtype=np.float64)
    return mean


def _average_sparse(positive: Sequence[SparseVector], negative: Sequence[SparseVector]) -> SparseVector:
    share = (2.0 if negative else 1.0) / len(positive)
    shares = [share] * len(positive) + [-1.0 / len(negative) for _ in negative]
    vectors = (*positive, *negative)
    indices = np.concatenate([vector.indices for vector in vectors])
    values = np.concatenate(
        [vector.values.astype(np.float64) * share for vector, share in zip(vectors, shares, strict=True)]
    )
    found, places = np.unique(indices, return_inverse=True)
    return SparseVector(found, _float32(np.bincount(places, values, len(found)).astype(np.float64)))


def _float32(values: npt.NDArray[np.float64]) -> FloatArray:
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    if not np.isfinite(narrow).all():
        raise BadInput("Vector components must be finite 32-bit floats")
    return narrow
