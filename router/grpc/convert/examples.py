"""Examples: vectors, points and objects, and the queries made of several (reference 9.6–9.8)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from protos.qdrant import filters_pb2, legacy_pb2, points_pb2
from protos.qdrant import queries_pb2 as wire
from router.checks import check_feedback, check_legacy_discover, check_legacy_recommend, check_recommend
from router.grpc.convert.filters import number
from router.grpc.convert.points import point_id, shard_selector
from router.grpc.convert.vectors import query_vector, stored_vector
from router.grpc.convert.words import known
from router.grpc.errors import Unconvertible
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

Lookup = wire.LookupLocation | None

_STRATEGIES: Final = {
    wire.AverageVector: Strategy.AVERAGE_VECTOR,
    wire.BestScore: Strategy.BEST_SCORE,
    wire.SumScores: Strategy.SUM_SCORES,
}


def lookup_in(message: Any) -> Lookup:
    """Where points among the examples of a query are looked up."""
    return message.lookup_from if message.HasField("lookup_from") else None


def example(message: points_pb2.VectorInput, lookup: Lookup, path: str) -> Example:
    """Raises: Unconvertible, InvalidField."""
    if message.WhichOneof("variant") == "id":
        return _point(message.id, lookup)
    return NearestVector(query_vector(message, path))


def _point(message: filters_pb2.PointId, lookup: Lookup) -> NearestPoint:
    if lookup is None:
        return NearestPoint(point_id(message))
    name = lookup.vector_name if lookup.HasField("vector_name") else None
    keys = shard_selector(lookup.shard_key_selector) if lookup.HasField("shard_key_selector") else None
    return NearestPoint(point_id(message), lookup.collection_name, name, keys)


def _examples(messages: Iterable[points_pb2.VectorInput], lookup: Lookup, path: str) -> tuple[Example, ...]:
    return tuple(example(each, lookup, f"{path}[{place}]") for place, each in enumerate(messages))


def _pairs(message: wire.ContextInput, lookup: Lookup, path: str) -> tuple[tuple[Example, Example], ...]:
    return tuple(
        (
            example(pair.positive, lookup, f"{path}.pairs[{place}].positive"),
            example(pair.negative, lookup, f"{path}.pairs[{place}].negative"),
        )
        for place, pair in enumerate(message.pairs)
    )


def _strategy(message: Any) -> Strategy:
    if not message.HasField("strategy"):
        return Strategy.AVERAGE_VECTOR
    return known(_STRATEGIES, message.strategy, "RecommendStrategy")


# --- the query API ----------------------------------------------------------------------------------


def _recommend(message: wire.RecommendInput, lookup: Lookup, path: str) -> Recommend:
    query = Recommend(
        _examples(message.positive, lookup, f"{path}.positive"),
        _examples(message.negative, lookup, f"{path}.negative"),
        _strategy(message),
    )
    check_recommend(query, path)
    return query


def _discover(message: wire.DiscoverInput, lookup: Lookup, path: str) -> Discover:
    target = example(message.target, lookup, f"{path}.target")
    return Discover(target, _pairs(message.context, lookup, f"{path}.context"))


def _context(message: wire.ContextInput, lookup: Lookup, path: str) -> ContextPairs:
    return ContextPairs(_pairs(message, lookup, path))


def _feedback(message: wire.RelevanceFeedbackInput, lookup: Lookup, path: str) -> Feedback:
    if message.strategy.WhichOneof("variant") is None:
        raise Unconvertible("FeedbackStrategy variant is missing")
    naive = message.strategy.naive
    query = Feedback(
        target=example(message.target, lookup, f"{path}.target"),
        examples=_examples((item.example for item in message.feedback), lookup, f"{path}.feedback"),
        scores=tuple(number(item.score, "score") for item in message.feedback),
        a=number(naive.a, "a"),
        b=number(naive.b, "b"),
        c=number(naive.c, "c"),
    )
    check_feedback(query, path)
    return query


BY_EXAMPLES: Final[dict[str, Callable[[Any, Lookup, str], ByExamples]]] = {
    "recommend": _recommend,
    "discover": _discover,
    "context": _context,
    "relevance_feedback": _feedback,
}
"""By variant of a query. Raise: Unconvertible, InvalidField, BadRequest."""


# --- old clients ------------------------------------------------------------------------------------


def legacy_recommend(
    message: legacy_pb2.RecommendPoints | legacy_pb2.RecommendPointGroups, lookup: Lookup, path: str
) -> Recommend:
    """Raises: Unconvertible, InvalidField, BadRequest."""
    query = Recommend(
        _either(message.positive, message.positive_vectors, lookup, f"{path}positive"),
        _either(message.negative, message.negative_vectors, lookup, f"{path}negative"),
        _strategy(message),
    )
    check_legacy_recommend(query)
    return query


def legacy_discover(message: legacy_pb2.DiscoverPoints, lookup: Lookup, path: str) -> Discover | ContextPairs:
    """Raises: Unconvertible, InvalidField, BadRequest."""
    targeted = message.HasField("target")
    check_legacy_discover(target=targeted, context=bool(message.context))
    pairs = tuple(
        (
            _vector_example(pair.positive, lookup, f"{path}context[{place}].positive"),
            _vector_example(pair.negative, lookup, f"{path}context[{place}].negative"),
        )
        for place, pair in enumerate(message.context)
    )
    if not targeted:
        return ContextPairs(pairs)
    return Discover(_vector_example(message.target.single, lookup, f"{path}target"), pairs)


def _either(
    ids: Iterable[filters_pb2.PointId], vectors: Iterable[points_pb2.Vector], lookup: Lookup, path: str
) -> tuple[Example, ...]:
    given = (
        NearestVector(stored_vector(vector, f"{path}_vectors[{place}]"))
        for place, vector in enumerate(vectors)
    )
    return (*(_point(each, lookup) for each in ids), *given)


def _vector_example(message: legacy_pb2.VectorExample, lookup: Lookup, path: str) -> Example:
    kind = message.WhichOneof("example")
    if kind is None:
        raise Unconvertible("VectorExample example is missing")
    if kind == "id":
        return _point(message.id, lookup)
    return NearestVector(stored_vector(message.vector, path))
