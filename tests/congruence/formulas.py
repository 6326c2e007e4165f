"""Random formulas in REST form, and the same for Qdrant's own engine (``qdrant-edge-py``)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import qdrant_edge as edge

from tests.congruence.edge import to_condition

ORIGIN = {"lon": 2.35, "lat": 48.85}


def near(path: str) -> Any:
    """In megametres, so that it is of the size of other terms."""
    return {"mult": [0.000001, {"geo_distance": {"origin": ORIGIN, "to": path}}]}


def since(path: str) -> Any:
    """In millions of seconds."""
    return {"mult": [0.000001, {"sum": [{"datetime_key": path}, {"neg": {"datetime": "2020-01-01"}}]}]}


class Maker:
    """Random expressions over ``leaves`` and constants, few of which come to nothing finite."""

    def __init__(self, seed: int, leaves: Sequence[Any]) -> None:
        self.rng, self.leaves = random.Random(seed), leaves

    def expression(self, depth: int) -> Any:
        if not depth or self.rng.random() < 0.2:
            return self.leaf()
        inner = [self.expression(depth - 1) for _ in range(self.rng.randint(0, 3))]
        one, other = self.expression(depth - 1), self.expression(depth - 1)
        decay = {"x": one, "target": other, "scale": self.rng.choice([0.5, 3.0]), "midpoint": 0.3}
        return self.rng.choice(
            [
                {"sum": inner},
                {"mult": inner},
                {"neg": one},
                {"abs": one},
                {"div": {"left": one, "right": other, "by_zero_default": 2.5}},
                {"sqrt": {"abs": one}},
                {"pow": {"base": {"abs": one}, "exponent": self.rng.choice([0.5, 2, 3])}},
                {"ln": {"sum": [1, {"abs": one}]}},
                {"log10": {"sum": [1, {"abs": one}]}},
                {self.rng.choice(["lin_decay", "exp_decay", "gauss_decay"]): decay},
            ]
        )

    def leaf(self) -> Any:
        if self.rng.random() < 0.2:
            return self.rng.choice([0, 1, -2, round(self.rng.uniform(-3, 3), 2)])
        return self.rng.choice(self.leaves)


def to_edge(expression: Any) -> edge.Expression:
    made = edge.Expression
    if isinstance(expression, str):
        return made.Variable(expression)
    if not isinstance(expression, dict):
        return made.Constant(expression)
    if len(expression) > 1 or "must_not" in expression:
        return made.Condition(to_condition(expression))
    ((kind, value),) = expression.items()
    if kind in ("sum", "mult"):
        return getattr(made, kind.title())([to_edge(each) for each in value])
    if kind == "div":
        return made.Div(to_edge(value["left"]), to_edge(value["right"]), value["by_zero_default"])
    if kind == "pow":
        return made.Pow(to_edge(value["base"]), to_edge(value["exponent"]))
    if kind == "geo_distance":
        return made.GeoDistance(edge.GeoPoint(**value["origin"]), value["to"])
    if kind in ("datetime", "datetime_key"):
        return getattr(made, "".join(map(str.title, kind.split("_"))))(value)
    if kind.endswith("_decay"):
        how = getattr(edge.DecayKind, kind.removesuffix("_decay").title())
        x, target = to_edge(value["x"]), to_edge(value["target"])
        return made.Decay(how, x, target, value["midpoint"], value["scale"])
    return getattr(made, kind.title())(to_edge(value))
