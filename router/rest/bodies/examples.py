"""Examples in bodies: vectors, points and objects, and the queries made of several (reference 9.6–9.8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from protos.errors import MalformedBody
from protos.ids import parse_point_id
from protos.structs import learn
from router.checks import check_feedback, check_recommend, check_vector
from router.queries.requests import (
    ByExamples,
    ContextPairs,
    Discover,
    Example,
    Feedback,
    NearestPoint,
    NearestVector,
    Recommend,
    Strategy,
)
from router.rest.bodies.objects import decode_object, is_object
from router.rest.bodies.schemas import ListVector, LookupBody
from router.rest.bodies.selectors import decode_shard_keys
from router.vectors import SparseValues, VectorValues

T = TypeVar("T")


class RecommendInput(Struct):
    positive: list[Any] | None = None
    negative: list[Any] | None = None
    strategy: Strategy | None = None


class PairBody(Struct):
    positive: Any
    negative: Any


ContextBody = PairBody | list[PairBody] | None


class DiscoverInput(Struct):
    target: Any
    context: ContextBody


class FeedbackItem(Struct):
    example: Any
    score: float


class NaiveParams(Struct):
    a: float
    b: float
    c: float


class FeedbackStrategy(Struct):
    naive: NaiveParams


class FeedbackInput(Struct):
    target: Any
    feedback: list[FeedbackItem]
    strategy: FeedbackStrategy


# --- one example ------------------------------------------------------------------------------------


def is_sparse(value: Any) -> bool:
    return isinstance(value, dict) and "indices" in value and "values" in value


def decode_vector(value: Any, path: str) -> VectorValues:
    """Raises: MalformedBody, InvalidField."""
    vector = _vector(value, path)
    check_vector(vector, path)
    return vector


def decode_nearest(value: Any, lookup: LookupBody | None, path: str) -> Example:
    """The one thing that is searched by. Raises: MalformedBody, InvalidField."""
    if isinstance(value, list) or is_sparse(value):
        return NearestVector(decode_vector(value, path))
    return _object_or_point(value, lookup, path)


def _example(value: Any, lookup: LookupBody | None, path: str) -> Example:
    """One of several: one without numbers is of the wrong dimension, no wrong field (reference 18.5)."""
    if value == []:
        return NearestVector([])
    return decode_nearest(value, lookup, path)


def _vector(value: Any, path: str) -> VectorValues:
    vector: VectorValues = _convert(value, SparseValues if is_sparse(value) else ListVector, path)
    return vector


def _object_or_point(value: Any, lookup: LookupBody | None, path: str) -> Example:
    if is_object(value):
        return NearestVector(decode_object(value, path))
    point_id = parse_point_id(value)
    if lookup is None:
        return NearestPoint(point_id)
    return NearestPoint(point_id, lookup.collection, lookup.vector, decode_shard_keys(lookup.shard_key))


def _convert(value: Any, kind: Any, path: str) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as problem:
        raise MalformedBody(f"{problem} in `{path}`") from problem


# --- several ----------------------------------------------------------------------------------------


def decode_examples(
    values: Sequence[Any] | None, lookup: LookupBody | None, path: str
) -> tuple[Example, ...]:
    return tuple(_example(value, lookup, f"{path}[{place}]") for place, value in enumerate(values or ()))


def decode_target(value: Any, lookup: LookupBody | None, path: str) -> Example:
    return _example(value, lookup, f"{path}.target")


def decode_pairs(
    context: ContextBody, lookup: LookupBody | None, path: str
) -> tuple[tuple[Example, Example], ...]:
    pairs = [context] if isinstance(context, PairBody) else context or []
    return tuple(
        (
            _example(pair.positive, lookup, f"{path}[{place}].positive"),
            _example(pair.negative, lookup, f"{path}[{place}].negative"),
        )
        for place, pair in enumerate(pairs)
    )


def _recommend(value: Any, lookup: LookupBody | None, path: str) -> Recommend:
    body: RecommendInput = _convert(value, RecommendInput, path)
    query = Recommend(
        decode_examples(body.positive, lookup, f"{path}.positive"),
        decode_examples(body.negative, lookup, f"{path}.negative"),
        body.strategy or Strategy.AVERAGE_VECTOR,
    )
    check_recommend(query, path)
    return query


def _discover(value: Any, lookup: LookupBody | None, path: str) -> Discover:
    body: DiscoverInput = _convert(value, DiscoverInput, path)
    target = decode_target(body.target, lookup, path)
    return Discover(target, decode_pairs(body.context, lookup, f"{path}.context"))


def _context(value: Any, lookup: LookupBody | None, path: str) -> ContextPairs:
    body: ContextBody = _convert(value, ContextBody, path)
    return ContextPairs(decode_pairs(body, lookup, path))


def _feedback(value: Any, lookup: LookupBody | None, path: str) -> Feedback:
    body: FeedbackInput = _convert(value, FeedbackInput, path)
    naive = body.strategy.naive
    query = Feedback(
        target=decode_target(body.target, lookup, path),
        examples=decode_examples([item.example for item in body.feedback], lookup, f"{path}.feedback"),
        scores=tuple(item.score for item in body.feedback),
        a=naive.a,
        b=naive.b,
        c=naive.c,
    )
    check_feedback(query, path)
    return query


BY_EXAMPLES: Final[dict[str, Callable[[Any, LookupBody | None, str], ByExamples]]] = {
    "recommend": _recommend,
    "discover": _discover,
    "context": _context,
    "relevance_feedback": _feedback,
}
"""By the one field that such a query has. Raise: MalformedBody, InvalidField, BadRequest."""


learn(SparseValues, ListVector, RecommendInput, DiscoverInput, ContextBody, FeedbackInput)
