"""What the formulas of scoring by examples say, one pair of vectors at a time, in plain Python."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from protos.examples import BestScore, Context, Discovery, Examples, WeightedSum

Similarity = Callable[[Any], float]  # of one example to the point that is scored
EPSILON = 1.1920929e-7


def squashed(x: float) -> float:
    return 0.5 * (x / (1 + abs(x)) + 1)


def score(examples: Examples, similarity: Similarity) -> float:
    match examples:
        case BestScore(positive=positive, negative=negative):
            near = max(map(similarity, positive), default=-math.inf)
            far = max(map(similarity, negative), default=-math.inf)
            return squashed(near) if near > far else -squashed(far)
        case WeightedSum(vectors=vectors, weights=weights):
            return sum(weight * similarity(vector) for weight, vector in zip(weights, vectors, strict=True))
        case Discovery(target=target, context=context):
            sides = [similarity(pair.positive) - similarity(pair.negative) for pair in context]
            return sum((side > 0) - (side < 0) for side in sides) + squashed(similarity(target))
        case Context(context=context):
            losses = [
                min(similarity(pair.positive) - similarity(pair.negative) - EPSILON, 0) for pair in context
            ]
            return sum(loss / (1 + abs(loss)) for loss in losses)
