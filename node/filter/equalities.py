"""The values that a filter demands: every point that matches it has them.

May not live here: what is made of them. Those that are not found cost speed, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator

from protos.facets import FacetValue
from protos.filters import Condition, FieldCondition, Filter, MatchAny, MatchValue

_NONE: tuple[tuple[str, FacetValue], ...] = ()


def equalities(filter: Filter | None) -> tuple[tuple[str, FacetValue], ...]:
    """Payload fields, as they are written, and the one value that must be among those of each."""
    if filter is None or not filter.must:
        return _NONE
    return tuple(_demanded(filter))


def _demanded(filter: Filter) -> Iterator[tuple[str, FacetValue]]:
    for condition in filter.must or ():
        yield from _of_condition(condition)


def _of_condition(condition: Condition) -> Iterator[tuple[str, FacetValue]]:
    match condition:
        case FieldCondition(key=key, any_of=(MatchValue(value=value),)):
            yield key, value
        case FieldCondition(key=key, any_of=(MatchAny(values=(value,)),)):
            yield key, value
        case Filter():
            yield from _demanded(condition)
        case _:
            pass
