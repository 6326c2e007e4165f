"""Nearest points: order, thresholds, filters with and without indexes, batches."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from node.query import search
from protos.collections import Distance
from protos.errors import BadInput
from protos.filters import FieldCondition, Filter, HasId, HasVector, MatchValue, Range
from protos.shard import PayloadSelector, Projection, SearchParams, SearchRequest

NewShard = Callable[..., Any]


def ask(*vector: float, using: str = "", limit: int = 10, **rest: Any) -> SearchRequest:
    return SearchRequest(using, np.array(vector, dtype=np.float32), limit, **rest)


def where(key: str, value: Any) -> Filter:
    return Filter(must=(FieldCondition(key, (MatchValue(value),)),))


def ids(hits: Any) -> list[Any]:
    return [record.id for record in hits.records]


def test_best_points_of_all_segments_come_first(shard: NewShard):
    built = shard(segment_rows=64)
    for i in range(200):
        built.put(i, [float(i % 100), 0.0])
    (hits,) = search(built.view(), [ask(1, 0, limit=3)])
    assert ids(hits) == [199, 99, 198]
    assert hits.scores.tolist() == [99, 99, 98]


@pytest.mark.parametrize("distance", list(Distance))
@pytest.mark.parametrize("limit", [1, 3, 200])
def test_a_plain_search_alone_finds_what_it_finds_among_others(
    shard: NewShard, distance: Distance, limit: int
):
    built = shard(segment_rows=64, vectors={"": (2, distance)})
    for i in range(150):
        built.put(i, [float(i % 7), float(i % 11)])
    for i in range(0, 150, 5):
        built.remove(i)
    asked = ask(2, 3, limit=limit, score_threshold=None if limit < 3 else 1.0)
    (alone,) = search(built.view(), [asked])
    among, _ = search(built.view(), [asked, ask(1, 1, filter=where("a", 1))])
    assert (alone.records, alone.scores.tolist()) == (among.records, among.scores.tolist())


@pytest.mark.parametrize("distance", list(Distance))
def test_scores_are_the_clients_and_their_order_is_the_distances(shard: NewShard, distance: Distance):
    built = shard(vectors={"": (2, distance)})
    stored = {1: [1.0, 0.0], 2: [0.6, 0.8], 3: [0.0, 1.0]}
    for point_id, vector in stored.items():
        built.put(point_id, vector)
    (hits,) = search(built.view(), [ask(3, 0)])
    expected = {
        Distance.COSINE: ([1, 2, 3], [1, 0.6, 0]),
        Distance.DOT: ([1, 2, 3], [3, 1.8, 0]),
        Distance.EUCLID: ([1, 2, 3], [2, np.hypot(2.4, 0.8), np.hypot(3, 1)]),
        Distance.MANHATTAN: ([1, 2, 3], [2, 3.2, 4]),
    }[distance]
    assert ids(hits) == expected[0]
    assert hits.scores.tolist() == pytest.approx(expected[1], rel=1e-6)


@pytest.mark.parametrize(
    ("distance", "order"), [(Distance.DOT, [9, 8, 7]), (Distance.EUCLID, [1, 2, 3])], ids=str
)
def test_equal_scores_are_ordered_by_id_also_across_the_limit(
    shard: NewShard, distance: Distance, order: list[int]
):
    built = shard(vectors={"": (2, distance)})
    for point_id in (5, 1, 9, 3, 7, 2, 8, 4, 6):
        built.put(point_id, [1.0, 1.0])
    (hits,) = search(built.view(), [ask(1, 0, limit=3)])
    assert ids(hits) == order


def test_many_equal_scores_still_give_the_page_that_ids_decide(shard: NewShard):
    built = shard()
    for point_id in range(500):
        built.put(point_id, [1.0, 0.0])
    (hits,) = search(built.view(), [ask(1, 0, limit=2)])
    assert ids(hits) == [499, 498]


@pytest.mark.parametrize(
    ("distance", "threshold", "kept"),
    [(Distance.DOT, 2.0, [3]), (Distance.EUCLID, 1.0, [1]), (Distance.DOT, 1.5, [3, 2])],
)
def test_score_threshold_is_strict(shard: NewShard, distance: Distance, threshold: float, kept: list[int]):
    built = shard(vectors={"": (2, distance)})
    for point_id in (1, 2, 3):
        built.put(point_id, [float(point_id), 0.0])
    (hits,) = search(built.view(), [ask(1, 0, score_threshold=threshold)])
    assert ids(hits) == kept


def test_points_without_the_vector_are_not_results(shard: NewShard):
    built = shard(vectors={"a": (2, Distance.DOT), "b": (2, Distance.DOT)})
    built.put(1, {"a": [1, 0]})
    built.put(2, {"b": [1, 0]})
    built.put(3, {"a": [1, 0], "b": [1, 0]})
    (hits,) = search(built.view(), [ask(1, 0, using="b")])
    assert ids(hits) == [3, 2]


def test_removed_points_are_not_results(shard: NewShard):
    built = shard()
    for point_id in (1, 2, 3):
        built.put(point_id, [float(point_id), 0])
    built.remove(3)
    (hits,) = search(built.view(), [ask(1, 0)])
    assert ids(hits) == [2, 1]


def test_unknown_vector_name_is_bad_input(shard: NewShard):
    with pytest.raises(BadInput, match=r"^Wrong input: Not existing vector name error: nope$"):
        search(shard().view(), [ask(1, 0, using="nope")])


def test_wrong_dimension_is_bad_input(shard: NewShard):
    with pytest.raises(BadInput, match=r"^Wrong input: Vector dimension error: expected dim: 2, got 3$"):
        search(shard().view(), [ask(1, 0, 0)])


@pytest.mark.parametrize("indexes", [{}, {"colour": "keyword"}], ids=["unindexed", "indexed"])
@pytest.mark.parametrize("every", [1, 2, 50, 700])
def test_a_filter_never_costs_results(shard: NewShard, indexes: dict[str, str], every: int):
    """However rare the matches are, the best of them are found, with and without a payload index."""
    built = shard(indexes=indexes, segment_rows=1024)
    for i in range(1500):
        built.put(i, [float(1500 - i), 0.0], {"colour": "red" if i % every == every - 1 else "blue"})
    (hits,) = search(built.view(), [ask(1, 0, limit=3, filter=where("colour", "red"))])
    assert ids(hits) == [every - 1 + every * i for i in range(3) if every - 1 + every * i < 1500]


def test_payloads_are_read_in_score_order_only_until_the_limit_is_found(shard: NewShard):
    built = shard(segment_rows=4096)
    for i in range(4096):
        built.put(i, [float(i), 0.0], {"even": i % 2 == 0})
    view = built.view()
    (hits,) = search(view, [ask(1, 0, limit=5, filter=where("even", True))])
    assert ids(hits) == [4094, 4092, 4090, 4088, 4086]
    assert view.points.fetched < 50


def test_has_id_and_has_vector_conditions_select_candidates(shard: NewShard):
    built = shard(vectors={"a": (2, Distance.DOT), "b": (2, Distance.DOT)})
    built.put(1, {"a": [1, 0]}, {"n": 1})
    built.put(2, {"a": [2, 0], "b": [1, 0]}, {"n": 1})
    built.put(3, {"a": [3, 0], "b": [1, 0]}, {"n": 2})
    having_b = Filter(must=(HasVector("b"),))
    by_id = Filter(must=(HasId((1, 2, 77)),))
    lacking_b = Filter(must_not=(HasVector("b"),), must=(FieldCondition("n", (MatchValue(1),)),))
    answers = search(built.view(), [ask(1, 0, using="a", filter=f) for f in (having_b, by_id, lacking_b)])
    assert [ids(hits) for hits in answers] == [[3, 2], [2, 1], [1]]


def test_requests_of_one_kind_share_one_call_per_segment(shard: NewShard):
    built = shard(segment_rows=64)
    for i in range(128):
        built.put(i, [float(i), float(-i)], {"n": i})
    view = built.view()
    below = Filter(must=(FieldCondition("n", (Range(lt=100),)),))
    answers = search(view, [ask(1, 0, filter=below), ask(0, 1, filter=below), ask(1, 0, filter=below)])
    assert [ids(hits)[0] for hits in answers] == [99, 0, 99]
    assert [segment.calls for segment in view.segments] == [1, 1]


def test_what_is_known_of_a_filter_is_not_found_out_again(shard: NewShard):
    built = shard()
    for i in range(3000):
        built.put(i, [float(i), 0.0], {"a": i % 1000})
    view, known = built.view(), {}
    for _ in range(2):
        (hits,) = search(view, [ask(1, 0, limit=5, filter=where("a", 7))], known)
        assert ids(hits) == [2007, 1007, 7]
    first = view.points.fetched
    search(view, [ask(0, 1, limit=5, filter=where("a", 7))], known)
    assert view.points.fetched - first < 2000


def test_filters_that_python_finds_equal_are_kept_apart(shard: NewShard):
    """1 == True in Python, but not in a payload."""
    built = shard()
    built.put(1, [1, 0], {"v": 1})
    built.put(2, [1, 0], {"v": True})
    answers = search(built.view(), [ask(1, 0, filter=where("v", 1)), ask(1, 0, filter=where("v", True))])
    assert [ids(hits) for hits in answers] == [[1], [2]]


def test_what_is_remembered_of_a_view_tells_vectors_apart(shard: NewShard):
    built = shard(vectors={"a": (2, Distance.DOT), "b": (2, Distance.DOT)})
    for i in range(200):
        built.put(i, {"a": [float(i), 0.0], "b": [0.0, -float(i)]})
    view = built.view()
    asked = [ask(1, 1, using=using, limit=1) for using in ("a", "b")]
    for _ in range(2):
        assert [ids(search(view, [request])[0]) for request in asked] == [[199], [0]]
    built.remove(199)
    assert ids(search(built.view(), asked[:1])[0]) == [198]


def test_indexed_only_skips_large_segments_without_a_graph(shard: NewShard):
    params = SearchParams(indexed_only=True)
    for indexed, threshold, found in [(False, 0, 3), (False, None, 3), (True, None, 3)]:
        built = shard(indexed=indexed, indexing_threshold=threshold)
        for point_id in (1, 2, 3):
            built.put(point_id, [1, 0])
        (hits,) = search(built.view(), [ask(1, 0, params=params)])
        assert len(hits.records) == found
    wide = shard(vectors={"": (65536, Distance.DOT)}, indexing_threshold=100, segment_rows=64)
    for point_id in range(41):  # 41 x 256 KiB are more than the full scan threshold of 10,000 KiB
        wide.put(point_id, np.ones(65536))
    (hits,) = search(wide.view(), [ask(*np.ones(65536), params=params)])
    assert ids(hits) == []


def test_hits_carry_version_and_what_was_asked_for(shard: NewShard):
    built = shard()
    built.put("6f9619ff-8b86-d011-b42d-00cf4fc964ff", [1, 0], {"a": 1, "b": {"c": [2], "d": 3}})
    view = built.view()
    (plain,) = search(view, [ask(1, 0)])
    assert (plain.records[0].payload, plain.records[0].vectors) == (None, None)
    assert plain.records[0].version == 100
    everything = Projection(payload=True, vectors=True)
    selected = Projection(payload=PayloadSelector(include=("b.c",)))
    left_out = Projection(payload=PayloadSelector(exclude=("b.c", "a")))
    answers = search(view, [ask(1, 0, projection=p) for p in (everything, selected, left_out)])
    payloads = [json.loads(hits.records[0].payload) for hits in answers]
    assert payloads == [{"a": 1, "b": {"c": [2], "d": 3}}, {"b": {"c": [2]}}, {"b": {"d": 3}}]
    assert answers[0].records[0].vectors[""].tolist() == [1, 0]


def test_no_requests_and_no_points_give_no_hits(shard: NewShard):
    assert search(shard().view(), []) == []
    (hits,) = search(shard().view(), [ask(1, 0)])
    assert (hits.records, hits.scores.tolist()) == ([], [])


def test_a_plan_is_told_to_those_who_ask(shard: NewShard):
    built = shard(indexes={"colour": "keyword"}, segment_rows=64)
    for i in range(200):
        built.put(i, [float(i), 0.0], {"colour": "red" if i % 4 else "blue", "size": i})
    asked = ask(1, 0, filter=where("colour", "red"))
    silent, told = search(built.view(), [asked, msgspec.structs.replace(asked, explain=True)])
    assert silent.plan is None
    assert ids(told) == ids(silent)
    assert told.plan is not None
    assert (told.plan.estimated, told.plan.candidates, told.plan.checked) == (150, 150, 0)
    assert told.plan.micros > 0
    (unindexed,) = search(
        built.view(), [msgspec.structs.replace(ask(1, 0, filter=where("size", 3)), explain=True)]
    )
    assert unindexed.plan is not None
    assert unindexed.plan.candidates == unindexed.plan.checked == 200


def test_scores_beyond_float32_are_its_ends(shard: NewShard):
    built = shard(vectors={"": (2, Distance.EUCLID)})
    built.put(1, [0.0, 0.0])
    with np.errstate(over="ignore"):  # of the segment's stand-in
        (hits,) = search(built.view(), [ask(1e30, 0)])
    assert hits.scores.tolist() == [np.finfo(np.float32).max]
