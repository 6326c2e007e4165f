from __future__ import annotations

import copy
from typing import Any

import pytest

from protos.errors import MalformedBody
from protos.json_path import (
    STEPS_MAX,
    delete_at,
    exclude,
    flat_values_at,
    include,
    merge,
    parse_path,
    set_at,
    values_at,
)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("a", ("a",)),
        ("a.b-c._d1", ("a", "b-c", "_d1")),
        ("a[0].b", ("a", 0, "b")),
        ("a[].b[]", ("a", None, "b", None)),
        ("a[][2]", ("a", None, 2)),
        ('"weird key".x', ("weird key", "x")),
        ('a."b.c"[]', ("a", "b.c", None)),
        ("été", ("été",)),
        ('""', ("",)),
    ],
)
def test_a_path_is_keys_indexes_and_wildcards(text: str, steps: tuple[Any, ...]) -> None:
    assert parse_path(text).steps == steps
    assert parse_path(parse_path(text).text) == parse_path(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[0]",
        ".a",
        "a.",
        "a..b",
        "a[",
        "a[x]",
        "a[-1]",
        "a[ 1]",
        "a.[0]",
        "a b",
        '"a"b',
        '"a',
        f"a[{2**64}]",
        f"a[{'1' * 5000}]",
        ".".join(["a"] * (STEPS_MAX + 1)),
        "a" + "[]" * STEPS_MAX,
    ],
)
def test_other_texts_are_no_path(text: str) -> None:
    with pytest.raises(MalformedBody, match="Invalid json path"):
        parse_path(text)


def test_a_quoted_key_is_the_same_path_as_a_plain_one() -> None:
    assert parse_path('"a".b') == parse_path("a.b")


PAYLOAD: dict[str, Any] = {
    "a": [{"b": 1, "c": 2}, {"b": [3, [4]]}, 5],
    "x": {"y": None, "z": {"w": 2}},
    "s": 5,
}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("s", [5]),
        ("x.y", [None]),
        ("a.b", []),
        ("a[].b", [1, [3, [4]]]),
        ("a[1].b[]", [3, [4]]),
        ("a[2]", [5]),
        ("a[9]", []),
        ("s[]", []),
        ("missing.b", []),
    ],
)
def test_values_are_found_only_where_every_step_fits(path: str, values: list[Any]) -> None:
    assert values_at(PAYLOAD, parse_path(path)) == values


def test_a_leaf_that_is_an_array_is_flattened_one_level() -> None:
    assert flat_values_at(PAYLOAD, parse_path("a[].b")) == [1, 3, [4]]
    assert flat_values_at({"a": []}, parse_path("a")) == []


def test_merge_replaces_keys_and_a_null_removes_one() -> None:
    payload = {"k": 1, "m": {"n": 1}}
    merge(payload, {"k": None, "absent": None, "m": {"o": None}, "p": 2})
    assert payload == {"m": {"o": None}, "p": 2}


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        ({"a": 1}, "a.b", {"a": {"b": {"n": 1}}}),
        ({"a": [1]}, "a.b", {"a": {"b": {"n": 1}}}),
        ({"a": [1, 2]}, "a[0]", {"a": [{"n": 1}, 2]}),
        ({"a": [1, 2]}, "a[5]", {"a": [1, 2]}),
        ({"a": 1}, "a[0]", {"a": []}),
        ({"a": 1}, "a[]", {"a": []}),
        ({}, "a[].b", {"a": []}),
        ({"a": [{"m": 1}, {"n": 2}]}, "a[]", {"a": [{"m": 1, "n": 1}, {"n": 1}]}),
        ({"a": [1]}, "a[].b", {"a": [{"b": {"n": 1}}]}),
        ({"a": {"n": 0, "m": 1}}, "a", {"a": {"n": 1, "m": 1}}),
    ],
)
def test_setting_at_a_path_makes_objects_but_no_elements(
    before: dict[str, Any], path: str, after: dict[str, Any]
) -> None:
    payload = copy.deepcopy(before)
    set_at(payload, parse_path(path), {"n": 1})
    assert payload == after


def test_what_is_set_in_several_elements_is_not_shared() -> None:
    payload: dict[str, Any] = {"a": [{}, {}]}
    values = {"list": [1]}
    set_at(payload, parse_path("a[]"), values)
    payload["a"][0]["list"].append(2)
    assert payload["a"][1] == {"list": [1]}
    assert values == {"list": [1]}


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        ({"a": {"b": 1, "c": 2}}, "a.b", {"a": {"c": 2}}),
        ({"a": 1, "b": 2}, "a", {"b": 2}),
        ({"a": [{"b": 1}, {"b": 2, "c": 1}]}, "a[].b", {"a": [{}, {"c": 1}]}),
        ({"a": [1, 2]}, "a[]", {"a": []}),
        ({"a": [[1], [2]]}, "a[][]", {"a": [[], []]}),
        ({"a": [{"b": 1}, {"b": 2}]}, "a[1].b", {"a": [{"b": 1}, {}]}),
        ({"a": {"b": 1}}, "a.b.c", {"a": {"b": 1}}),
    ],
)
def test_deleting_at_a_path(before: dict[str, Any], path: str, after: dict[str, Any]) -> None:
    payload = copy.deepcopy(before)
    delete_at(payload, parse_path(path))
    assert payload == after


def test_deleting_an_element_by_index_does_nothing_so_that_repeats_are_harmless() -> None:
    payload = {"a": [1, 2, 3]}
    delete_at(payload, parse_path("a[1]"))
    assert payload == {"a": [1, 2, 3]}


@pytest.mark.parametrize(
    ("paths", "kept", "left"),
    [
        (["s"], {"s": 5}, {"a": PAYLOAD["a"], "x": PAYLOAD["x"]}),
        (["x.z"], {"x": {"z": {"w": 2}}}, {**PAYLOAD, "x": {"y": None}}),
        (["x.q"], {"x": {}}, PAYLOAD),
        (["s.t"], {"s": 5}, PAYLOAD),
        (["a.b"], {"a": []}, PAYLOAD),
        (["a[0]"], {"a": []}, PAYLOAD),
        (["a[].c"], {"a": [{"c": 2}, {}, 5]}, {**PAYLOAD, "a": [{"b": 1}, {"b": [3, [4]]}, 5]}),
        (["a[]"], {"a": PAYLOAD["a"]}, {**PAYLOAD, "a": []}),
        ([], {}, PAYLOAD),
    ],
)
def test_selectors_match_steps_exactly(paths: list[str], kept: dict[str, Any], left: dict[str, Any]) -> None:
    parsed = [parse_path(path) for path in paths]
    before = copy.deepcopy(PAYLOAD)
    assert include(PAYLOAD, parsed) == kept
    assert exclude(PAYLOAD, parsed) == left
    assert before == PAYLOAD
