"""The payload check: whether one point, payload decoded, satisfies a filter.

A filter is compiled once into closures; a check then touches only the values its conditions name.
This is the meaning of a filter (reference section 10); evaluation by indexes must agree with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from msgspec import Struct

from consensus.buckets import all_in
from node.filter import predicates, texts
from node.filter.siphash import id_hash
from protos.collections import PayloadIndexParams, TextIndexParams, UuidIndexParams
from protos.filters import (
    Condition,
    FieldCondition,
    Filter,
    HasId,
    HasVector,
    InBuckets,
    IsEmpty,
    IsNull,
    MatchText,
    MinShould,
    Nested,
    Predicate,
    Slice,
)
from protos.ids import PointId, id_key
from protos.json_path import JsonPath, flat_values_at, parse_path, values_at

Payload = dict[str, Any]
Check = Callable[[PointId, Payload, Collection[str]], bool]  # id, payload, names of its vectors

_NO_INDEXES: Mapping[str, PayloadIndexParams] = {}
_MISSING = object()


def compile_check(filter: Filter, indexes: Mapping[str, PayloadIndexParams] = _NO_INDEXES) -> Check:
    """Return the check of a filter.

    Args:
        indexes: the payload indexes by field; a uuid or text index changes what a match means.
    """
    by_path = {parse_path(field).steps: params for field, params in indexes.items()}
    test = _Compiler(by_path, None).filter(filter)
    return lambda point_id, payload, vectors: test(_Subject(payload, point_id, vectors))


class _Subject(Struct):
    """What is tested: a point, or an object inside its payload, which has neither id nor vectors."""

    payload: Payload
    id: PointId = 0
    vectors: Collection[str] = ()


_Test = Callable[[_Subject], bool]


def _all(tests: list[_Test]) -> _Test:
    if len(tests) == 1:
        return tests[0]
    return lambda subject: all(test(subject) for test in tests)


def _any(tests: list[_Test]) -> _Test:
    if len(tests) == 1:
        return tests[0]
    return lambda subject: any(test(subject) for test in tests)


def _none(tests: list[_Test]) -> _Test:
    return lambda subject: not any(test(subject) for test in tests)


class _Compiler:
    """``base`` is the path, ending in ``[]``, of the elements tested inside a nested condition."""

    def __init__(self, indexes: Mapping[tuple[Any, ...], PayloadIndexParams], base: JsonPath | None) -> None:
        self._indexes = indexes
        self._base = base

    def filter(self, filter: Filter) -> _Test:
        tests = [self.condition(condition) for condition in filter.must or ()]
        if filter.should:
            tests.append(_any([self.condition(condition) for condition in filter.should]))
        if filter.must_not:
            tests.append(_none([self.condition(condition) for condition in filter.must_not]))
        if filter.min_should is not None:
            tests.append(self._min_should(filter.min_should))
        return _all(tests)

    def _min_should(self, clause: MinShould) -> _Test:
        tests = [self.condition(condition) for condition in clause.conditions]
        needed = clause.min_count
        return lambda subject: sum(test(subject) for test in tests) >= needed

    def condition(self, condition: Condition) -> _Test:
        match condition:
            case FieldCondition():
                return self._field(condition)
            case IsEmpty(key=key):
                return _on_values(parse_path(key), predicates.is_empty)
            case IsNull(key=key):
                return _on_values(parse_path(key), predicates.is_null)
            case Nested():
                return self._nested(condition)
            case Filter():
                return self.filter(condition)
        # What is left is about the point, which the element of a nested array is not.
        return _of_point(condition) if self._base is None else lambda _: False

    def _field(self, condition: FieldCondition) -> _Test:
        path = parse_path(condition.key)
        return _any([self._predicate(path, predicate) for predicate in condition.any_of])

    def _predicate(self, path: JsonPath, predicate: Predicate) -> _Test:
        whole = predicates.of_values(predicate)
        if whole is not None:
            return _on_values(path, whole)
        index = self._index(path)
        if isinstance(index, TextIndexParams) and isinstance(predicate, MatchText):
            return _on_flat_values(path, texts.of_values(predicate, index))
        by_uuid = isinstance(index, UuidIndexParams)
        return _on_each_value(path, predicates.of_value(predicate, uuid_index=by_uuid))

    def _index(self, path: JsonPath) -> PayloadIndexParams | None:
        full = path if self._base is None else self._base.extended(path)
        return self._indexes.get(full.steps)

    def _nested(self, condition: Nested) -> _Test:
        path = parse_path(condition.key).elements()
        base = path if self._base is None else self._base.extended(path)
        test = _Compiler(self._indexes, base).filter(condition.filter)
        return lambda subject: any(
            test(_Subject(element))
            for element in values_at(subject.payload, path)
            if isinstance(element, dict)
        )


def _of_point(condition: HasId | HasVector | Slice | InBuckets) -> _Test:
    match condition:
        case HasId(ids=ids):
            wanted = frozenset(ids)
            return lambda subject: subject.id in wanted
        case HasVector(name=name):
            return lambda subject: name in subject.vectors
        case Slice(total=total, index=index):
            return lambda subject: id_hash(subject.id) % total == index
        case InBuckets(buckets=buckets):
            return lambda subject: all_in((id_key(subject.id),), buckets)


def _on_values(path: JsonPath, test: predicates.OfValues) -> _Test:
    return lambda subject: test(values_at(subject.payload, path))


def _on_flat_values(path: JsonPath, test: predicates.OfValues) -> _Test:
    return lambda subject: test(flat_values_at(subject.payload, path))


def _on_each_value(path: JsonPath, test: predicates.OfValue) -> _Test:
    key = path.steps[0]
    if len(path.steps) > 1 or not isinstance(key, str):
        return lambda subject: any(map(test, flat_values_at(subject.payload, path)))

    def test_top_level(subject: _Subject) -> bool:
        value = subject.payload.get(key, _MISSING)
        if isinstance(value, list):
            return any(map(test, value))
        return value is not _MISSING and test(value)

    return test_top_level
