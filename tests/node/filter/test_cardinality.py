from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from node.filter.cardinality import estimate
from node.filter.columns import Cardinality
from protos.collections import (
    FloatIndexParams,
    GeoIndexParams,
    IntegerIndexParams,
    KeywordIndexParams,
    PayloadIndexParams,
    TextIndexParams,
)
from protos.filters import decode_filter
from tests.node.filter.shard import Shard
from tests.node.filter.test_evaluate import indexes, run, some_filters, steps


def check_bounds(
    indexes: dict[str, PayloadIndexParams], steps: list[Any], filters: list[dict[str, Any]]
) -> None:
    shard = Shard()
    for field, params in indexes.items():
        shard.columns.install(shard.columns.built(field, params, ()))
    run(shard, steps)
    for each in filters:
        decoded = decode_filter(each)
        found = estimate(decoded, shard.context())
        assert found.least <= len(shard.checked(decoded)) <= found.most, each
        assert found.least <= found.expected <= found.most


@given(indexes=indexes, steps=steps, filters=some_filters)
@settings(max_examples=25, deadline=None)
def test_the_number_of_matches_is_within_the_bounds(indexes: Any, steps: Any, filters: Any) -> None:
    check_bounds(indexes, steps, filters)


@pytest.mark.slow
@given(indexes=indexes, steps=steps, filters=some_filters)
@settings(max_examples=1000, deadline=None)
def test_the_number_of_matches_is_always_within_the_bounds(indexes: Any, steps: Any, filters: Any) -> None:
    check_bounds(indexes, steps, filters)


@pytest.fixture(scope="module")
def shard() -> Shard:
    """1000 points; ``n`` and ``word`` have one value each, ``tags`` two; 100 points are written anew."""
    shard = Shard()
    for field, params in {
        "n": IntegerIndexParams(),
        "word": KeywordIndexParams(),
        "tags": KeywordIndexParams(),
        "f": FloatIndexParams(),
        "text": TextIndexParams(),
        "at": GeoIndexParams(),
    }.items():
        shard.columns.install(shard.columns.built(field, params, ()))
    for i in range(1100):
        if i == 1000:
            shard.columns.rebuild()
        point = i % 1000
        shard.put(
            point,
            {
                "n": point,
                "word": f"w{point % 10}",
                "tags": [f"t{point % 4}", f"u{point % 5}"],
                "f": point / 10,
                "text": f"red wine {point % 10}",
                "at": {"lon": point % 180, "lat": point % 90},
            },
        )
    return shard


def estimated(shard: Shard, *must: dict[str, Any]) -> Cardinality:
    return estimate(decode_filter({"must": list(must)}), shard.context())


def test_what_stands_in_one_range_of_a_base_is_counted_exactly(shard: Shard) -> None:
    shard.columns.rebuild()
    assert estimated(shard, {"key": "word", "match": {"value": "w3"}}) == Cardinality(100, 100, 100)
    assert estimated(shard, {"key": "n", "range": {"gte": 10, "lt": 30}}) == Cardinality(20, 20, 20)
    assert estimated(shard, {"key": "word", "match": {"any": ["w1", "w2"]}}) == Cardinality(200, 200, 200)
    assert estimated(shard, {"has_id": [1, 2, 5000]}) == Cardinality(2, 2, 2)


def test_conditions_are_taken_for_independent(shard: Shard) -> None:
    found = estimated(shard, {"key": "word", "match": {"value": "w3"}}, {"key": "n", "range": {"lt": 500}})
    assert (found.least, found.expected, found.most) == (0, 50, 100)
    words = estimated(shard, {"key": "text", "match": {"text": "red 7"}})
    assert words == Cardinality(0, 100, 100)


def test_points_in_no_cell_of_a_region_are_not_counted(shard: Shard) -> None:
    circle = {"center": {"lon": 10, "lat": 10}, "radius": 200_000}
    condition = {"key": "at", "geo_radius": circle}
    found = estimated(shard, condition)
    assert len(shard.matches(decode_filter({"must": [condition]}))) <= found.most < 50
    assert 20 <= found.expected < found.most


def test_each_index_tells_what_it_takes(shard: Shard) -> None:
    taken = shard.columns.view().memory()
    assert taken["n"].ram_bytes > 1000 * 12
    assert taken["text"].ram_bytes > 3000 * 8
    assert all(each.disk_bytes == 0 for each in taken.values())


def test_what_is_saved_is_taken_from_disk(shard: Shard, tmp_path: Any) -> None:
    before = shard.columns.view().memory()["n"]
    shard.columns.save(tmp_path)
    after = shard.columns.view().memory()["n"]
    assert after.ram_bytes < before.ram_bytes - 1000 * 12 + 1
    assert after.mapped_bytes == after.disk_bytes == 1000 * 12
