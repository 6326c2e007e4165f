"""What a formula is worth for candidates (reference 9.11): columns of float64, float32 at the end.

Lives here: the meaning of expressions over many points at once. May not live here: their forms
(``protos.formulas``), which points are candidates, how they are ranked.

A part of an expression is evaluated only for the points that need it, so that what cannot be evaluated for
others is no error. Variables are read from payloads whether or not their field has an index.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from node.bits import Slots
from node.query.matching import matching_slots
from node.query.variables import Variables
from protos.errors import BadInput
from protos.filters import Filter
from protos.formulas import (
    Applied,
    Constant,
    DatetimeKey,
    Decay,
    DecayKind,
    Expression,
    Formula,
    Function,
    GeoDistance,
    Matches,
    Payload,
    Power,
    Product,
    Quotient,
    Score,
    Sum,
)
from protos.shard import FloatArray

if TYPE_CHECKING:
    from node.query.view_port import View

Column = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]  # places among the candidates


def evaluate_formula(view: View, formula: Formula, slots: Slots, scores: Sequence[FloatArray]) -> FloatArray:
    """The formula's value for each candidate, float32 (n,).

    Args:
        slots: (n,) live slots, each once, in any order.
        scores: of each prefetch, (n,) with NaN for the candidates that it did not find.
    Raises: BadInput for a variable that a candidate has no value for, or one that is not finite.
    """
    found = _Evaluator(view, formula, slots, scores).value(formula.expression, np.arange(len(slots)))
    with np.errstate(over="ignore"):
        values = found.astype(np.float32)
    _check_finite(values, lambda at: _shown(found[at]))
    return values


class _Evaluator:
    """Methods take the rows that matter, and return a value for each of them."""

    def __init__(self, view: View, formula: Formula, slots: Slots, scores: Sequence[FloatArray]) -> None:
        self._view, self._formula, self._slots, self._scores = view, formula, slots, scores
        self._variables = Variables(view, slots, formula.defaults)

    def value(self, expression: Expression, rows: Rows) -> Column:
        match expression:
            case Constant(value=value):
                return np.full(len(rows), value)
            case Score(prefetch=prefetch):
                return self._score(prefetch, rows)
            case Payload(path=path):
                return self._variables.numbers(path, rows)
            case GeoDistance(origin=origin, to=path):
                return self._variables.distances(path, origin, rows)
            case DatetimeKey(path=path):
                return self._variables.seconds(path, rows)
            case Matches(condition=condition):
                matching = matching_slots(self._view, Filter(must=(condition,)), self._slots[rows])
                return np.isin(self._slots[rows], matching).astype(np.float64)
            case Product() | Sum():
                return self._joined(expression, rows)
            case Quotient():
                return self._quotient(expression, rows)
            case Power(base=base, exponent=exponent):
                return _power(self.value(base, rows), self.value(exponent, rows))
            case Applied(function=function, to=to):
                return _apply(function, self.value(to, rows))
            case Decay(x=x, target=target):
                return _decayed(expression, np.abs(self.value(x, rows) - self.value(target, rows)))

    def _score(self, prefetch: int, rows: Rows) -> Column:
        absent = self._formula.scores.get(prefetch, 0.0)
        if prefetch >= len(self._scores):
            return np.full(len(rows), absent)
        found = self._scores[prefetch][rows].astype(np.float64)
        found[np.isnan(found)] = absent
        return found

    def _joined(self, expression: Product | Sum, rows: Rows) -> Column:
        with np.errstate(all="ignore"):
            if isinstance(expression, Product):
                result, sign = self._product(expression, rows), "*"
            else:
                result, sign = self._sum(expression, rows), "+"
        _check_finite(result, lambda _: f"a {sign} b {sign} …")
        return result

    def _product(self, expression: Product, rows: Rows) -> Column:
        result = np.ones(len(rows))
        due = np.arange(len(rows))
        for factor in expression.factors:
            values = self.value(factor, rows[due])
            zero = values == 0
            result[due] *= values
            result[due[zero]] = 0.0  # whatever the factors before it came to
            due = due[~zero]
        return result

    def _sum(self, expression: Sum, rows: Rows) -> Column:
        result = np.zeros(len(rows))
        for term in expression.terms:
            result += self.value(term, rows)
        return result

    def _quotient(self, expression: Quotient, rows: Rows) -> Column:
        result = np.zeros(len(rows))
        left = self.value(expression.left, rows)
        due = np.flatnonzero(left)
        left = left[due]
        right = self.value(expression.right, rows[due])
        with np.errstate(all="ignore"):
            quotients = left / right
        if expression.by_zero is not None:
            quotients[right == 0] = expression.by_zero
        _check_finite(quotients, lambda at: f"{_shown(left[at])}/{_shown(right[at])}")
        result[due] = quotients
        return result


def _power(base: Column, exponent: Column) -> Column:
    with np.errstate(all="ignore"):
        found = np.power(base, exponent)
    return _check_finite(found, lambda at: f"{_shown(base[at])}^{_shown(exponent[at])}")


_FUNCTIONS: Final[dict[Function, tuple[Callable[[Any], Any], str]]] = {
    Function.NEG: (np.negative, "-({})"),
    Function.ABS: (np.abs, "|{}|"),
    Function.SQRT: (np.sqrt, "√{}"),
    Function.EXP: (np.exp, "exp({})"),
    Function.LOG10: (np.log10, "log10({})"),
    Function.LN: (np.log, "ln({})"),
}


def _apply(function: Function, values: Column) -> Column:
    apply, shown = _FUNCTIONS[function]
    with np.errstate(all="ignore"):
        found: Column = apply(values)
    return _check_finite(found, lambda at: shown.format(_shown(values[at])))


def _decayed(decay: Decay, distances: Column) -> Column:
    with np.errstate(all="ignore"):
        if decay.kind is DecayKind.LIN:
            found = np.maximum(0.0, 1.0 - distances * ((1.0 - decay.midpoint) / decay.scale))
        elif decay.kind is DecayKind.EXP:
            found = np.exp(np.log(decay.midpoint) / decay.scale * distances)
        else:
            found = np.exp(np.log(decay.midpoint) / decay.scale**2 * distances**2)
    return _check_finite(found, lambda at: f"{decay.kind.value}({_shown(distances[at])})")


def _check_finite(values: npt.NDArray[Any], expression: Callable[[int], str]) -> npt.NDArray[Any]:
    """The argument. Raises: BadInput, telling of the first that is not finite."""
    finite = np.isfinite(values)
    if not finite.all():
        first = int(np.argmin(finite))
        raise BadInput(f"The expression {expression(first)} produced a non-finite number")
    return values


def _shown(value: float) -> str:
    return f"{value:.17g}" if abs(value) >= 1e16 else repr(float(value)).removesuffix(".0")
