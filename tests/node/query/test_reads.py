"""Retrieve, scroll, count and the counters behind collection info."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from node.query import count, count_vectors, facet, matching_slots, retrieve, scroll
from protos.collections import Distance
from protos.errors import BadInput
from protos.facets import FacetHit, FacetRequest
from protos.filters import FieldCondition, Filter, MatchValue, Range
from protos.shard import Direction, OrderBy, Projection, ScrollRequest

NewShard = Callable[..., Any]

INDEXED = {"n": "integer"}


def where(key: str, value: Any) -> Filter:
    return Filter(must=(FieldCondition(key, (MatchValue(value),)),))


def below(key: str, bound: float) -> Filter:
    return Filter(must=(FieldCondition(key, (Range(lt=bound),)),))


def ids(records: Any) -> list[Any]:
    return [record.id for record in records]


def numbered(new: NewShard, points: int, **settings: Any) -> Any:
    """Points 0.. in shuffled slots, each with its number, its parity and its tens as payload."""
    built = new(**settings)
    for i in range(points):
        point_id = i * 7 % points
        payload = {"n": point_id, "even": point_id % 2 == 0, "tens": point_id // 10}
        built.put(point_id, [float(point_id), 1.0], payload)
    return built


def test_retrieve_keeps_the_order_drops_missing_ids_and_repeats(shard: NewShard):
    view = numbered(shard, 10).view()
    found = retrieve(view, [7, 3, 99, 7, 1], Projection(payload=True))
    assert ids(found) == [7, 3, 1]
    assert found[0].payload == b'{"n": 7, "even": false, "tens": 0}'


def test_retrieve_returns_the_vectors_a_point_has(shard: NewShard):
    built = shard(vectors={"a": (2, Distance.DOT), "b": (1, Distance.DOT)}, segment_rows=64)
    for i in range(100):
        built.put(i, {"a": [i, 1]} if i % 2 else {"a": [i, 1], "b": [i]})
    view = built.view()
    found = retrieve(view, [70, 1, 2], Projection(vectors=True))
    assert [{name: row.tolist() for name, row in record.vectors.items()} for record in found] == [
        {"a": [70, 1], "b": [70]},
        {"a": [1, 1]},
        {"a": [2, 1], "b": [2]},
    ]
    assert [set(record.vectors) for record in retrieve(view, [1, 2], Projection(vectors=("b",)))] == [
        set(),
        {"b"},
    ]


def test_unknown_vector_name_in_a_projection_is_bad_input(shard: NewShard):
    with pytest.raises(BadInput, match="Not existing vector name error: nope"):
        retrieve(shard().view(), [], Projection(vectors=("nope",)))


def test_scroll_walks_ids_ascending_numbers_before_uuids(shard: NewShard):
    built = shard()
    some_uuid = str(uuid.UUID(int=5))
    for point_id in (some_uuid, 30, 4, 2**64 - 1):
        built.put(point_id, [1, 0])
    assert ids(scroll(built.view(), ScrollRequest(limit=10))) == [4, 30, 2**64 - 1, some_uuid]


def test_scroll_starts_at_the_offset_even_when_that_id_does_not_exist(shard: NewShard):
    built = numbered(shard, 20)
    built.remove(5)
    view = built.view()
    assert ids(scroll(view, ScrollRequest(limit=3, offset=4))) == [4, 6, 7]
    assert ids(scroll(view, ScrollRequest(limit=3, offset=5))) == [6, 7, 8]
    assert ids(scroll(view, ScrollRequest(limit=3, offset=500))) == []


@pytest.mark.parametrize("indexes", [{}, INDEXED], ids=["unindexed", "indexed"])
@pytest.mark.parametrize("bound", [1, 30, 600, 1000])
def test_pages_of_a_filtered_scroll_cover_every_match_once(
    shard: NewShard, indexes: dict[str, str], bound: int
):
    view = numbered(shard, 1000, indexes=indexes, segment_rows=256).view()
    seen: list[int] = []
    offset: int | None = 0
    while offset is not None:
        page = ids(scroll(view, ScrollRequest(limit=151, offset=offset, filter=below("n", bound))))
        seen += page[:150]
        offset = page[150] if len(page) > 150 else None
    assert seen == list(range(bound))


def test_scroll_of_few_candidates_reads_only_those(shard: NewShard):
    view = numbered(shard, 1000, indexes=INDEXED, segment_rows=1024).view()
    assert ids(scroll(view, ScrollRequest(limit=10, offset=3, filter=below("n", 6)))) == [3, 4, 5]
    assert view.points.fetched < 15


@pytest.mark.parametrize("direction", list(Direction))
def test_order_by_sorts_by_value_and_ties_by_id_in_the_same_direction(shard: NewShard, direction: Direction):
    view = numbered(shard, 100, indexes={"tens": "integer"}, segment_rows=128).view()
    found = scroll(view, ScrollRequest(limit=25, order_by=OrderBy("tens", direction)))
    forward = direction is Direction.ASC
    assert ids(found) == (list(range(25)) if forward else list(range(99, 74, -1)))
    assert [record.order_value for record in found] == [record.id // 10 for record in found]


def test_order_by_start_from_is_inclusive(shard: NewShard):
    view = numbered(shard, 50, indexes=INDEXED).view()
    up = scroll(view, ScrollRequest(limit=2, order_by=OrderBy("n", start_from=10)))
    down = scroll(view, ScrollRequest(limit=2, order_by=OrderBy("n", Direction.DESC, start_from=10)))
    assert (ids(up), ids(down)) == ([10, 11], [10, 9])


def test_order_by_shows_a_point_once_per_distinct_value_and_leaves_out_those_without(shard: NewShard):
    built = shard(indexes=INDEXED)
    built.put(1, [1, 0], {"n": [5, 1, 5]})
    built.put(2, [1, 0], {"n": 3})
    built.put(3, [1, 0], {})
    found = scroll(built.view(), ScrollRequest(limit=10, order_by=OrderBy("n")))
    assert [(record.id, record.order_value) for record in found] == [(1, 1), (2, 3), (1, 5)]


def test_order_by_with_an_unindexed_filter_fills_the_page(shard: NewShard):
    view = numbered(shard, 500, indexes=INDEXED, segment_rows=512).view()
    request = ScrollRequest(limit=20, order_by=OrderBy("n", Direction.DESC), filter=where("even", True))
    assert ids(scroll(view, request)) == list(range(498, 458, -2))


def test_order_by_of_datetimes_gives_microseconds(shard: NewShard):
    built = shard(indexes={"at": "datetime"})
    built.put(1, [1, 0], {"at": "2024-01-01T00:00:01Z"})
    built.put(2, [1, 0], {"at": "2024-01-01T00:00:00Z"})
    found = scroll(built.view(), ScrollRequest(limit=10, order_by=OrderBy("at")))
    assert [(record.id, record.order_value) for record in found] == [
        (2, 1_704_067_200_000_000),
        (1, 1_704_067_201_000_000),
    ]


def test_order_by_needs_a_range_index(shard: NewShard):
    view = numbered(shard, 5, indexes={"even": "bool"}).view()
    for key in ("n", "even"):
        with pytest.raises(BadInput, match=f"No range index for `order_by` key: `{key}`"):
            scroll(view, ScrollRequest(limit=5, order_by=OrderBy(key)))


def test_order_by_refuses_an_offset(shard: NewShard):
    view = numbered(shard, 5, indexes=INDEXED).view()
    with pytest.raises(BadInput, match="Cannot use an `offset` when using `order_by`"):
        scroll(view, ScrollRequest(limit=5, offset=1, order_by=OrderBy("n")))


@pytest.mark.parametrize("indexes", [INDEXED, {}], ids=["index", "payload check"])
def test_a_sample_holds_every_match_equally_often(shard: NewShard, indexes: dict[str, str]):
    view = numbered(shard, 40, indexes=indexes).view()
    seen = dict.fromkeys(range(20), 0)
    for seed in range(400):
        request = ScrollRequest(limit=5, filter=below("n", 20), sample_seed=seed)
        found = scroll(view, request)
        assert len(set(ids(found))) == 5
        numbers = [record.order_value for record in found]
        assert numbers == sorted(numbers)
        for point_id in ids(found):
            seen[point_id] += 1
    assert min(seen.values()) > 60
    assert max(seen.values()) < 140  # 100 is the mean, 8.7 the standard deviation


def test_a_sample_larger_than_the_matches_is_all_of_them(shard: NewShard):
    view = numbered(shard, 40, indexes=INDEXED).view()
    assert sorted(ids(scroll(view, ScrollRequest(limit=99, sample_seed=1)))) == list(range(40))
    nothing = ScrollRequest(limit=9, filter=below("n", 0), sample_seed=1)
    assert scroll(view, nothing) == []


@pytest.mark.parametrize("indexes", [{}, INDEXED], ids=["unindexed", "indexed"])
def test_exact_count_is_exact_and_an_estimate_is_near(shard: NewShard, indexes: dict[str, str]):
    view = numbered(shard, 2000, indexes=indexes, segment_rows=2048).view()
    assert count(view, None, exact=True) == 2000
    assert count(view, below("n", 500), exact=True) == 500
    assert count(view, below("n", 500), exact=False) == pytest.approx(500, rel=0.2)
    assert count(view, below("n", 0), exact=True) == 0


def test_matching_slots_can_be_asked_of_some_slots_only(shard: NewShard):
    built = numbered(shard, 100)
    view = built.view()
    even = [slot for slot, row in enumerate(built.rows) if row[0] % 2 == 0]
    assert matching_slots(view, where("even", True)).tolist() == even
    some = view.points.slots_of([])
    assert matching_slots(view, where("even", True), some).tolist() == []


def test_counters_count_live_vectors_by_name_and_those_in_graphs(shard: NewShard):
    built = shard(vectors={"a": (1, Distance.DOT), "b": (1, Distance.DOT)}, indexed=True)
    built.put(1, {"a": [1]})
    built.put(2, {"a": [1], "b": [1]})
    built.put(3, {"a": [1]})
    built.remove(3)
    counters = count_vectors(built.view())
    assert counters.vectors == {"a": 2, "b": 1}
    assert counters.indexed_vectors == 3
    (segment,) = counters.segments
    assert (segment.rows, segment.points, segment.disk_bytes, segment.appendable) == (3, 2, 7, False)
    assert segment.vectors == segment.indexed_vectors == {"a": 2, "b": 1}


@pytest.mark.parametrize("indexes", [{}, {"even": "bool"}])
def test_facets_count_the_matching_points_of_each_value(shard: NewShard, indexes: dict[str, str]):
    built = numbered(shard, 57, indexes={"tens": "integer", **indexes})
    built.remove(50)
    view = built.view()
    found = facet(view, FacetRequest("tens", None, where("even", value=True)))
    assert found == [FacetHit(tens, 5) for tens in range(5)] + [FacetHit(5, 3)]
    assert facet(view, FacetRequest("tens", 1)) == [FacetHit(0, 10)]
    assert facet(view, FacetRequest("tens", 3, where("even", value=7))) == []
