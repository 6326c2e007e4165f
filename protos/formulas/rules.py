"""Constraints on the parts of a formula, whatever form it came in: parts that exist keep them.

Source: reference 9.11.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from protos.datetimes import parse_datetime
from protos.errors import BadInput, InvalidField, MalformedBody
from protos.filters import GeoPoint
from protos.filters import rules as filter_rules
from protos.formulas.tree import (
    Constant,
    Decay,
    DecayKind,
    Expression,
    Formula,
    Payload,
    PayloadDefault,
    Score,
)
from protos.json_path import parse_path

EXPRESSION_DEPTH_MAX: Final = 100  # expressions within expressions; bounds every later recursion
_MICROS: Final = 1_000_000
_PLACE_MAX: Final = 2**32 - 1
_SCORE = re.compile(r"\$score(?:\[([0-9]{1,10})\])?")


def check_depth(depth: int) -> None:
    """Raises: MalformedBody."""
    if depth > EXPRESSION_DEPTH_MAX:
        raise MalformedBody(f"expressions may be nested at most {EXPRESSION_DEPTH_MAX} deep")


def constant(value: float) -> Constant:
    """Numbers of a request are float32."""
    return Constant(single(value))


def single(value: float) -> float:
    """To the nearest float32, infinite beyond their range."""
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def datetime_constant(text: str) -> Constant:
    """Raises: BadInput."""
    micros = parse_datetime(text)
    if micros is None:
        raise BadInput(f"`{text}` in a formula is not a datetime (RFC 3339)")
    return Constant(micros / _MICROS)


def variable(text: str) -> Score | Payload:
    """``$score``, ``$score[i]`` or a payload path. Raises: BadInput."""
    if not text.startswith("$"):
        try:
            return Payload(payload_path(text))
        except MalformedBody:
            raise BadInput(f"`{text}` in a formula is not a payload path") from None
    score = _SCORE.fullmatch(text)
    place = int(score[1] or 0) if score is not None else _PLACE_MAX + 1
    if place > _PLACE_MAX:
        raise BadInput(f"`{text}` in a formula is not a variable, expected `$score` or `$score[<prefetch>]`")
    return Score(place)


def payload_path(text: str) -> str:
    """The shortest form of a valid path, in which ``defaults`` name it too."""
    return parse_path(text).text


def decay(
    kind: DecayKind,
    x: Expression,
    target: Expression | None,
    *,
    scale: float | None,
    midpoint: float | None,
) -> Decay:
    """None: not said. Raises: BadInput."""
    width = 1.0 if scale is None else single(scale)
    middle = 0.5 if midpoint is None else single(midpoint)
    if not width > 0:
        raise BadInput(f"`{kind.value}.scale` must be positive, got {scale}")
    if kind is DecayKind.LIN:
        if not 0 <= middle <= 1:
            raise BadInput(f"`{kind.value}.midpoint` must be from 0 to 1, got {midpoint}")
    elif not 0 < middle < 1:
        raise BadInput(f"`{kind.value}.midpoint` must be between 0 and 1, got {midpoint}")
    return Decay(kind, x, Constant(0.0) if target is None else target, width, middle)


def formula(expression: Expression, defaults: Mapping[str, Any], path: str) -> Formula:
    """``defaults`` as JSON decodes them; ``path``: where they stand in the request.

    Raises: BadInput for a name that is none; InvalidField for a score that is not a number.
    """
    scores: dict[int, float] = {}
    values: dict[str, PayloadDefault] = {}
    for name, value in defaults.items():
        found = variable(name)
        if isinstance(found, Payload):
            values[found.path] = _default(value)
            continue
        number = _default(value)
        if not isinstance(number, float):
            raise InvalidField(f"{path}.{name}", "the default of a score must be a number")
        scores[found.prefetch] = number
    return Formula(expression, scores, values)


def _default(value: Any) -> PayloadDefault:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return _geo_point(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _geo_point(value: dict[str, Any]) -> GeoPoint | None:
    lon, lat = _default(value.get("lon")), _default(value.get("lat"))
    if not isinstance(lon, float) or not isinstance(lat, float):
        return None
    try:
        return filter_rules.geo_point(lon, lat)
    except MalformedBody:
        return None
