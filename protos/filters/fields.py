"""Which payload fields a filter asks about, and what of each. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from protos.filters.tree import FieldCondition, Filter, Nested, Predicate, conditions
from protos.json_path import JsonPath, parse_path


def predicates(filter: Filter, base: JsonPath | None = None) -> Iterator[tuple[JsonPath, Predicate]]:
    """Every predicate, with its path from the payload's root; ``base`` ends in ``[]``."""
    for condition in conditions(filter):
        if isinstance(condition, Filter):
            yield from predicates(condition, base)
        elif isinstance(condition, Nested):
            yield from predicates(condition.filter, _below(base, condition.key).elements())
        elif isinstance(condition, FieldCondition):
            path = _below(base, condition.key)
            yield from ((path, predicate) for predicate in condition.any_of)


def _below(base: JsonPath | None, key: str) -> JsonPath:
    path = parse_path(key)
    return path if base is None else base.extended(path)
