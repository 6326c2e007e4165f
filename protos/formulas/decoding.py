"""Formulas from decoded JSON.

Lives here: the shapes that JSON may give a formula (reference 9.11). May not live here: constraints that hold
in every form (``rules``), what an expression is worth for a point.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from protos.errors import MalformedBody
from protos.filters.decoding import (
    checked_list,
    checked_number,
    checked_object,
    checked_path,
    checked_text,
    decode_condition,
    decode_geo_point,
)
from protos.formulas import rules
from protos.formulas.tree import (
    Applied,
    DatetimeKey,
    Decay,
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
)


def decode_formula(value: object, defaults: object = None, *, path: str = "query") -> Formula:
    """Return the formula for decoded JSON.

    Args:
        value: the expression; ``defaults``: values by variable, None for none.
        path: where both stand in the body, for the texts of broken constraints.
    Raises: MalformedBody (400) for a wrong shape; BadInput (400) for a variable, datetime or decay that
        cannot be; InvalidField (422) for a broken constraint.   Source: reference 9.11.
    """
    if defaults is not None and not isinstance(defaults, dict):
        raise MalformedBody("expected an object for `defaults` of a formula")
    return rules.formula(_expression(value, f"{path}.formula", 0), defaults or {}, f"{path}.defaults")


def _expression(value: object, path: str, depth: int) -> Expression:
    rules.check_depth(depth)
    if isinstance(value, str):
        return rules.variable(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return rules.constant(checked_number(value))
    if isinstance(value, dict):
        for name, decode in _KINDS.items():
            if name in value:
                return decode(value[name], f"{path}.{name}", depth + 1)
        return Matches(decode_condition(value, path=path))
    raise MalformedBody(
        "Expected some form of expression: a number, a variable, a condition, or an object with one of "
        + ", ".join(_KINDS)
    )


def _expressions(value: object, path: str, depth: int) -> tuple[Expression, ...]:
    items = checked_list(value, path)
    return tuple(_expression(item, f"{path}[{i}]", depth) for i, item in enumerate(items))


def _fields(value: object, what: str, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> Any:
    """The fields that are known; others mean nothing."""
    known = {*required, *optional}
    if isinstance(value, dict):
        value = {name: field for name, field in value.items() if name in known}
    return checked_object(value, what, known, required)


def _quotient(value: object, path: str, depth: int) -> Quotient:
    fields = _fields(value, "struct DivParams", ("left", "right"), ("by_zero_default",))
    by_zero = _number(fields.get("by_zero_default"))
    return Quotient(
        _expression(fields["left"], f"{path}.left", depth),
        _expression(fields["right"], f"{path}.right", depth),
        None if by_zero is None else rules.single(by_zero),
    )


def _power(value: object, path: str, depth: int) -> Power:
    fields = _fields(value, "struct PowParams", ("base", "exponent"))
    return Power(
        _expression(fields["base"], f"{path}.base", depth),
        _expression(fields["exponent"], f"{path}.exponent", depth),
    )


def _geo_distance(value: object, _path: str, _depth: int) -> GeoDistance:
    fields = _fields(value, "struct GeoDistanceParams", ("origin", "to"))
    return GeoDistance(decode_geo_point(fields["origin"]), rules.payload_path(checked_path(fields["to"])))


def _number(value: object) -> float | None:
    return None if value is None else checked_number(value)


def _applied(function: Function) -> _Decode:
    return lambda value, path, depth: Applied(function, _expression(value, path, depth))


def _decay(kind: DecayKind) -> _Decode:
    def decode(value: object, path: str, depth: int) -> Decay:
        fields = _fields(value, "struct DecayParamsExpression", ("x",), ("target", "scale", "midpoint"))
        target = fields.get("target")
        return rules.decay(
            kind,
            _expression(fields["x"], f"{path}.x", depth),
            None if target is None else _expression(target, f"{path}.target", depth),
            scale=_number(fields.get("scale")),
            midpoint=_number(fields.get("midpoint")),
        )

    return decode


_Decode = Callable[[object, str, int], Expression]

_KINDS: Final[dict[str, _Decode]] = {
    "geo_distance": _geo_distance,
    "datetime": lambda value, _path, _depth: rules.datetime_constant(checked_text(value)),
    "datetime_key": lambda value, _path, _depth: DatetimeKey(rules.payload_path(checked_path(value))),
    "mult": lambda value, path, depth: Product(_expressions(value, path, depth)),
    "sum": lambda value, path, depth: Sum(_expressions(value, path, depth)),
    "div": _quotient,
    "pow": _power,
    **{function.value: _applied(function) for function in Function},
    **{kind.value: _decay(kind) for kind in DecayKind},
}
