"""Recall against cost: points measured at several efforts, and what a recall costs between them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from msgspec import Struct

_ERROR_MIN = 1e-5  # a recall of 1 is drawn and interpolated as if so much were missing


class CurvePoint(Struct, frozen=True):
    """``ef`` None: the engine's default. ``rates``: queries per second, by queries per call."""

    ef: int | None
    recall: float
    p50_us: float
    p99_us: float
    rates: dict[int, float] = {}


class Curve(Struct, frozen=True):
    """``points`` ascend by ``ef``; ``default`` is not among them."""

    name: str
    points: list[CurvePoint]
    default: CurvePoint | None = None

    def cost_at(self, recall: float, cost: Callable[[CurvePoint], float]) -> float | None:
        """``cost`` where the curve first reaches ``recall``; None where it never does.

        Between two efforts the logarithms of cost and of missing recall are joined by a line. An effort
        that is more than enough and the least there is counts as it is.
        """
        below: CurvePoint | None = None
        for point in self.points:
            if point.recall >= recall:
                return cost(point) if below is None else _between(below, point, recall, cost)
            if below is None or point.recall >= below.recall:
                below = point
        return None


def _between(
    below: CurvePoint, above: CurvePoint, recall: float, cost: Callable[[CurvePoint], float]
) -> float:
    low, high, wanted = (_missing(each) for each in (below.recall, above.recall, recall))
    share = (low - wanted) / (low - high) if low != high else 1.0
    return math.exp((1 - share) * math.log(cost(below)) + share * math.log(cost(above)))


def _missing(recall: float) -> float:
    return math.log(max(1 - recall, _ERROR_MIN))


def ratio_at(ours: Curve, theirs: Curve, recall: float, cost: Callable[[CurvePoint], float]) -> float | None:
    """Our cost over theirs at equal recall. NaN: only they reach it; None: they do not, so none is equal."""
    mine, other = ours.cost_at(recall, cost), theirs.cost_at(recall, cost)
    if other is None:
        return None
    return math.nan if mine is None else mine / other


def rows_of(curves: Sequence[Curve]) -> list[str]:
    """The curves as lines of text, for people."""
    lines = []
    for curve in curves:
        for point in [*([curve.default] if curve.default else []), *curve.points]:
            rates = "".join(f"  {rate:>8,.0f}/s by {size}" for size, rate in sorted(point.rates.items()))
            ef = "default" if point.ef is None else f"ef {point.ef}"
            lines.append(
                f"{curve.name:<20} {ef:<8} recall {point.recall:.4f}  p50 {point.p50_us:>7,.0f} µs"
                f"  p99 {point.p99_us:>7,.0f} µs{rates}"
            )
    return lines
