from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node import bits
from node.filter import slot_sets
from protos.collections import (
    BoolIndexParams,
    DatetimeIndexParams,
    FloatIndexParams,
    GeoIndexParams,
    IntegerIndexParams,
    KeywordIndexParams,
    PayloadIndexParams,
    StopwordsSet,
    TextIndexParams,
    UuidIndexParams,
)
from protos.filters import decode_filter
from tests.node.filter import strategies
from tests.node.filter.shard import Shard

PARAMS: list[PayloadIndexParams] = [
    KeywordIndexParams(),
    IntegerIndexParams(),
    FloatIndexParams(),
    BoolIndexParams(),
    DatetimeIndexParams(),
    UuidIndexParams(),
    GeoIndexParams(),
    TextIndexParams(),
    TextIndexParams(phrase_matching=True),
    TextIndexParams(tokenizer="prefix", phrase_matching=True, max_token_len=2),
    TextIndexParams(lowercase=False, stopwords=StopwordsSet(custom=("a",))),
]

_STEPS = ["put", "edit", "remove", "rebuild", "start merge", "finish merge"]
steps = st.lists(
    st.tuples(st.sampled_from(_STEPS), st.integers(0, 12), strategies.wide_payloads),
    max_size=25,
)
indexes = st.dictionaries(st.sampled_from(strategies.KEYS), st.sampled_from(PARAMS), max_size=4)


def run(shard: Shard, steps: list[tuple[str, int, dict[str, Any]]]) -> None:
    for action, point_id, payload in steps:
        if action == "put":
            shard.vectors.setdefault("x" if point_id % 2 else "", set()).add(shard.put(point_id, payload))
        elif action == "edit" and shard.payloads:
            shard.edit(sorted(shard.payloads)[point_id % len(shard.payloads)], payload)
        elif action == "remove":
            shard.remove(point_id)
        else:
            for column in shard.columns._columns.values():
                {"rebuild": column.rebuild, "start merge": column.start_merge}.get(
                    action, column.finish_merge
                )()


def check_agreement(
    indexes: dict[str, PayloadIndexParams], steps: list[Any], filters: list[dict[str, Any]]
) -> None:
    shard = Shard()
    for field, params in indexes.items():
        shard.columns.install(shard.columns.built(field, params, ()))
    run(shard, steps)
    for each in filters:
        decoded = decode_filter(each)
        expected = shard.checked(decoded)
        assert shard.matches(decoded) == expected
        selection = shard.select(decoded)
        assert selection.count == len(shard.candidates(selection))
        if selection.definite is not None:
            assert set(bits.unpack(selection.definite)) <= set(expected)


some_filters = st.lists(strategies.filters, min_size=1, max_size=3)


@given(indexes=indexes, steps=steps, filters=some_filters)
@settings(max_examples=15, deadline=None)
def test_indexes_do_not_change_what_a_filter_matches(
    indexes: dict[str, PayloadIndexParams], steps: list[Any], filters: list[dict[str, Any]]
) -> None:
    check_agreement(indexes, steps, filters)


@pytest.mark.slow
@pytest.mark.parametrize("sparse", [True, False], ids=["as lists of slots", "as packed bits"])
def test_indexes_never_change_what_a_filter_matches(sparse: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not sparse:
        monkeypatch.setattr(slot_sets, "sparse_limit", lambda size: 0)

    @given(indexes=indexes, steps=steps, filters=some_filters)
    @settings(max_examples=500, deadline=None)
    def agree(indexes: Any, steps: list[Any], filters: list[dict[str, Any]]) -> None:
        check_agreement(indexes, steps, filters)

    agree()


def numbered(points: int) -> Shard:
    """Point i has n = i % 10, f = i / 2, word i % 7 and, every fifth, no m."""
    shard = Shard()
    for i in range(points):
        payload = {"n": i % 10, "f": i / 2, "word": f"w{i % 7}", "tags": [f"t{i % 3}", f"t{i % 4}"]}
        shard.put(i, payload if i % 5 == 0 else {**payload, "m": i})
    return shard


@pytest.fixture(scope="module")
def shard() -> Shard:
    shard = numbered(3000)
    for field, params in {
        "n": IntegerIndexParams(),
        "f": FloatIndexParams(),
        "word": KeywordIndexParams(),
        "tags": KeywordIndexParams(),
        "m": IntegerIndexParams(),
    }.items():
        shard.columns.install(shard.columns.built(field, params, shard.payloads.items()))
    return shard


@pytest.mark.parametrize(
    "conditions",
    [
        {"must": [{"key": "n", "match": {"value": 3}}]},
        {"must": [{"key": "n", "range": {"gte": 2, "lt": 7.5}}]},
        {"must": [{"key": "f", "range": {"gt": 10, "lte": 1000}}]},
        {"must": [{"key": "word", "match": {"any": ["w1", "w2", "none"]}}]},
        {
            "must": [{"key": "word", "match": {"prefix": "w"}}],
            "must_not": [{"key": "n", "match": {"value": 0}}],
        },
        {"must": [{"key": "tags", "match": {"value": "t3"}}, {"key": "tags", "match": {"except": ["t3"]}}]},
        {"should": [{"key": "n", "match": {"value": 1}}, {"has_id": [7, 8, 100_000]}]},
        {
            "min_should": {
                "conditions": [
                    {"key": "n", "match": {"value": 1}},
                    {"key": "word", "match": {"value": "w1"}},
                ],
                "min_count": 2,
            }
        },
        {"must": [{"slice": {"total": 4, "index": 2}}]},
    ],
)
def test_indexed_conditions_need_no_payloads(shard: Shard, conditions: dict[str, Any]) -> None:
    decoded = decode_filter(conditions)
    selection = shard.select(decoded)
    assert selection.exact
    assert shard.candidates(selection) == shard.checked(decoded)


def test_few_matches_are_listed_and_many_are_packed(shard: Shard) -> None:
    few = shard.select(decode_filter({"must": [{"key": "f", "match": {"value": 1}}, {"has_id": [2]}]}))
    assert few.slots is not None
    many = shard.select(decode_filter({"must": [{"key": "n", "range": {"gte": 1}}]}))
    assert many.slots is None
    assert many.bits is not None
    assert many.count == 2700


def test_only_the_clauses_without_an_index_are_left_to_check(shard: Shard) -> None:
    decoded = decode_filter(
        {"must": [{"key": "n", "match": {"value": 3}}, {"key": "plain", "match": {"value": 1}}]}
    )
    selection = shard.select(decoded)
    assert selection.count == 300
    assert selection.residue is not None
    assert selection.residue(0, {"plain": 1}), "the indexed clause is not asked again"
    assert not selection.residue(3, {"n": 3})


def test_a_field_whose_values_are_all_indexed_is_empty_where_it_has_none(shard: Shard) -> None:
    selection = shard.select(decode_filter({"must": [{"is_empty": {"key": "m"}}]}))
    assert shard.candidates(selection) == list(range(0, 3000, 5))


def test_a_nested_condition_is_bounded_by_the_index_of_its_inner_field() -> None:
    shard = Shard()
    shard.columns.install(shard.columns.built("n[].b", IntegerIndexParams(), ()))
    shard.put(1, {"n": [{"b": 1, "c": 1}, {"b": 2, "c": 2}]})
    shard.put(2, {"n": [{"b": 3}]})
    inner = {"must": [{"key": "b", "match": {"value": 1}}, {"key": "c", "match": {"value": 2}}]}
    decoded = decode_filter({"must": [{"nested": {"key": "n", "filter": inner}}]})
    assert shard.candidates(shard.select(decoded)) == [0]
    assert shard.matches(decoded) == [], "no element has both"


def test_an_unknown_vector_name_matches_nothing_and_its_absence_everything() -> None:
    shard = numbered(10)
    shard.vectors["x"] = {1, 2}
    assert shard.matches(decode_filter({"must": [{"has_vector": "x"}]})) == [1, 2]
    assert shard.matches(decode_filter({"must": [{"has_vector": "y"}]})) == []
    assert shard.matches(decode_filter({"must_not": [{"has_vector": "y"}]})) == list(range(10))


def test_a_residue_sees_which_vectors_the_point_has() -> None:
    shard = numbered(10)
    shard.vectors["x"] = {1, 2}
    either = {"should": [{"has_vector": "x"}, {"key": "n", "match": {"value": 5}}]}
    assert shard.matches(decode_filter(either)) == [1, 2, 5]


def test_removed_points_match_nothing() -> None:
    shard = numbered(10)
    shard.remove(3)
    assert shard.matches(decode_filter({})) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert shard.matches(decode_filter({"must": [{"has_id": [2, 3]}]})) == [2]


def test_slices_part_the_points_of_both_id_forms() -> None:
    shard = Shard()
    for i in range(40):
        shard.put(i if i % 2 else f"00000000-0000-4000-8000-{i:012d}", {})
    parts = [shard.matches(decode_filter({"must": [{"slice": {"total": 3, "index": i}}]})) for i in range(3)]
    assert sorted(slot for part in parts for slot in part) == list(range(40))
    assert parts[0] == shard.checked(decode_filter({"must": [{"slice": {"total": 3, "index": 0}}]}))
