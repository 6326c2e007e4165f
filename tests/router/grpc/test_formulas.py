"""Formulas over gRPC: what official clients send for a formula in JSON means what the JSON does."""

from __future__ import annotations

from typing import Any

import pytest
from qdrant_client import models
from qdrant_client.conversions.conversion import RestToGrpc

from protos.errors import MalformedBody
from protos.formulas import EXPRESSION_DEPTH_MAX, Formula, decode_formula
from protos.qdrant import queries_pb2 as wire
from router.grpc.convert.formulas import formula_of
from tests.congruence.formulas import Maker
from tests.protos.test_formulas import FORMS

DEFAULTS = {
    "$score[1]": 2,
    "n": 1,
    "g": {"lon": 1, "lat": 2},
    "when": "2020-01-01",
    "flag": True,
    "none": None,
}


def over_the_wire(expression: Any) -> Formula:
    query = models.FormulaQuery(formula=expression, defaults=DEFAULTS)
    sent = RestToGrpc.convert_formula_query(query).SerializeToString()
    return formula_of(wire.Formula.FromString(sent), "query")


@pytest.mark.parametrize("expression", [form for form, _ in FORMS if form != {}], ids=str)
def test_every_form_means_the_same(expression: Any) -> None:
    assert over_the_wire(expression) == decode_formula(expression, DEFAULTS)


@pytest.mark.parametrize("seed", range(50))
def test_random_formulas_mean_the_same(seed: int) -> None:
    expression = Maker(seed, ["n", "$score[2]", {"key": "a", "match": {"value": 1}}]).expression(4)
    assert over_the_wire(expression) == decode_formula(expression, DEFAULTS)


def test_expressions_nest_no_deeper_than_over_rest() -> None:
    formula = wire.Formula()
    innermost = formula.expression
    for _ in range(EXPRESSION_DEPTH_MAX):
        innermost = innermost.neg
    innermost.constant = 1
    assert formula_of(formula, "query")
    innermost.neg.constant = 1
    with pytest.raises(MalformedBody, match="nested at most"):
        formula_of(formula, "query")
