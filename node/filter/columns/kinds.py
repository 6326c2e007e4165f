"""Kinds of payload index: which values a column holds and which of them satisfy a predicate.

Lives here: one kind per index type. A column holds the values of its kind and remembers, as *others*,
the slots that have more values than that at the field; so what it says of a predicate is either exact or
says where payloads must be checked. May not live here: arrays, slots, files.

Invariant: ``Wanted`` never leaves out a value that satisfies the predicate.
Source: reference 10.2, 11.
"""

from __future__ import annotations

import enum
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from node.bits import Slots
from node.filter import geo
from node.filter.columns import places
from node.filter.columns.base import Extras
from node.filter.columns.delta import Entries
from node.filter.columns.places import Region
from node.filter.predicates import uuid_of
from node.text import analyzer_of
from protos.collections import PayloadIndexParams, TextIndexParams
from protos.datetimes import parse_datetime
from protos.filters import (
    DatetimeRange,
    GeoBoundingBox,
    GeoPolygon,
    GeoRadius,
    MatchAny,
    MatchExcept,
    MatchPrefix,
    MatchText,
    MatchValue,
    Predicate,
    Range,
    TextMode,
)

_INT64: Final = np.iinfo(np.int64)

Interval = tuple[Any, Any]  # closed, in the column's values


class Others(enum.Enum):
    """Do values that the column does not hold satisfy the predicate?"""

    NONE = 0
    SOME = 1  # perhaps: their payloads must be checked
    ALL = 2


class Wanted(Struct, frozen=True):
    """The held values that satisfy a predicate.

    ``intervals`` None means every held value; ``inverted`` the held values outside the intervals.
    Instead of intervals: ``prefix``, those that start with it; ``tokens``, the slots that have all of them
    (as a run of one text, if ``phrase``); ``region``, the points in it. Not ``sure``: they may satisfy it.
    """

    intervals: tuple[Interval, ...] | None = None
    inverted: bool = False
    prefix: str | None = None
    tokens: tuple[str, ...] | None = None
    phrase: bool = False
    region: Region | None = None
    sure: bool = True
    others: Others = Others.NONE


def _as_they_are(slots: Slots, stored: Sequence[Any]) -> Entries:
    return Entries(slots, stored)


class Kind(Struct, frozen=True, eq=False):
    """``hold`` returns a payload value as the column stores it, None if it does not hold it; ``entries``
    makes entries of the stored values of some slots, equal ones of one slot once.

    ``extras`` are arrays of the shapes and types kept beside the values, without rows.
    """

    name: str
    dtype: npt.DTypeLike | None  # None: only which slots have such values is kept
    types: frozenset[type]  # JSON types among the values held
    complete: bool  # does it hold every value of these types that a predicate can tell apart?
    hold: Callable[[Any], Any]
    exactly: Callable[[Predicate], Wanted | None]
    ordered: bool = False  # can it order a scroll?
    worded: bool = False  # are its values codes of a dictionary?
    entries: Callable[[Slots, Sequence[Any]], Entries] = _as_they_are
    extras: Extras = {}

    def wanted(self, predicate: Predicate) -> Wanted:
        """For a predicate on single values."""
        return self.exactly(predicate) or self._by_type(predicate)

    def _by_type(self, predicate: Predicate) -> Wanted:
        types = _satisfying_types(predicate)
        held = not types.isdisjoint(self.types)
        if isinstance(predicate, MatchExcept):
            return Wanted(sure=not held, others=Others.SOME)
        others = Others.NONE if self.complete and types <= self.types else Others.SOME
        return Wanted(sure=False, others=others) if held else Wanted((), others=others)


def _satisfying_types(predicate: Predicate) -> frozenset[type]:
    """JSON types of the values it can be true of; for ``except``: can be false of."""
    match predicate:
        case MatchValue(value=value):
            return frozenset({type(value)})
        case MatchAny(values=values) | MatchExcept(values=values):
            return frozenset(type(value) for value in values)
        case MatchText() | MatchPrefix() | DatetimeRange():
            return frozenset({str})
        case Range():
            return frozenset({int, float})
        case GeoBoundingBox() | GeoRadius() | GeoPolygon():
            return frozenset({dict})
    raise AssertionError(f"{predicate} is about all values")


def _equal_to(values: Iterable[Any], predicate: Predicate, *, sure: bool = True) -> Wanted:
    """Equality with any of ``values``, for columns that tell all values of their operands' type apart."""
    intervals = tuple((value, value) for value in values)
    if isinstance(predicate, MatchExcept):
        return Wanted(intervals, inverted=True, sure=sure, others=Others.ALL)
    return Wanted(intervals, sure=sure)


def _operands(predicate: Predicate, kind: type) -> tuple[Any, ...] | None:
    """The operands of an exact match if they are all of one type; None if it is something else."""
    if isinstance(predicate, MatchValue):
        operands: tuple[Any, ...] = (predicate.value,)
    elif isinstance(predicate, MatchAny | MatchExcept):
        operands = predicate.values
    else:
        return None
    return operands if all(type(operand) is kind for operand in operands) else None


# --- integers --------------------------------------------------------------------------------------


def _hold_integer(value: Any) -> int | None:
    return value if type(value) is int and _INT64.min <= value <= _INT64.max else None


def _exactly_integer(predicate: Predicate) -> Wanted | None:
    operands = _operands(predicate, int)
    if operands is not None:
        return _equal_to(operands, predicate)
    if isinstance(predicate, Range):
        return Wanted(_integers_within(predicate), others=Others.SOME)
    return None


def _integers_within(bounds: Range | DatetimeRange) -> tuple[Interval, ...]:
    low, high = int(_INT64.min), int(_INT64.max)
    if bounds.gte is not None:
        low = max(low, math.ceil(bounds.gte))
    if bounds.gt is not None:
        low = max(low, math.floor(bounds.gt) + 1)
    if bounds.lte is not None:
        high = min(high, math.floor(bounds.lte))
    if bounds.lt is not None:
        high = min(high, math.ceil(bounds.lt) - 1)
    return ((low, high),) if low <= high else ()


# --- floats ----------------------------------------------------------------------------------------


def _hold_float(value: Any) -> float | None:
    """Integers too, unless a float would round them."""
    if type(value) is float:
        return value
    if type(value) is int and abs(value) <= 2**53:
        return float(value)
    return None


def _exactly_float(predicate: Predicate) -> Wanted | None:
    if isinstance(predicate, Range):
        return Wanted(_floats_within(predicate), others=Others.SOME)
    operands = _operands(predicate, int)
    if operands is not None and not isinstance(predicate, MatchExcept):
        # A float that equals an integer does not match it, and the column cannot tell which one it holds.
        held = [float(operand) for operand in operands if abs(operand) <= 2**53]
        return Wanted(tuple((value, value) for value in held), sure=False, others=Others.SOME)
    return None


def _floats_within(bounds: Range) -> tuple[Interval, ...]:
    low, high = -math.inf, math.inf
    for bound, strict in ((bounds.gte, False), (bounds.gt, True)):
        if bound is not None:
            low = max(low, _nearest_float(bound, math.inf, strict=strict))
    for bound, strict in ((bounds.lte, False), (bounds.lt, True)):
        if bound is not None:
            high = min(high, _nearest_float(bound, -math.inf, strict=strict))
    return ((low, high),) if low <= high else ()


def _nearest_float(bound: float, toward: float, *, strict: bool) -> float:
    """The float nearest to ``bound`` on the side of ``toward``, other than ``bound`` itself if strict."""
    value = float(bound)
    beyond = value < bound if toward > 0 else value > bound  # a large integer bound may have been rounded
    if beyond or (strict and value == bound):
        return math.nextafter(value, toward)
    return value


# --- the others --------------------------------------------------------------------------------------


def _hold_bool(value: Any) -> int | None:
    return int(value) if isinstance(value, bool) else None


def _exactly_bool(predicate: Predicate) -> Wanted | None:
    if isinstance(predicate, MatchValue) and isinstance(predicate.value, bool):
        return _equal_to([int(predicate.value)], predicate)
    return None


def _hold_text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _exactly_keyword(predicate: Predicate) -> Wanted | None:
    if isinstance(predicate, MatchPrefix):
        return Wanted(prefix=predicate.prefix)
    operands = _operands(predicate, str)
    return None if operands is None else _equal_to(operands, predicate)


def _hold_datetime(value: Any) -> int | None:
    return parse_datetime(value) if isinstance(value, str) else None


def _exactly_datetime(predicate: Predicate) -> Wanted | None:
    return Wanted(_integers_within(predicate)) if isinstance(predicate, DatetimeRange) else None


def _hold_uuid(value: Any) -> bytes | None:
    text = uuid_of(value) if isinstance(value, str) else None
    return None if text is None else bytes.fromhex(text.replace("-", ""))


def _exactly_uuid(predicate: Predicate) -> Wanted | None:
    """Operands that are no UUIDs can only equal strings that the column does not hold."""
    operands = _operands(predicate, str)
    if operands is None:
        return None
    held = [raw for raw in map(_hold_uuid, operands) if raw is not None]
    wanted = _equal_to(held, predicate)
    if len(held) == len(operands):
        return wanted
    return Wanted(wanted.intervals, inverted=wanted.inverted, others=Others.SOME)


def _nothing_exactly(_: Predicate) -> Wanted | None:
    return None


# --- geo points --------------------------------------------------------------------------------------


def _exactly_geo(predicate: Predicate) -> Wanted | None:
    """What is no point of the earth is not held, and has to be looked at."""
    if isinstance(predicate, GeoBoundingBox | GeoRadius | GeoPolygon):
        return Wanted(region=places.region_of(predicate), others=Others.SOME)
    return None


# --- texts -------------------------------------------------------------------------------------------


def _text_kind(params: TextIndexParams) -> Kind:
    """Holds the tokens of texts; their positions too, if phrases are to be found."""
    analyzer = analyzer_of(params)
    positions = bool(params.phrase_matching)

    def hold(value: Any) -> list[str] | None:
        return analyzer.document(value) if isinstance(value, str) else None

    def exactly(predicate: Predicate) -> Wanted | None:
        if not isinstance(predicate, MatchText):
            return None
        tokens = tuple(analyzer.query(predicate.text))
        if predicate.mode is TextMode.TEXT_ANY:
            return _equal_to(tokens, predicate)
        if not tokens:
            return Wanted(())
        if predicate.mode is TextMode.PHRASE and positions:
            return Wanted(tokens=tokens, phrase=True)
        return Wanted(tokens=tuple(dict.fromkeys(tokens)))

    return Kind(
        "text",
        np.int32,
        _STR,
        True,
        hold,
        exactly,
        worded=True,
        entries=_with_positions if positions else _without_positions,
        extras={"positions": np.zeros(0, np.uint32)} if positions else {},
    )


def _without_positions(slots: Slots, texts: Sequence[list[str]]) -> Entries:
    again = np.flatnonzero(slots[1:] == slots[:-1])  # several texts of one slot
    if len(again):
        by_slot: dict[int, list[str]] = {}
        for slot, text in zip(slots.tolist(), texts, strict=True):
            by_slot.setdefault(slot, []).extend(text)
        slots, texts = np.array(list(by_slot), dtype=np.int64), list(by_slot.values())
    distinct = list(map(dict.fromkeys, texts))
    lengths = np.fromiter(map(len, distinct), np.int64, len(distinct))
    return Entries(np.repeat(slots, lengths), list(itertools.chain.from_iterable(distinct)))


def _with_positions(slots: Slots, texts: Sequence[list[str]]) -> Entries:
    """Positions count on over the texts of a slot, with one left out between them."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    starts = np.cumsum(lengths + 1) - lengths - 1  # as if all texts were of one slot
    begins = np.flatnonzero(np.diff(slots, prepend=-1))
    starts -= np.repeat(starts[begins], np.diff(begins, append=len(slots)))
    before = np.cumsum(lengths) - lengths
    positions = np.arange(lengths.sum()) + np.repeat(starts - before, lengths)
    return Entries(
        np.repeat(slots, lengths),
        list(itertools.chain.from_iterable(texts)),
        {"positions": positions.astype(np.uint32)},
    )


_STR: Final = frozenset({str})
_KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind("keyword", np.int32, _STR, True, _hold_text, _exactly_keyword, worded=True),
        Kind("integer", np.int64, frozenset({int}), False, _hold_integer, _exactly_integer, ordered=True),
        Kind("float", np.float64, frozenset({int, float}), False, _hold_float, _exactly_float, ordered=True),
        Kind("bool", np.uint8, frozenset({bool}), True, _hold_bool, _exactly_bool),
        Kind("datetime", np.int64, _STR, False, _hold_datetime, _exactly_datetime, ordered=True),
        Kind("uuid", "S16", _STR, False, _hold_uuid, _exactly_uuid),
        Kind(
            "geo",
            places.CELL,
            frozenset({dict}),
            False,
            places.hold,
            _exactly_geo,
            entries=places.entries,
            extras=places.EXTRAS,
        ),
    )
}
# What the first format of files held of these: only which slots have any.
_FORMER: Final = {
    "geo": Kind("geo", None, frozenset({dict}), True, geo.point_of, _nothing_exactly),
    "text": Kind("text", None, _STR, True, _hold_text, _nothing_exactly),
}


def kind_of(params: PayloadIndexParams) -> Kind:
    """What an index with these parameters holds."""
    return _text_kind(params) if isinstance(params, TextIndexParams) else _KINDS[params.data_type.value]


def former_kind_of(params: PayloadIndexParams) -> Kind:
    """What the files of the first format held of it."""
    return _FORMER.get(params.data_type.value) or kind_of(params)
