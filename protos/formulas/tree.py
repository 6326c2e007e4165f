"""The tree of a formula (reference 9.11).

Values here are canonical: paths are valid and in their shortest form, a datetime is a ``Constant`` of
seconds, what a request gives as float32 has that precision. What an expression is worth is not decided
here but in ``node.query.formula``.
"""

from __future__ import annotations

import enum

from msgspec import Struct

from protos.filters import Condition, GeoPoint


class Constant(Struct, frozen=True, tag=True):
    value: float


class Score(Struct, frozen=True, tag=True):
    """What the prefetch at this place gave the point."""

    prefetch: int


class Payload(Struct, frozen=True, tag=True):
    """The number at a path."""

    path: str


class Matches(Struct, frozen=True, tag=True):
    """1 where the condition holds, 0 elsewhere."""

    condition: Condition


class GeoDistance(Struct, frozen=True, tag=True):
    """Metres from ``origin`` to the point at the path ``to``."""

    origin: GeoPoint
    to: str


class DatetimeKey(Struct, frozen=True, tag=True):
    """The datetime at a path, as seconds since the epoch."""

    path: str


class Product(Struct, frozen=True, tag=True):
    """1 of no factors. Behind a factor of 0 the others are not looked at."""

    factors: tuple[Expression, ...]


class Sum(Struct, frozen=True, tag=True):
    """0 of no terms."""

    terms: tuple[Expression, ...]


class Quotient(Struct, frozen=True, tag=True):
    """0 where ``left`` is, whatever ``right``; ``by_zero`` where only ``right`` is (None: not allowed)."""

    left: Expression
    right: Expression
    by_zero: float | None = None


class Power(Struct, frozen=True, tag=True):
    base: Expression
    exponent: Expression


class Function(enum.Enum):
    NEG = "neg"
    ABS = "abs"
    SQRT = "sqrt"
    EXP = "exp"
    LOG10 = "log10"
    LN = "ln"


class Applied(Struct, frozen=True, tag=True):
    function: Function
    to: Expression


class DecayKind(enum.Enum):
    LIN = "lin_decay"
    EXP = "exp_decay"
    GAUSS = "gauss_decay"


class Decay(Struct, frozen=True, tag=True):
    """1 where ``x`` is ``target``, ``midpoint`` where it is ``scale`` away."""

    kind: DecayKind
    x: Expression
    target: Expression = Constant(0.0)
    scale: float = 1.0
    midpoint: float = 0.5


Expression = (
    Constant
    | Score
    | Payload
    | Matches
    | GeoDistance
    | DatetimeKey
    | Product
    | Sum
    | Quotient
    | Power
    | Applied
    | Decay
)

PayloadDefault = float | str | GeoPoint | None
"""What stands for a value that a payload lacks; None: something that no expression can use."""


class Formula(Struct, frozen=True):
    """``scores``: by prefetch, of points that it did not find (0 if not said). ``defaults``: by path."""

    expression: Expression
    scores: dict[int, float] = {}
    defaults: dict[str, PayloadDefault] = {}
