"""Payloads and filters, as JSON, drawn from few values so that they meet."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

UUIDS = ["550e8400-e29b-41d4-a716-446655440000", "550E8400E29B41D4A716446655440000"]
SCALARS: list[Any] = [
    None, True, False, 0, 1, 2, -1, 2**63, 2**53 + 1, 1.0, 1.5, 2.0, -0.5, "", "a", "b", "ab", "Ab c", "é",
    "2020-01-01", "2020-01-01T00:00:00+01:00", *UUIDS,
]  # fmt: skip
POINTS = [
    {"lon": 1, "lat": 2}, {"lon": 10.0, "lat": 20.0}, {"lon": "1", "lat": 2}, {"lon": 179.0, "lat": 0},
    {"lon": 0.5, "lat": 1},
]  # fmt: skip
PLACES = [*POINTS, {"lon": 190.0, "lat": 0}, {"lon": 1, "lat": -95}]  # some of them nowhere on earth
TEXTS = ["a b", "b a", "A, b b c", "a b ab", ""]
KEYS = ["a", "b", "a.b", "a[]", "a[].b", "a[0]", "n[].b"]

scalars = st.sampled_from(SCALARS)
leaves = scalars | st.sampled_from(POINTS)
values = leaves | st.lists(leaves, max_size=3) | st.fixed_dictionaries({}, optional={"b": leaves})
elements = st.fixed_dictionaries({}, optional={"b": leaves | st.lists(scalars, max_size=2), "c": scalars})


def payloads_of(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    fields = {"a": values | st.lists(values, max_size=2), "b": values, "n": st.lists(elements, max_size=3)}
    return st.fixed_dictionaries({}, optional=fields)


payloads = payloads_of(values)
_wide = leaves | st.sampled_from([*PLACES, *TEXTS])
wide_payloads = payloads_of(values | _wide | st.lists(_wide, max_size=3))

_strings = st.sampled_from([value for value in SCALARS if isinstance(value, str)])
_integers = st.sampled_from([-1, 0, 1, 2, 2**53 + 1])
_numbers = st.sampled_from([-1, 0, 1, 1.0, 1.5, 2, 2**53 + 1, 1e300])
_dates = st.sampled_from(["2019-12-31T23:00:00Z", "2020-01-01", "2020-01-02 00:00"])
_bounds = ["lt", "gt", "lte", "gte"]


def _some_of(names: list[str], of: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names), of, max_size=2)


matches = st.one_of(
    st.fixed_dictionaries({"value": _strings | _integers}),
    st.fixed_dictionaries({"any": st.lists(_strings, max_size=3) | st.lists(_integers, max_size=3)}),
    st.fixed_dictionaries({"except": st.lists(_strings, max_size=3) | st.lists(_integers, max_size=3)}),
    st.fixed_dictionaries({"prefix": _strings}),
)
boxes = st.sampled_from([
    {"top_left": {"lon": 0, "lat": 3}, "bottom_right": {"lon": 2, "lat": 0}},
    {"top_left": {"lon": 1, "lat": 3}, "bottom_right": {"lon": 2, "lat": 0}},
    {"top_left": {"lon": 170, "lat": 3}, "bottom_right": {"lon": 2, "lat": -1}},
])  # fmt: skip
circles = st.builds(
    lambda radius: {"center": {"lon": 1, "lat": 2}, "radius": radius}, st.sampled_from([0.0, 1.0, 2e6, 3e7])
)
_SQUARES = [
    {
        "points": [
            {"lon": x, "lat": y} for x, y in ((low, low), (high, low), (high, high), (low, high), (low, low))
        ]
    }
    for low, high in ((0, 3), (0.75, 2.5), (1, 20))
]
_POLYGONS = [
    {"exterior": _SQUARES[0]},
    {"exterior": _SQUARES[0], "interiors": [_SQUARES[1]]},
    {"exterior": _SQUARES[2]},
]
_field = st.one_of(
    st.fixed_dictionaries({"key": st.sampled_from(KEYS), "match": matches}),
    st.fixed_dictionaries({"key": st.sampled_from(KEYS), "range": _some_of(_bounds, _numbers)}),
    st.fixed_dictionaries({"key": st.sampled_from(KEYS), "range": _some_of(_bounds, _dates)}),
    st.fixed_dictionaries({"key": st.sampled_from(KEYS), "geo_bounding_box": boxes}),
    st.fixed_dictionaries({"key": st.sampled_from(KEYS), "geo_radius": circles}),
    st.fixed_dictionaries(
        {"key": st.sampled_from(KEYS), "values_count": _some_of(_bounds, st.integers(0, 3))}
    ),
    st.fixed_dictionaries({"key": st.sampled_from(KEYS), "is_empty": st.booleans()}),
    st.fixed_dictionaries({"key": st.sampled_from(KEYS), "is_null": st.booleans()}),
)
empties = st.fixed_dictionaries({"is_empty": st.fixed_dictionaries({"key": st.sampled_from(KEYS)})})
ids = st.fixed_dictionaries({"has_id": st.lists(st.integers(0, 12), max_size=3)})
slices = st.sampled_from([{"slice": {"total": 2, "index": 1}}, {"slice": {"total": 3, "index": 0}}])
shared_conditions = _field | empties | ids  # those that every engine of the oracle tests reads alike

nulls = st.fixed_dictionaries({"is_null": st.fixed_dictionaries({"key": st.sampled_from(KEYS)})})
vectors = st.fixed_dictionaries({"has_vector": st.sampled_from(["", "x", "unknown"])})
booleans = st.fixed_dictionaries(
    {"key": st.sampled_from(KEYS), "match": st.fixed_dictionaries({"value": st.booleans()})}
)
_texts = st.builds(
    lambda mode, text: {mode: text},
    st.sampled_from(["text", "text_any", "phrase"]),
    _strings | st.sampled_from(TEXTS),
)
polygons = st.fixed_dictionaries({"key": st.sampled_from(KEYS), "geo_polygon": st.sampled_from(_POLYGONS)})
texts = st.fixed_dictionaries({"key": st.sampled_from(KEYS), "match": _texts})
conditions = shared_conditions | slices | nulls | vectors | booleans | texts | polygons


def filters_of(conditions: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    def clauses(condition: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
        some = st.lists(condition, min_size=1, max_size=2)
        least = st.fixed_dictionaries({"conditions": some, "min_count": st.integers(1, 3)})
        return st.fixed_dictionaries(
            {}, optional={"must": some, "should": some, "must_not": some, "min_should": least}
        )

    def deeper(condition: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        inner = clauses(condition)
        nested = st.fixed_dictionaries({"key": st.sampled_from(["n", "n[]", "a"]), "filter": inner})
        return inner | st.fixed_dictionaries({"nested": nested})

    return clauses(st.recursive(conditions, deeper, max_leaves=4))


filters = filters_of(conditions)
