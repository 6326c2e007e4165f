from __future__ import annotations

from typing import Any

import pytest

from node.filter.check import compile_check
from protos.collections import PayloadIndexParams, UuidIndexParams
from protos.filters import decode_filter


def holds(condition: dict[str, Any], payload: dict[str, Any], **indexes: PayloadIndexParams) -> bool:
    return compile_check(decode_filter({"must": [condition]}), indexes)(1, payload, ())


@pytest.mark.parametrize(
    ("wanted", "value", "expected"),
    [
        (1, 1, True),
        (1, 1.0, False),
        (1, True, False),
        (True, 1, False),
        (True, True, True),
        ("1", 1, False),
        ("a", "a", True),
        ("a", ["b", "a"], True),
        ("a", [["a"]], False),
        (1, None, False),
    ],
)
def test_a_match_needs_the_same_type(wanted: Any, value: Any, expected: bool) -> None:
    assert holds({"key": "k", "match": {"value": wanted}}, {"k": value}) is expected


@pytest.mark.parametrize(
    ("listed", "value", "expected"),
    [
        (["a"], "b", True),
        (["a"], "a", False),
        (["a"], ["a", "b"], True),
        (["a"], 5, True),
        (["a"], {"x": 1}, True),
        (["a"], None, False),
        ([], "a", True),
        ([], None, False),
        ([1], 1.0, True),
        ([1], [], False),
    ],
)
def test_except_wants_a_value_outside_the_list(listed: Any, value: Any, expected: bool) -> None:
    assert holds({"key": "k", "match": {"except": listed}}, {"k": value}) is expected
    assert not holds({"key": "k", "match": {"except": listed}}, {})


def test_any_of_nothing_matches_nothing() -> None:
    assert not holds({"key": "k", "match": {"any": []}}, {"k": "a"})


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"text": "lazy d"}, True),
        ({"text": "Lazy"}, False),
        ({"phrase": "the lazy"}, True),
        ({"text_any": "cat dog"}, True),
        ({"text_any": "cat"}, False),
        ({"text_any": ""}, False),
        ({"prefix": "over"}, True),
        ({"prefix": "the"}, False),
    ],
)
def test_texts_without_an_index_are_matched_as_substrings(match: dict[str, Any], expected: bool) -> None:
    assert holds({"key": "k", "match": match}, {"k": "over the lazy dog"}) is expected
    assert not holds({"key": "k", "match": match}, {"k": 5})


def test_ranges_compare_numbers_and_only_numbers() -> None:
    between = {"key": "k", "range": {"gt": 1, "lte": 2.5}}
    assert [value for value in (1, 1.5, 2, 2.5, 3, "2", True, None) if holds(between, {"k": value})] == [
        1.5,
        2,
        2.5,
    ]


def test_datetime_ranges_read_strings_in_any_accepted_form() -> None:
    since = {"key": "k", "range": {"gte": "2024-01-01T00:00:00Z"}}
    assert holds(since, {"k": "2024-01-01T01:00:00+01:00"})
    assert not holds(since, {"k": "2023-12-31"})
    assert not holds(since, {"k": 1_704_067_200})
    assert not holds(since, {"k": "soon"})


@pytest.mark.parametrize(("value", "count"), [(None, 0), ([], 0), (5, 1), ({}, 1), ([1, 2], 2), ([None], 1)])
def test_values_are_counted(value: Any, count: int) -> None:
    assert holds({"key": "k", "values_count": {"gte": count, "lte": count}}, {"k": value})
    assert not holds({"key": "k", "values_count": {"gt": count}}, {"k": value})


def test_a_missing_field_has_no_values() -> None:
    assert holds({"key": "k", "values_count": {"lt": 1}}, {})
    assert not holds({"key": "k", "values_count": {"gt": 0}}, {})


MISSING = {"other": 1}
NULL: dict[str, Any] = {"k": None}
NO_ITEMS: dict[str, Any] = {"k": []}
NULL_ITEM = {"k": [None]}
VALUE = {"k": 0}


@pytest.mark.parametrize(
    ("condition", "matching"),
    [
        ({"is_empty": {"key": "k"}}, [MISSING, NULL, NO_ITEMS]),
        ({"is_null": {"key": "k"}}, [NULL]),
        ({"key": "k", "is_empty": True}, [MISSING, NULL, NO_ITEMS]),
        ({"key": "k", "is_empty": False}, [NULL_ITEM, VALUE]),
        ({"key": "k", "is_null": True}, [NULL, NULL_ITEM]),
        ({"key": "k", "is_null": False}, [MISSING, NO_ITEMS, VALUE]),
    ],
)
def test_what_is_empty_and_what_is_null(condition: dict[str, Any], matching: list[Any]) -> None:
    payloads = [MISSING, NULL, NO_ITEMS, NULL_ITEM, VALUE]
    assert [payload for payload in payloads if holds(condition, payload)] == matching


PARK = {
    "parts": [
        {"kind": "tree", "age": 90, "nests": [{"bird": "owl"}, {"bird": "jay"}]},
        {"kind": "bench", "age": 5},
        "gate",
    ]
}


def nested(key: str, **clauses: Any) -> dict[str, Any]:
    return {"nested": {"key": key, "filter": clauses}}


def test_a_nested_filter_holds_for_one_element_as_a_whole() -> None:
    tree, young = {"key": "kind", "match": {"value": "tree"}}, {"key": "age", "range": {"lt": 10}}
    assert not holds(nested("parts", must=[tree, young]), PARK)
    assert holds(nested("parts", must_not=[tree], must=[young]), PARK)
    assert holds(nested("parts[]", must=[tree]), PARK)
    assert not holds(nested("parts.kind", must=[]), PARK)


def test_nested_filters_nest() -> None:
    owl = {"key": "bird", "match": {"value": "owl"}}
    assert holds(nested("parts", must=[nested("nests", must=[owl])]), PARK)
    assert not holds(
        nested("parts", must=[nested("nests", must=[owl]), {"key": "kind", "match": {"value": "bench"}}]),
        PARK,
    )


def test_conditions_about_the_point_never_hold_for_an_element() -> None:
    assert not holds(nested("parts", must=[{"has_id": [1]}]), PARK)
    assert holds(nested("parts", must_not=[{"has_id": [1]}]), PARK)


def test_empty_clauses_constrain_nothing() -> None:
    check = compile_check(decode_filter({"must": [], "should": [], "must_not": []}))
    assert check(1, {}, ())


def test_min_should_counts_conditions() -> None:
    three = [{"key": "k", "match": {"value": value}} for value in (1, 2, 3)]
    check = compile_check(decode_filter({"min_should": {"conditions": three, "min_count": 2}}))
    assert check(1, {"k": [1, 3]}, ())
    assert not check(1, {"k": [1]}, ())


def test_ids_and_vectors_of_the_point_are_asked_for() -> None:
    uuid = "550e8400-e29b-41d4-a716-446655440000"
    check = compile_check(decode_filter({"must": [{"has_id": [7, uuid]}, {"has_vector": "image"}]}))
    assert check(7, {}, ["image", "text"])
    assert check(uuid, {}, ["image"])
    assert not check(7, {}, ["text"])
    assert not check(8, {}, ["image"])


def test_a_uuid_index_makes_matches_blind_to_form() -> None:
    upper = {"key": "k", "match": {"value": "550E8400E29B41D4A716446655440000"}}
    payload = {"k": "550e8400-e29b-41d4-a716-446655440000"}
    assert not holds(upper, payload)
    assert holds(upper, payload, k=UuidIndexParams())
    assert not holds(
        {"key": "k", "match": {"except": [upper["match"]["value"]]}}, payload, k=UuidIndexParams()
    )
    assert holds(nested("a", must=[upper]), {"a": [payload]}, **{"a[].k": UuidIndexParams()})
