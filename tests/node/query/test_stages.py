"""Queries of several stages on one view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from node.query import run_stages
from protos.collections import Distance
from protos.filters import FieldCondition, Filter, MatchValue
from protos.fusion import Dbsf, Rrf
from protos.shard import Direction, OrderBy, Projection, ScrollRequest, SearchRequest
from protos.stages import Fused, Listed, Searched, Stage, StagedRequest

NewShard = Callable[..., Any]
DIRECTIONS = {"east": (1.0, 0.0), "north": (0.0, 1.0), "west": (-1.0, 0.0)}


def toward(direction: str, limit: int, *earlier: Stage, **rest: Any) -> Searched:
    vector = np.array(DIRECTIONS[direction], dtype=np.float32)
    return Searched(SearchRequest("", vector, limit, **rest), earlier)


@pytest.fixture
def view(shard: NewShard) -> Any:
    """Points 0 to 99 on a grid of ten by ten, with their coordinates in ``x`` and ``y``."""
    built = shard(vectors={"": (2, Distance.DOT)}, indexes={"x": "integer", "y": "integer"}, segment_rows=64)
    for point in range(100):
        built.put(point, [float(point % 10), float(point // 10)], {"x": point % 10, "y": point // 10})
    return built.view()


def found(view: Any, stage: Stage) -> list[int]:
    (hits,) = run_stages(view, [StagedRequest(stage)])
    return [record.id for record in hits.records]


def test_a_search_ranks_what_its_prefetches_found_and_nothing_else(view: Any) -> None:
    assert found(view, toward("north", 3, toward("east", 10))) == [99, 89, 79]
    assert found(view, toward("north", 3, toward("east", 1), toward("west", 1))) == [99, 90]


def test_stages_nest(view: Any) -> None:
    column = toward("east", 10)  # x is 9
    upper = toward("north", 5, column)
    assert found(view, toward("west", 9, upper)) == [99, 89, 79, 69, 59]


def test_a_filter_of_a_prefetch_holds_before_its_limit(view: Any) -> None:
    row = Filter(must=(FieldCondition("y", (MatchValue(3),)),))
    assert found(view, toward("north", 9, toward("east", 2, filter=row))) == [39, 38]


def test_fused_scores_add_up_and_a_threshold_lets_equal_ones_pass(view: Any) -> None:
    lists = (toward("east", 2), toward("north", 2))  # 99, 89 and 99, 98
    (hits,) = run_stages(view, [StagedRequest(Fused(Rrf(), 9, lists))])
    assert [record.id for record in hits.records] == [99, 98, 89]
    assert hits.scores.tolist() == pytest.approx([1.0, 1 / 3, 1 / 3])
    assert found(view, Fused(Rrf(), 9, lists, score_threshold=1.0)) == [99]
    assert found(view, Fused(Dbsf(), 1, lists)) == [99]


def test_a_payload_key_orders_what_prefetches_found(view: Any) -> None:
    order = ScrollRequest(3, order_by=OrderBy("y", Direction.DESC))
    request = StagedRequest(Listed(order, (toward("east", 10),)), Projection(payload=True))
    (hits,) = run_stages(view, [request])
    assert [(record.id, record.order_value) for record in hits.records] == [(99, 9), (89, 8), (79, 7)]
    assert hits.scores.tolist() == [1.0, 1.0, 1.0]
    assert hits.records[0].payload == b'{"x": 9, "y": 9}'


def test_a_sample_is_of_what_prefetches_found(view: Any) -> None:
    chosen = found(view, Listed(ScrollRequest(4, sample_seed=1), (toward("east", 10),)))
    assert len(chosen) == 4
    assert {point % 10 for point in chosen} == {9}


def test_a_list_may_be_fused_although_it_holds_a_point_for_each_value(shard: NewShard) -> None:
    built = shard(vectors={"": (2, Distance.DOT)}, indexes={"n": "integer"})
    built.put(1, [0.0, 1.0], {"n": [1, 3]})
    built.put(2, [0.0, 2.0], {"n": 2})
    by_value = Listed(ScrollRequest(5, order_by=OrderBy("n")))  # 1, 2, 1
    assert found(built.view(), Fused(Rrf(), 5, (by_value,))) == [1, 2]


def test_requests_of_one_call_are_answered_apart(view: Any) -> None:
    stages = [
        toward("east", 1),
        toward("north", 1, toward("west", 3)),
        Fused(Rrf(), 1, (toward("north", 1),)),
    ]
    answers = run_stages(view, [StagedRequest(stage) for stage in stages])
    assert [[record.id for record in hits.records] for hits in answers] == [[99], [90], [99]]
