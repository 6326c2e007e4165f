"""Filters and formulas under strict mode: how large they may be, and which fields need an index. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence

from protos.collections import IntegerIndexParams, PayloadSchema, PayloadSchemaType
from protos.collections.strict_mode import StrictModeConfig
from protos.filters import (
    Condition,
    DatetimeRange,
    FieldCondition,
    Filter,
    GeoBoundingBox,
    GeoPolygon,
    GeoRadius,
    HasId,
    MatchAny,
    MatchExcept,
    MatchPrefix,
    MatchScalar,
    MatchText,
    MatchValue,
    Predicate,
    Range,
    leaf_count,
    leaves,
    predicates,
)
from protos.formulas import (
    Applied,
    DatetimeKey,
    Decay,
    Expression,
    GeoDistance,
    Matches,
    Payload,
    Power,
    Product,
    Quotient,
    Sum,
)
from protos.ids import parse_point_id_text
from protos.json_path import JsonPath, parse_path
from router.strict.violations import violated

Schema = Mapping[str, PayloadSchema]
Types = tuple[PayloadSchemaType, ...]

_NUMBERS: Types = (PayloadSchemaType.INTEGER, PayloadSchemaType.FLOAT)


class Place(enum.Enum):
    """Where a filter stands; the value is what may be used instead of an index."""

    FILTER = "a different filter"
    FORMULA = "a different formula expression"


def check_filter_size(filter: Filter | None, strict: StrictModeConfig) -> None:
    """Raises: BadRequest."""
    if filter is None:
        return
    if strict.filter_max_conditions is not None:
        count = leaf_count(filter)
        if count > strict.filter_max_conditions:
            raise violated(
                f"Filter condition limit reached ({count} > {strict.filter_max_conditions})",
                f"Use at most {strict.filter_max_conditions} conditions in a filter.",
            )
    if strict.condition_max_size is not None:
        largest = max(map(_size, leaves(filter)), default=0)
        if largest > strict.condition_max_size:
            raise violated(
                f"Condition size limit reached ({largest} > {strict.condition_max_size})",
                f"Use at most {strict.condition_max_size} values in a condition.",
            )


def check_filter_indexed(filter: Filter | None, schema: Schema, place: Place = Place.FILTER) -> None:
    """Raises: BadRequest if a condition's field has no index that answers it."""
    if filter is None:
        return
    for path, predicate in predicates(filter):
        if types := _serving(predicate):
            _require_index(path, types, schema, place)


def check_formula_indexed(expression: Expression, schema: Schema) -> None:
    """Raises: BadRequest if a variable, or a condition's field, has no index of its type."""
    for part in _parts(expression):
        match part:
            case Payload(path=path):
                _require_index(parse_path(path), _NUMBERS, schema, Place.FORMULA)
            case GeoDistance(to=path):
                _require_index(parse_path(path), (PayloadSchemaType.GEO,), schema, Place.FORMULA)
            case DatetimeKey(path=path):
                _require_index(parse_path(path), (PayloadSchemaType.DATETIME,), schema, Place.FORMULA)
            case Matches(condition=condition):
                check_filter_indexed(Filter(must=(condition,)), schema, Place.FORMULA)
            case _:
                pass


def check_group_key(key: str, schema: Schema) -> None:
    """Raises: BadRequest unless points can be selected by a value of the key."""
    solution = "Create an index supporting `match` for this key."
    found = _index_of(parse_path(key), schema)
    if found is None:
        raise violated(f'Index required but not found for "{key}"', solution)
    if not _matches_values(found):
        name = found.data_type.value.capitalize()
        raise violated(f'Index of type "{name}" found for "{key}"', solution)


def demands_tenant(filter: Filter | None, schema: Schema) -> bool:
    """Does every match have one of some values of a tenant's field?"""
    for condition in () if filter is None else filter.must or ():
        if isinstance(condition, Filter) and demands_tenant(condition, schema):
            return True
        if isinstance(condition, FieldCondition):
            found = _index_of(parse_path(condition.key), schema)
            by_value = all(isinstance(each, MatchValue | MatchAny) for each in condition.any_of)
            if by_value and getattr(getattr(found, "params", None), "is_tenant", None):
                return True
    return False


def _require_index(path: JsonPath, types: Types, schema: Schema, place: Place) -> None:
    found = _index_of(path, schema)
    if found is None or found.data_type not in types:
        names = ", ".join(each.value for each in types)
        raise violated(
            f'Index required but not found for "{path.text}" of one of the following types: [{names}]',
            f"Create an index for this key or use {place.value}.",
        )


def _index_of(path: JsonPath, schema: Schema) -> PayloadSchema | None:
    return next((index for field, index in schema.items() if parse_path(field) == path), None)


def _matches_values(index: PayloadSchema) -> bool:
    if isinstance(index.params, IntegerIndexParams):
        return index.params.lookup is not False
    return index.data_type in (
        PayloadSchemaType.KEYWORD,
        PayloadSchemaType.INTEGER,
        PayloadSchemaType.UUID,
        PayloadSchemaType.BOOL,
    )


def _serving(predicate: Predicate) -> Types:
    """Empty: an index of any type is as good as none, as for emptiness and counts."""
    match predicate:
        case MatchValue(value=value):
            return _of_values((value,))
        case MatchAny(values=values) | MatchExcept(values=values):
            return _of_values(values)
        case MatchPrefix():
            return (PayloadSchemaType.KEYWORD,)
        case MatchText():
            return (PayloadSchemaType.TEXT,)
        case Range():
            return _NUMBERS
        case DatetimeRange():
            return (PayloadSchemaType.DATETIME,)
        case GeoBoundingBox() | GeoRadius() | GeoPolygon():
            return (PayloadSchemaType.GEO,)
        case _:
            return ()


def _of_values(values: Sequence[MatchScalar]) -> Types:
    if not values:
        return ()
    if isinstance(values[0], bool):
        return (PayloadSchemaType.BOOL,)
    if isinstance(values[0], int):
        return (PayloadSchemaType.INTEGER,)
    if all(isinstance(parse_point_id_text(str(value)), str) for value in values):  # UUIDs
        return (PayloadSchemaType.KEYWORD, PayloadSchemaType.UUID)
    return (PayloadSchemaType.KEYWORD,)


def _size(condition: Condition) -> int:
    """The values that a condition holds, where their number is up to the caller."""
    match condition:
        case HasId(ids=ids):
            return len(ids)
        case FieldCondition(any_of=predicates):
            return max(map(_values_in, predicates), default=0)
        case _:
            return 0


def _values_in(predicate: Predicate) -> int:
    match predicate:
        case MatchAny(values=values) | MatchExcept(values=values):
            return len(values)
        case GeoPolygon(exterior=exterior, interiors=interiors):
            return len(exterior) + sum(map(len, interiors))
        case _:
            return 0


def _parts(expression: Expression) -> Iterator[Expression]:
    """The expression and all that it is made of."""
    yield expression
    match expression:
        case Product(factors=inner) | Sum(terms=inner):
            parts: tuple[Expression, ...] = inner
        case Quotient(left=left, right=right):
            parts = (left, right)
        case Power(base=base, exponent=exponent):
            parts = (base, exponent)
        case Applied(to=to):
            parts = (to,)
        case Decay(x=x, target=target):
            parts = (x, target)
        case _:
            parts = ()
    for part in parts:
        yield from _parts(part)
