"""The filter tree (reference section 10).

Values here are canonical: datetimes are microseconds since the epoch, paths are valid, clauses
are tuples. ``None`` for a clause means the key was absent, an empty tuple that it was an empty list;
both mean no constraint. Whether a point matches is not decided here but in ``node.filter``.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

from msgspec import Struct

from protos.ids import PointId

MatchScalar = str | int | bool


class MatchValue(Struct, frozen=True, tag=True):
    value: MatchScalar


class MatchAny(Struct, frozen=True, tag=True):
    values: tuple[str | int, ...]  # all of one type


class MatchExcept(Struct, frozen=True, tag=True):
    values: tuple[str | int, ...]  # all of one type


class TextMode(enum.Enum):
    TEXT = "text"  # substring without an index, all tokens with one
    TEXT_ANY = "text_any"
    PHRASE = "phrase"


class MatchText(Struct, frozen=True, tag=True):
    text: str
    mode: TextMode = TextMode.TEXT


class MatchPrefix(Struct, frozen=True, tag=True):
    prefix: str


class Range(Struct, frozen=True, tag=True):
    """Numeric bounds; None: open."""

    lt: float | int | None = None
    gt: float | int | None = None
    lte: float | int | None = None
    gte: float | int | None = None


class DatetimeRange(Struct, frozen=True, tag=True):
    """Bounds in microseconds since the epoch, UTC; None: open."""

    lt: int | None = None
    gt: int | None = None
    lte: int | None = None
    gte: int | None = None


class GeoPoint(Struct, frozen=True):
    lon: float
    lat: float


class GeoBoundingBox(Struct, frozen=True, tag=True):
    top_left: GeoPoint
    bottom_right: GeoPoint


class GeoRadius(Struct, frozen=True, tag=True):
    """``radius`` in metres."""

    center: GeoPoint
    radius: float


class GeoPolygon(Struct, frozen=True, tag=True):
    """Closed rings of at least four points."""

    exterior: tuple[GeoPoint, ...]
    interiors: tuple[tuple[GeoPoint, ...], ...] = ()


class ValuesCount(Struct, frozen=True, tag=True):
    lt: int | None = None
    gt: int | None = None
    lte: int | None = None
    gte: int | None = None


class FieldIsEmpty(Struct, frozen=True, tag=True):
    """The field form ``{"key": p, "is_empty": bool}``; ``[null]`` is not empty here."""

    expected: bool


class FieldIsNull(Struct, frozen=True, tag=True):
    """The field form; an array containing a null counts as null here."""

    expected: bool


Predicate = (
    MatchValue
    | MatchAny
    | MatchExcept
    | MatchText
    | MatchPrefix
    | Range
    | DatetimeRange
    | GeoBoundingBox
    | GeoRadius
    | GeoPolygon
    | ValuesCount
    | FieldIsEmpty
    | FieldIsNull
)


class FieldCondition(Struct, frozen=True, tag=True):
    """True if any of ``any_of`` holds for the values at ``key`` (a valid JSON path, as text)."""

    key: str
    any_of: tuple[Predicate, ...]


class IsEmpty(Struct, frozen=True, tag=True):
    """``{"is_empty": {"key": p}}``: missing, all values null, or ``[]``."""

    key: str


class IsNull(Struct, frozen=True, tag=True):
    """``{"is_null": {"key": p}}``: the value is null; an array that contains null is not."""

    key: str


class HasId(Struct, frozen=True, tag=True):
    ids: tuple[PointId, ...]


class HasVector(Struct, frozen=True, tag=True):
    name: str


class Slice(Struct, frozen=True, tag=True):
    total: int
    index: int


class InBuckets(Struct, frozen=True, tag=True):
    """The point's bucket is in a set, as packed bits (``consensus.buckets``).

    Not in the API: a shard restricts what it is asked to its own points with it.
    """

    buckets: bytes


class MinShould(Struct, frozen=True):
    conditions: tuple[Condition, ...]
    min_count: int


class Filter(Struct, frozen=True, tag=True):
    """A filter, and a condition when nested in another's clauses."""

    must: tuple[Condition, ...] | None = None
    should: tuple[Condition, ...] | None = None
    must_not: tuple[Condition, ...] | None = None
    min_should: MinShould | None = None


class Nested(Struct, frozen=True, tag=True):
    """``filter`` holds for at least one object element of the array at ``key`` (``[]`` implied)."""

    key: str
    filter: Filter


Condition = FieldCondition | IsEmpty | IsNull | HasId | HasVector | Slice | InBuckets | Nested | Filter


def both(one: Filter | None, other: Filter | None) -> Filter | None:
    """What both admit; None admits everything."""
    if one is None or other is None:
        return one or other
    return Filter(must=(one, other))


def leaf_count(filter: Filter) -> int:
    """How many conditions the filter holds, those of nested filters counted instead of their holder."""
    return sum(1 for _ in leaves(filter))


def leaves(filter: Filter) -> Iterator[Condition]:
    """Every condition that is neither a filter nor nested, wherever it stands."""
    for condition in conditions(filter):
        if isinstance(condition, Filter):
            yield from leaves(condition)
        elif isinstance(condition, Nested):
            yield from leaves(condition.filter)
        else:
            yield condition


def conditions(filter: Filter) -> Iterator[Condition]:
    """The direct members of the filter's clauses."""
    for clause in (filter.must, filter.should, filter.must_not):
        yield from clause or ()
    if filter.min_should is not None:
        yield from filter.min_should.conditions
