"""Formulas from JSON: shapes, canonical values, and what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from protos.errors import BadInput, InvalidField, MalformedBody
from protos.filters import FieldCondition, Filter, GeoPoint, HasId, MatchValue
from protos.formulas import (
    EXPRESSION_DEPTH_MAX,
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
    decode_formula,
)

DISTANCE = {"origin": {"lon": 1, "lat": 2}, "to": "place"}
FORMS: list[tuple[Any, Expression]] = [
    (2, Constant(2.0)),
    ("n", Payload("n")),
    ("$score", Score(0)),
    ("$score[3]", Score(3)),
    ('"a".b[]', Payload("a.b[]")),
    ({"key": "a", "match": {"value": 1}}, Matches(FieldCondition("a", (MatchValue(1),)))),
    ({}, Matches(Filter())),
    ({"must_not": [{"has_id": [1]}]}, Matches(Filter(must_not=(HasId((1,)),)))),
    ({"geo_distance": DISTANCE}, GeoDistance(GeoPoint(1, 2), "place")),
    ({"datetime": "1970-01-02T00:00:00.25Z"}, Constant(86_400.25)),
    ({"datetime_key": '"at"'}, DatetimeKey("at")),
    ({"mult": ["$score", 2]}, Product((Score(0), Constant(2.0)))),
    ({"sum": []}, Sum(())),
    ({"div": {"left": 1, "right": "n"}}, Quotient(Constant(1.0), Payload("n"))),
    (
        {"div": {"left": 1, "right": 0, "by_zero_default": 7}},
        Quotient(Constant(1.0), Constant(0.0), 7.0),
    ),
    ({"pow": {"base": "n", "exponent": 2}}, Power(Payload("n"), Constant(2.0))),
    ({"lin_decay": {"x": "n"}}, Decay(DecayKind.LIN, Payload("n"))),
    (
        {"gauss_decay": {"x": "n", "target": "$score", "scale": 4, "midpoint": 0.25}},
        Decay(DecayKind.GAUSS, Payload("n"), Score(0), 4.0, 0.25),
    ),
    ({"exp_decay": {"x": "n", "target": None, "scale": None}}, Decay(DecayKind.EXP, Payload("n"))),
    *(({function.value: "n"}, Applied(function, Payload("n"))) for function in Function),
]


@pytest.mark.parametrize(("value", "expected"), FORMS, ids=str)
def test_every_form_of_expression_is_read(value: Any, expected: Expression) -> None:
    assert decode_formula(value).expression == expected


@pytest.mark.parametrize(("value", "_"), FORMS, ids=str)
def test_a_formula_travels_unchanged(value: Any, _: Expression) -> None:
    formula = decode_formula({"sum": [value]}, {"$score[1]": 2, "n": 1, "g": {"lon": 1, "lat": 2}, "w": "x"})
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(formula), type=Formula) == formula


def test_numbers_have_the_precision_of_float32() -> None:
    assert decode_formula(0.9).expression == Constant(0.8999999761581421)
    assert decode_formula(1e39).expression == Constant(float("inf"))
    decay = decode_formula({"lin_decay": {"x": 1, "midpoint": 0.1, "scale": 0.3}}).expression
    assert decay == Decay(
        DecayKind.LIN, Constant(1.0), scale=0.30000001192092896, midpoint=0.10000000149011612
    )


def test_defaults_are_kept_by_variable() -> None:
    defaults = {"$score": 1, "$score[2]": 0.5, '"n"': 3, "when": "2020-01-01", "flag": True, "many": [1]}
    formula = decode_formula(1, {**defaults, "geo": {"lon": 1, "lat": 2}, "far": {"lon": 1000, "lat": 2}})
    assert formula.scores == {0: 1.0, 2: 0.5}
    assert formula.defaults == {
        "n": 3.0,
        "when": "2020-01-01",
        "flag": None,
        "many": None,
        "geo": GeoPoint(1, 2),
        "far": None,
    }


@pytest.mark.parametrize("value", ["x", True, None, [1], {"lon": 1, "lat": 1}])
def test_a_score_must_have_a_number_for_default(value: Any) -> None:
    with pytest.raises(InvalidField, match=r"query\.defaults\.\$score\[1\]"):
        decode_formula(1, {"$score[1]": value})


@pytest.mark.parametrize(
    "text", ["$", "$foo", "$scores", "$score[]", "$score[-1]", "$score[x]", "$score.a", "$score[0][1]"]
)
def test_reserved_words_are_no_variables(text: str) -> None:
    with pytest.raises(BadInput, match="is not a variable"):
        decode_formula(text)
    with pytest.raises(BadInput, match="is not a variable"):
        decode_formula(1, {text: 1})


@pytest.mark.parametrize("text", ["", "a..b", " a", "a[", "a b"])
def test_a_variable_must_be_a_path(text: str) -> None:
    with pytest.raises(BadInput, match="is not a payload path"):
        decode_formula(text)


@pytest.mark.parametrize("kind", list(DecayKind))
@pytest.mark.parametrize("bad", [{"scale": 0}, {"scale": -1}, {"midpoint": 1.1}, {"midpoint": -0.1}])
def test_a_decay_needs_a_scale_and_a_midpoint_within_bounds(kind: DecayKind, bad: dict[str, float]) -> None:
    ((name, value),) = bad.items()
    with pytest.raises(BadInput, match=rf"`{kind.value}\.{name}` must be .*, got {value}$"):
        decode_formula({kind.value: {"x": 1, **bad}})


@pytest.mark.parametrize("midpoint", [0, 1])
def test_only_a_linear_decay_may_have_a_midpoint_at_an_end(midpoint: int) -> None:
    assert decode_formula({"lin_decay": {"x": 1, "midpoint": midpoint}})
    for kind in ("exp_decay", "gauss_decay"):
        with pytest.raises(BadInput, match="must be between 0 and 1"):
            decode_formula({kind: {"x": 1, "midpoint": midpoint}})


@pytest.mark.parametrize(
    "value",
    [
        True,
        None,
        [1],
        {"unknown": 1},
        {"mult": 1},
        {"mult": None},
        {"div": {"left": 1}},
        {"div": {"left": 1, "right": 1, "by_zero_default": "x"}},
        {"pow": {"base": 1, "exponent": None}},
        {"geo_distance": {"to": "a"}},
        {"geo_distance": {"origin": {"lon": 1000, "lat": 0}, "to": "a"}},
        {"geo_distance": {"origin": {"lon": 0, "lat": 0}, "to": "a..b"}},
        {"datetime": 5},
        {"datetime_key": "a..b"},
        {"gauss_decay": {"scale": 1}},
        {"gauss_decay": {"x": 1, "scale": "1"}},
    ],
    ids=str,
)
def test_what_has_no_shape_of_an_expression_is_malformed(value: Any) -> None:
    with pytest.raises(MalformedBody):
        decode_formula(value)


def test_defaults_must_be_an_object() -> None:
    with pytest.raises(MalformedBody):
        decode_formula(1, [1])


def test_a_datetime_must_be_one() -> None:
    with pytest.raises(BadInput, match="`nope` in a formula is not a datetime"):
        decode_formula({"datetime": "nope"})


def test_a_broken_condition_is_told_with_its_place() -> None:
    with pytest.raises(InvalidField, match=r"searches\[1\]\.query\.formula\.sum\[1\]"):
        decode_formula({"sum": [1, {"key": "a"}]}, path="searches[1].query")


def test_expressions_nest_as_deep_as_documented_and_no_deeper() -> None:
    def nested(depth: int) -> Any:
        value: Any = 1
        for _ in range(depth):
            value = {"sum": [value]}
        return value

    formula = decode_formula(nested(EXPRESSION_DEPTH_MAX))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(formula), type=Formula) == formula
    with pytest.raises(MalformedBody, match="nested at most"):
        decode_formula(nested(EXPRESSION_DEPTH_MAX + 1))
