"""Scoring a point by several vectors at once (reference 9.6–9.8), as a router asks a shard to do it.

Examples are vectors here, whatever they were when the client named them. Scores are not converted to the
client's scale: the larger is the better one, whatever the metric.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from protos.vectors import AnyVector


class Pair(Struct, frozen=True):
    positive: AnyVector
    negative: AnyVector


class BestScore(Struct, frozen=True, tag="best_score"):
    """By the most similar example: the better the nearer to a positive, the worse the nearer to a negative.

    At least one of the two has a member.
    """

    positive: tuple[AnyVector, ...]
    negative: tuple[AnyVector, ...] = ()


class WeightedSum(Struct, frozen=True, tag="weighted_sum"):
    """Similarity to each of ``vectors`` times its weight, added up: sum of scores, and naive feedback."""

    vectors: tuple[AnyVector, ...]
    weights: tuple[float, ...]


class Discovery(Struct, frozen=True, tag="discovery"):
    """By how many pairs a point is on the positive side of; then by similarity to ``target``."""

    target: AnyVector
    context: tuple[Pair, ...] = ()


class Context(Struct, frozen=True, tag="context"):
    """By how far a point is on the negative side of each pair; 0, the best, is on no negative side."""

    context: tuple[Pair, ...]


Examples = BestScore | WeightedSum | Discovery | Context


def vectors_of(examples: Examples) -> list[AnyVector]:
    """All vectors, in the order in which rows of a table of similarities stand for them.

    Best score: positives, negatives. Discovery: the target first. Pairs: all positives, all negatives.
    """
    match examples:
        case BestScore(positive=positive, negative=negative):
            return [*positive, *negative]
        case WeightedSum(vectors=vectors):
            return [*vectors]
        case Discovery(target=target, context=context):
            return [target, *_sides(context)]
        case Context(context=context):
            return _sides(context)


def mapped(examples: Examples, made: Callable[[AnyVector], AnyVector]) -> Examples:
    """The same with ``made`` of each vector in its place."""
    match examples:
        case BestScore(positive=positive, negative=negative):
            return BestScore(tuple(map(made, positive)), tuple(map(made, negative)))
        case WeightedSum(vectors=vectors, weights=weights):
            return WeightedSum(tuple(map(made, vectors)), weights)
        case Discovery(target=target, context=context):
            return Discovery(made(target), _mapped(context, made))
        case Context(context=context):
            return Context(_mapped(context, made))


def _mapped(pairs: tuple[Pair, ...], made: Callable[[AnyVector], AnyVector]) -> tuple[Pair, ...]:
    return tuple(Pair(made(pair.positive), made(pair.negative)) for pair in pairs)


def _sides(pairs: tuple[Pair, ...]) -> list[AnyVector]:
    return [*(pair.positive for pair in pairs), *(pair.negative for pair in pairs)]
