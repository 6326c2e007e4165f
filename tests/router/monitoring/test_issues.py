"""Which issues slow reads raise, and when those end."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.state import CollectionState
from protos.collections import (
    CollectionDefaults,
    CreateCollection,
    Distance,
    PayloadSchema,
    PayloadSchemaType,
    VectorParams,
    new_config,
)
from protos.filters import Filter, decode_filter
from router.monitoring.issues import Issue, Issues, SlowReads

CONFIG = new_config(
    CreateCollection(vectors={"": VectorParams(2, Distance.DOT)}), CollectionDefaults(), peers=1
)
POINT = {"lon": 1.0, "lat": 1.0}


def collection(*indexed: str, name: str = "c", uuid: str = "u") -> CollectionState:
    schema = {field: PayloadSchema(PayloadSchemaType.KEYWORD) for field in indexed}
    return CollectionState(name, uuid, CONFIG, shards={}, groups=(), payload_schema=schema)


def by(*conditions: dict[str, Any]) -> Filter:
    return decode_filter({"must": list(conditions)})


def equals(key: str, value: object) -> dict[str, Any]:
    return {"key": key, "match": {"value": value}}


def raised(filter: Filter, *indexed: str) -> list[Issue]:
    issues, state = Issues(), collection(*indexed)
    issues.add_unindexed(state, filter, 0)
    return issues.current({"c": state})


def ids(found: list[Issue]) -> list[str]:
    return [issue.id for issue in found]


@pytest.mark.parametrize(
    ("predicate", "schema"),
    [
        ({"match": {"value": "red"}}, "keyword"),
        ({"match": {"value": 7}}, "integer"),
        ({"match": {"value": True}}, "bool"),
        ({"match": {"any": ["red"]}}, "keyword"),
        ({"match": {"except": [7]}}, "integer"),
        ({"match": {"prefix": "re"}}, {"type": "keyword", "prefix": True}),
        ({"match": {"text": "red"}}, "text"),
        ({"match": {"text_any": "red"}}, "text"),
        ({"match": {"phrase": "red"}}, {"type": "text", "phrase_matching": True}),
        ({"range": {"gt": 1}}, "float"),
        ({"range": {"gt": "2026-01-01"}}, "datetime"),
        ({"geo_radius": {"center": POINT, "radius": 1.0}}, "geo"),
        ({"geo_bounding_box": {"top_left": POINT, "bottom_right": POINT}}, "geo"),
    ],
)
def test_the_index_to_create_follows_from_the_condition(predicate: dict[str, Any], schema: object) -> None:
    (issue,) = raised(by({"key": "field", **predicate}))
    action = issue.solution["immediate"]["action"]
    assert action["body"] == {"field_name": "field", "field_schema": schema}
    assert (action["method"], action["uri"]) == ("PUT", "/collections/c/index")


def test_conditions_of_several_types_leave_a_choice() -> None:
    (issue,) = raised(by(equals("field", "7"), equals("field", 7)))
    choice = issue.solution["immediate_choice"]
    assert [each["action"]["body"]["field_schema"] for each in choice] == ["keyword", "integer"]


def test_one_index_with_parameters_serves_the_conditions_that_need_none() -> None:
    prefix, value = {"key": "field", "match": {"prefix": "re"}}, equals("field", "red")
    expected = {"type": "keyword", "prefix": True}
    for each in (by(prefix, value), by(value, prefix)):
        (issue,) = raised(each)
        assert issue.solution["immediate"]["action"]["body"]["field_schema"] == expected


@pytest.mark.parametrize(
    "condition",
    [
        {"is_empty": {"key": "field"}},
        {"is_null": {"key": "field"}},
        {"key": "field", "values_count": {"gt": 1}},
        {"key": "field", "match": {"any": []}},
        {"has_id": [1]},
        {"has_vector": ""},
    ],
)
def test_a_condition_that_points_to_no_type_of_index_raises_nothing(condition: dict[str, Any]) -> None:
    assert raised(by(condition)) == []


def test_fields_are_found_in_every_clause_and_below_nested_conditions() -> None:
    decoded = decode_filter(
        {
            "must": [{"nested": {"key": "a", "filter": {"must": [equals("b", 1)]}}}],
            "should": [{"must_not": [equals("c", 1)]}],
            "must_not": [equals("d.e", 1)],
            "min_should": {"conditions": [equals("f", 1)], "min_count": 1},
        }
    )
    assert {issue.id.rpartition("/")[2] for issue in raised(decoded)} == {"a[].b", "c", "d.e", "f"}


def test_an_indexed_field_is_no_issue_however_its_path_is_written() -> None:
    assert ids(raised(by(equals('"a"', "x"), equals("b", "x")), "a")) == ["UNINDEXED_FIELD/c/b"]


def test_an_issue_keeps_its_time_when_it_is_raised_again() -> None:
    issues, state = Issues(), collection()
    for unix_ms in (1_000, 2_000):
        issues.add_unindexed(state, by(equals("a", 1)), unix_ms)
    assert [issue.timestamp for issue in issues.current({"c": state})] == ["1970-01-01T00:00:01.000000Z"]


def test_an_issue_ends_when_its_field_is_indexed_and_stays_ended() -> None:
    issues, before = Issues(), collection()
    issues.add_unindexed(before, by(equals("a", 1), equals("b", 1)), 0)
    assert ids(issues.current({"c": collection("a")})) == ["UNINDEXED_FIELD/c/b"]
    assert ids(issues.current({"c": before})) == ["UNINDEXED_FIELD/c/b"]


def test_a_read_that_ends_after_the_index_was_created_raises_nothing() -> None:
    issues = Issues()
    issues.add_unindexed(collection(), by(equals("a", 1)), 0)
    assert issues.current({"c": collection("a")}) == []


@pytest.mark.parametrize("now", [{}, {"c": collection(uuid="later")}], ids=["deleted", "created again"])
def test_an_issue_ends_with_its_collection(now: dict[str, CollectionState]) -> None:
    issues = Issues()
    issues.add_unindexed(collection(), by(equals("a", 1)), 0)
    assert issues.current(now) == []


def test_a_collection_of_the_same_name_raises_its_own_issue() -> None:
    issues, later = Issues(), collection(uuid="later")
    issues.add_unindexed(collection(), by(equals("a", "x")), 0)
    issues.add_unindexed(later, by(equals("a", 1)), 0)
    (issue,) = issues.current({"c": later})
    assert issue.solution["immediate"]["action"]["body"]["field_schema"] == "integer"


def test_the_oldest_issue_makes_room() -> None:
    issues, state = Issues(limit=2), collection()
    for key in ("a", "b", "c"):
        issues.add_unindexed(state, by(equals(key, 1)), 0)
    assert ids(issues.current({"c": state})) == ["UNINDEXED_FIELD/c/b", "UNINDEXED_FIELD/c/c"]


def test_clearing_forgets_every_issue() -> None:
    issues, state = Issues(), collection()
    issues.add_unindexed(state, by(equals("a", 1)), 0)
    issues.clear()
    assert issues.current({"c": state}) == []


class _Clock:
    def __init__(self) -> None:
        self.now_ms = 0

    def monotonic_ms(self) -> int:
        return self.now_ms

    def unix_ms(self) -> int:
        return self.now_ms


@pytest.mark.parametrize(("elapsed_ms", "count"), [(1_199, 0), (1_200, 1)])
def test_only_reads_at_or_above_the_threshold_are_slow(elapsed_ms: int, count: int) -> None:
    issues, state, clock = Issues(), collection(), _Clock()
    reads = SlowReads(issues, slow_s=1.2, clock=clock)
    started = reads.start()
    clock.now_ms += elapsed_ms
    reads.end(started, state, [None, by(equals("a", 1))])
    assert len(issues.current({"c": state})) == count


def test_the_filters_of_a_quick_read_are_not_looked_at() -> None:
    filters = iter([by(equals("a", 1))])
    reads = SlowReads(clock=_Clock())
    reads.end(reads.start(), collection(), filters)
    assert next(filters) is not None
