"""Formulas. The constraints of their parts are those of ``protos.formulas.rules``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from protos.formulas import (
    Applied,
    DatetimeKey,
    DecayKind,
    Expression,
    Formula,
    Function,
    GeoDistance,
    Matches,
    Power,
    Product,
    Quotient,
    Sum,
    rules,
)
from protos.qdrant import queries_pb2 as wire
from router.grpc.convert.filters import condition_of, geo_point_of
from router.grpc.convert.points import json_path
from router.grpc.convert.values import plain_object
from router.grpc.errors import Unconvertible

_Convert = Callable[[Any, str, int], Expression]


def formula_of(message: wire.Formula, path: str) -> Formula:
    """``path``: where the query stands in the request.

    Raises: Unconvertible, MalformedBody, BadInput, InvalidField.
    """
    if not message.HasField("expression"):
        raise Unconvertible("Formula has no expression")
    expression = _expression(message.expression, f"{path}.formula", 0)
    return rules.formula(expression, plain_object(message.defaults), f"{path}.defaults")


def _expression(message: wire.Expression, path: str, depth: int) -> Expression:
    rules.check_depth(depth)
    kind = message.WhichOneof("variant")
    if kind is None:
        raise Unconvertible("Expression variant is missing")
    return _KINDS[kind](getattr(message, kind), f"{path}.{kind}", depth + 1)


def _part(holder: Any, name: str, path: str, depth: int) -> Expression:
    if not holder.HasField(name):
        raise Unconvertible(f"Expression has no `{name}`: {path}")
    return _expression(getattr(holder, name), f"{path}.{name}", depth)


def _parts(messages: Iterable[wire.Expression], path: str, depth: int) -> tuple[Expression, ...]:
    return tuple(_expression(each, f"{path}[{i}]", depth) for i, each in enumerate(messages))


def _single(holder: Any, name: str) -> float | None:
    return rules.single(getattr(holder, name)) if holder.HasField(name) else None


def _quotient(message: wire.DivExpression, path: str, depth: int) -> Quotient:
    return Quotient(
        _part(message, "left", path, depth),
        _part(message, "right", path, depth),
        _single(message, "by_zero_default"),
    )


def _power(message: wire.PowExpression, path: str, depth: int) -> Power:
    return Power(_part(message, "base", path, depth), _part(message, "exponent", path, depth))


def _geo_distance(message: wire.GeoDistance, path: str, _depth: int) -> GeoDistance:
    if not message.HasField("origin"):
        raise Unconvertible(f"Expression has no `origin`: {path}")
    return GeoDistance(geo_point_of(message.origin), rules.payload_path(json_path(message.to)))


def _applied(function: Function) -> _Convert:
    return lambda message, path, depth: Applied(function, _expression(message, path, depth))


def _decay(kind: DecayKind) -> _Convert:
    return lambda message, path, depth: rules.decay(
        kind,
        _part(message, "x", path, depth),
        _part(message, "target", path, depth) if message.HasField("target") else None,
        scale=_single(message, "scale"),
        midpoint=_single(message, "midpoint"),
    )


_KINDS: Final[dict[str, _Convert]] = {
    "constant": lambda value, _path, _depth: rules.constant(value),
    "variable": lambda text, _path, _depth: rules.variable(text),
    "condition": lambda message, path, _depth: Matches(condition_of(message, path=path)),
    "geo_distance": _geo_distance,
    "datetime": lambda text, _path, _depth: rules.datetime_constant(text),
    "datetime_key": lambda text, _path, _depth: DatetimeKey(rules.payload_path(json_path(text))),
    "mult": lambda message, path, depth: Product(_parts(message.mult, path, depth)),
    "sum": lambda message, path, depth: Sum(_parts(message.sum, path, depth)),
    "div": _quotient,
    "pow": _power,
    **{function.value: _applied(function) for function in Function},
    **{kind.value: _decay(kind) for kind in DecayKind},
}
