"""Merging what shards answered."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from protos.ids import id_key
from protos.shard import Direction, Hits, Record
from router.merge import merge_by_id, merge_by_value, merge_hits, skip, without

UUID = "00000000-0000-0000-0000-000000000001"


def _hits(*scored: tuple[int | str, float]) -> Hits:
    return Hits(
        [Record(number, 0) for number, _ in scored],
        np.array([score for _, score in scored], dtype=np.float32),
    )


def _pairs(hits: Hits) -> list[tuple[int | str, float]]:
    return [(record.id, score) for record, score in zip(hits.records, hits.scores.tolist())]


def test_similarities_merge_largest_first_with_the_larger_id_first_on_ties() -> None:
    merged = merge_hits([_hits((1, 3.0), (2, 1.0)), _hits((UUID, 3.0), (4, 2.0))], 3, ascending=False)
    assert _pairs(merged) == [(UUID, 3.0), (1, 3.0), (4, 2.0)]


def test_distances_merge_smallest_first_with_the_smaller_id_first_on_ties() -> None:
    merged = merge_hits([_hits((1, 1.0), (2, 3.0)), _hits((UUID, 1.0), (4, 2.0))], 3, ascending=True)
    assert _pairs(merged) == [(1, 1.0), (UUID, 1.0), (4, 2.0)]


def test_a_point_seen_twice_counts_once_with_its_better_score() -> None:
    merged = merge_hits([_hits((1, 3.0), (2, 1.0)), _hits((1, 5.0), (3, 2.0))], 3, ascending=False)
    assert _pairs(merged) == [(1, 5.0), (3, 2.0), (2, 1.0)]


@given(
    parts=st.lists(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5)), max_size=8), max_size=4),
    limit=st.integers(1, 10),
    ascending=st.booleans(),
)
def test_merging_equals_sorting_everything(
    parts: list[list[tuple[int, int]]], limit: int, ascending: bool
) -> None:
    def order(part: list[tuple[int, int]]) -> list[tuple[int, float]]:
        ranked = sorted(part, key=lambda entry: (entry[1], entry[0]), reverse=not ascending)
        return [(number, float(score)) for number, score in ranked]

    merged = merge_hits([_hits(*order(part)) for part in parts], limit, ascending=ascending)
    everything = order([entry for part in parts for entry in part])
    best = {}
    for number, score in everything:
        best.setdefault(number, score)
    assert _pairs(merged) == list(best.items())[:limit]


def test_pages_merge_by_id_without_repeats() -> None:
    parts = [[Record(1, 0), Record(UUID, 0)], [Record(1, 0), Record(3, 0)]]
    assert [record.id for record in merge_by_id(parts, 3)] == [1, 3, UUID]
    assert [id_key(record.id) for record in merge_by_id(parts, 2)] == [id_key(1), id_key(3)]


def test_ordered_pages_merge_by_value_then_id_in_the_same_direction() -> None:
    parts = [
        [Record(1, 0, order_value=5), Record(1, 0, order_value=7)],
        [Record(2, 0, order_value=5.0), Record(2, 0, order_value=5.0), Record(3, 0, order_value=None)],
    ]
    ascending = merge_by_value(parts, 10, Direction.ASC)
    assert [(record.id, record.order_value) for record in ascending] == [(1, 5), (2, 5.0), (1, 7)]
    descending = merge_by_value(parts, 2, Direction.DESC)
    assert [(record.id, record.order_value) for record in descending] == [(1, 7), (2, 5.0)]


def test_a_window_is_cut_out() -> None:
    hits = _hits((1, 3.0), (2, 2.0), (3, 1.0))
    assert _pairs(skip(hits, 1, 1)) == [(2, 2.0)]
    assert skip(hits, 0, 3) is hits
    assert _pairs(skip(hits, 5, 3)) == []


def test_a_point_is_taken_out_wherever_it_is() -> None:
    hits = _hits((1, 3.0), (2, 2.0), (3, 1.0))
    assert _pairs(without(hits, 2)) == [(1, 3.0), (3, 1.0)]
    assert without(hits, 9) is hits
