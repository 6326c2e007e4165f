"""The values that a filter demands."""

from __future__ import annotations

from node.filter.equalities import equalities
from protos.filters import (
    FieldCondition,
    Filter,
    MatchAny,
    MatchExcept,
    MatchValue,
)


def match(key: str, *values: str | int | bool) -> FieldCondition:
    return FieldCondition(key, tuple(MatchValue(value) for value in values))


def test_what_must_match_is_demanded_however_deep() -> None:
    inner = Filter(must=(match("b", 2), FieldCondition("c", (MatchAny(("x",)),))))
    assert equalities(Filter(must=(match("a", "v"), inner))) == (("a", "v"), ("b", 2), ("c", "x"))


def test_nothing_else_demands_a_value() -> None:
    assert equalities(None) == ()
    assert equalities(Filter(should=(match("a", 1),), must_not=(match("b", 1),))) == ()
    several = FieldCondition("c", (MatchAny(("x", "y")),))
    excluded = FieldCondition("d", (MatchExcept(("x",)),))
    either = Filter(should=(match("e", 1),))
    assert equalities(Filter(must=(match("a", 1, 2), several, excluded, either))) == ()
