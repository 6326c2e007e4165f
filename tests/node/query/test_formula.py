"""What formulas are worth, by hand-computed values and by Qdrant's own engine."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import qdrant_edge as edge

from node.query.formula import evaluate_formula
from protos.errors import BadInput
from protos.formulas import decode_formula
from tests.congruence.edge import Judge
from tests.congruence.formulas import Maker, near, since, to_edge
from tests.node.query.conftest import Shard

NAN = float("nan")
BERLIN, PARIS = {"lon": 13.4, "lat": 52.5}, {"lon": 2.35, "lat": 48.85}


def shard_of(*payloads: dict[str, Any]) -> Shard:
    shard = Shard()
    for number, payload in enumerate(payloads, start=1):
        shard.put(number, [1.0, 0.0], payload)
    return shard


def values(
    formula: Any, *payloads: dict[str, Any], defaults: Any = None, scores: list[list[float]] | None = None
) -> list[float]:
    view: Any = shard_of(*payloads).view()
    columns = [np.array(column, dtype=np.float32) for column in scores or []]
    slots = np.arange(len(payloads), dtype=np.int64)
    found = evaluate_formula(view, decode_formula(formula, defaults), slots, columns)
    assert found.dtype == np.float32
    return found.tolist()


def value(formula: Any, **payload: Any) -> float:
    (found,) = values(formula, payload)
    return found


def refused(formula: Any, defaults: Any = None, **payload: Any) -> str:
    with pytest.raises(BadInput) as told:
        values(formula, payload, defaults=defaults)
    return told.value.message


@pytest.mark.parametrize(
    ("kind", "at", "expected"),
    [
        ("lin_decay", 5, 0.75),
        ("exp_decay", 5, 0.707107),
        ("gauss_decay", 5, 0.840896),
        ("lin_decay", 10, 0.5),
        ("exp_decay", 10, 0.5),
        ("gauss_decay", 10, 0.5),
        ("lin_decay", 20, 0),
        ("exp_decay", 20, 0.25),
        ("gauss_decay", 20, 0.0625),
    ],
)
def test_decays_have_the_documented_values(kind: str, at: float, expected: float) -> None:
    """Reference 18.3, on both sides of the target."""
    for x in (at, -at):
        assert value({kind: {"x": x, "scale": 10, "midpoint": 0.5}}) == pytest.approx(expected, abs=1e-6)
        moved = {kind: {"x": {"sum": [x, 100]}, "target": 100, "scale": 10}}
        assert value(moved) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ({"sum": [1, 2, "n"]}, 6),
        ({"sum": []}, 0),
        ({"mult": [2, "n", -1]}, -6),
        ({"mult": []}, 1),
        ({"neg": "n"}, -3),
        ({"abs": {"neg": "n"}}, 3),
        ({"div": {"left": "n", "right": 2}}, 1.5),
        ({"sqrt": 2.25}, 1.5),
        ({"pow": {"base": "n", "exponent": 2}}, 9),
        ({"pow": {"base": -2, "exponent": 3}}, -8),
        ({"exp": 1}, math.e),
        ({"log10": 1000}, 3),
        ({"ln": 2}, math.log(2)),
        ({"sum": [{"datetime": "2020-01-01T00:00:01.5Z"}, {"neg": {"datetime": "2020-01-01"}}]}, 1.5),
        ({"key": "n", "range": {"gte": 3}}, 1),
        ({"must_not": [{"key": "n", "match": {"value": 3}}]}, 0),
        ({"sum": [1, {"neg": 0.9}]}, 0.10000002384185791),
    ],
    ids=str,
)
def test_expressions_have_their_values(formula: Any, expected: float) -> None:
    assert value(formula, n=3) == pytest.approx(expected, rel=1e-7)


def test_a_factor_of_zero_and_a_numerator_of_zero_hide_what_comes_after() -> None:
    assert value({"mult": [0, "missing"]}) == 0
    assert value({"mult": [{"exp": 700}, {"exp": 700}, 0]}) == 0
    assert value({"div": {"left": 0, "right": "missing"}}) == 0
    assert value({"div": {"left": 0, "right": 0}}) == 0
    assert "missing" in refused({"mult": ["missing", 0]})
    assert "missing" in refused({"div": {"left": "missing", "right": 0, "by_zero_default": 1}})


def test_what_is_hidden_for_some_points_is_evaluated_for_others() -> None:
    formula = {"mult": ["gate", "boost"]}
    assert values(formula, {"gate": 0}, {"gate": 2, "boost": 3}, {"gate": 0, "boost": 9}) == [0, 6, 0]
    quotient = {"div": {"left": "gate", "right": "boost", "by_zero_default": 8}}
    payloads = ({"gate": 0}, {"gate": 6, "boost": 3}, {"gate": 1, "boost": 0})
    assert values(quotient, *payloads) == [0, 2, 8]


def test_scores_are_those_of_the_prefetches_or_their_defaults() -> None:
    scores = [[1.0, NAN, 3.0], [NAN, 20.0, NAN]]
    formula = {"sum": ["$score", "$score[1]", "$score[2]"]}
    assert values(formula, {}, {}, {}, scores=scores) == [1, 20, 3]
    defaults = {"$score": 5, "$score[1]": 7, "$score[2]": 100}
    assert values(formula, {}, {}, {}, scores=scores, defaults=defaults) == [108, 125, 110]


@pytest.mark.parametrize(
    ("path", "expected"),
    [("n", 2), ("one", 3), ("one[]", 3), ("many[1]", 2), ("in[].b", 1), ("nested[0]", 4), ("o.x", 5)],
)
def test_one_value_in_an_array_is_that_value(path: str, expected: float) -> None:
    payload = {"n": 2, "one": [3], "many": [1, 2], "in": [{"b": 1}], "nested": [[4]], "o": {"x": 5}}
    assert value(path, **payload) == expected


@pytest.mark.parametrize("path", ["n", "empty", "empty[]", "many[5]", "in[].c"])
def test_defaults_stand_for_what_is_not_there(path: str) -> None:
    payload = {"empty": [], "many": [1, 2], "in": [{"b": 1}]}
    assert values(path, payload, defaults={path: 7}) == [7]
    assert refused(path, **payload) == (
        f"Expected number value for {path} in the payload and/or in the formula defaults. "
        "Error: No value found in a payload nor defaults"
    )


@pytest.mark.parametrize("stored", ["x", True, None, {"lon": 1, "lat": 1}, [1, 2], [[1, 2]], ["x"]], ids=str)
def test_a_value_of_another_type_is_an_error_even_with_a_default(stored: Any) -> None:
    assert refused("n", defaults={"n": 7}, n=stored) == (
        "Expected number value for n in the payload and/or in the formula defaults. "
        "Error: Value is not a number"
    )


@pytest.mark.parametrize("default", ["x", True, None, [7], {"lon": 1, "lat": 1}], ids=str)
def test_a_default_of_another_type_is_an_error(default: Any) -> None:
    assert "Value is not a number" in refused("n", defaults={"n": default})


def test_distances_are_on_the_sphere_in_metres() -> None:
    formula = {"geo_distance": {"origin": PARIS, "to": "at"}}
    assert value(formula, at=BERLIN) == pytest.approx(876_800.3125)
    assert value(formula, at=[BERLIN]) == pytest.approx(876_800.3125)
    assert values(formula, {}, defaults={"at": BERLIN}) == [pytest.approx(876_800.3125)]
    for stored in (5, [BERLIN, PARIS], {"lon": 1}, None):
        assert "Expected geo point value for at" in refused(formula, defaults={"at": BERLIN}, at=stored)


def test_datetimes_are_seconds() -> None:
    formula = {"sum": [{"datetime_key": "at"}, {"neg": {"datetime": "2021-06-15T12:30:00Z"}}]}
    for stored in ("2021-06-15T12:30:00.25Z", ["2021-06-15T14:30:00.25+02:00"]):
        assert value(formula, at=stored) == 0.25
    assert values(formula, {}, defaults={"at": "2021-06-15 12:30:10"}) == [10]
    for other in (5, "soon", None):
        assert "Expected datetime value for at" in refused(formula, at=other)


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        ({"sqrt": -1}, "√-1"),
        ({"ln": 0}, "ln(0)"),
        ({"log10": {"sum": ["n", -7]}}, "log10(-5)"),
        ({"exp": 1000}, "exp(1000)"),
        ({"div": {"left": "n", "right": {"sum": ["n", -2]}}}, "2/0"),
        ({"pow": {"base": 0, "exponent": -1}}, "0^-1"),
        ({"pow": {"base": -8, "exponent": 0.5}}, "-8^0.5"),
    ],
    ids=str,
)
def test_what_is_not_finite_is_told(formula: Any, text: str) -> None:
    assert refused(formula, n=2) == f"The expression {text} produced a non-finite number"


@pytest.mark.parametrize(
    "formula", [{"exp": 200}, {"mult": [1e38, 1e38]}, {"sum": [{"exp": 709}] * 3}, 1e39], ids=str
)
def test_results_beyond_float32_are_not_finite(formula: Any) -> None:
    assert refused(formula).endswith("produced a non-finite number")


def test_no_candidates_have_no_values() -> None:
    assert values({"mult": ["missing", {"geo_distance": {"origin": PARIS, "to": "at"}}]}) == []


def test_candidates_keep_their_order() -> None:
    view: Any = shard_of(*({"n": n} for n in range(200))).view()
    slots = np.array([150, 3, 77, 9], dtype=np.int64)
    formula = decode_formula({"sum": ["n", {"has_id": [78, 4]}]})
    assert evaluate_formula(view, formula, slots, []).tolist() == [150, 4, 78, 9]
    assert view.points.fetched == len(slots)


# --- against Qdrant's engine --------------------------------------------------------------------------


LEAVES = [
    "n",
    "deep.f",
    "absent",
    "$score",
    "$score[1]",
    {"key": "tag", "match": {"value": "red"}},
    {"must_not": [{"key": "n", "range": {"lt": 1}}]},
    near("geo"),
    since("at"),
]


class Worlds:
    """The same points here and in the engine; every second is found by a second prefetch too."""

    def __init__(self, directory: Path) -> None:
        rng = random.Random(8)
        self.payloads = [
            {
                "n": rng.randint(-2, 3),
                "deep": {"f": [round(rng.uniform(-1, 2), 2)]},
                "tag": rng.choice(["red", "blue"]),
                "geo": rng.choice([BERLIN, PARIS]),
                "at": rng.choice(["2019-05-05", "2022-02-02T02:02:02.5Z"]),
            }
            for _ in range(30)
        ]
        self.first = [float(np.float32(rng.uniform(0, 1))) for _ in self.payloads]
        self.judge = Judge(directory, {"a": (1, "Dot"), "b": (1, "Dot")})
        self.judge.upsert(
            [
                {
                    "id": i,
                    "vector": {"a": [self.first[i]], **({"b": [2.0]} if i % 2 else {})},
                    "payload": payload,
                }
                for i, payload in enumerate(self.payloads)
            ]
        )

    def expected(self, expression: Any) -> list[float] | None:
        """None: refused."""
        defaults = {"absent": 0.75, "$score[1]": 0.5}
        prefetches = [
            edge.Prefetch(limit=100, query=edge.Query.Nearest([1.0], using=name)) for name in ("a", "b")
        ]
        query = edge.Formula(to_edge(expression), defaults)
        try:
            hits = self.judge.query(edge.QueryRequest(limit=100, query=query, prefetches=prefetches))
        except Exception:
            return None
        scores = {hit.id: hit.score for hit in hits}
        return [scores[i] for i in range(len(self.payloads))]

    def found(self, expression: Any) -> list[float] | None:
        second = [2.0 if i % 2 else NAN for i in range(len(self.payloads))]
        try:
            return values(
                expression,
                *self.payloads,
                defaults={"absent": 0.75, "$score[1]": 0.5},
                scores=[self.first, second],
            )
        except BadInput:
            return None


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Worlds:
    return Worlds(tmp_path_factory.mktemp("formula") / "judge")


def test_random_formulas_are_worth_what_the_engine_says(worlds: Worlds) -> None:
    finite = 0
    for seed in range(400):
        expression = Maker(seed, LEAVES).expression(4)
        expected, found = worlds.expected(expression), worlds.found(expression)
        assert (found is None) == (expected is None), (seed, expression)
        if found is not None and expected is not None:
            finite += 1
            np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6, err_msg=f"{seed} {expression}")
    assert finite > 300
