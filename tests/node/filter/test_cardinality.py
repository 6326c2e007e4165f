"""Estimates of how many points match enclose the truth, and are near it where conditions are independent."""

from __future__ import annotations

import random

import pytest

from node.filter import cardinality
from node.filter.cardinality import Cardinality, estimate
from protos.collections import IntegerIndexParams, KeywordIndexParams
from protos.filters import FieldCondition, Filter, HasId, MatchValue, MinShould, Range
from tests.node.filter.shard import Shard

POINTS = 4000


@pytest.fixture(scope="module")
def shard() -> Shard:
    built = Shard()
    for field, params in (("colour", KeywordIndexParams()), ("size", IntegerIndexParams())):
        built.columns.install(built.columns.built(field, params, []))
    rng = random.Random(0)
    for i in range(POINTS):
        built.put(i, {"colour": rng.choice(["red", "blue", "green", "grey"]), "size": rng.randrange(100)})
    return built


RED = FieldCondition("colour", (MatchValue("red"),))
SMALL = FieldCondition("size", (Range(lt=10),))
OTHER = FieldCondition("other", (MatchValue("x"),))


def estimated(shard: Shard, filter: Filter) -> Cardinality:
    return estimate(filter, shard.columns.view(), POINTS, len(shard.live))


@pytest.mark.parametrize(
    "filter",
    [
        Filter(must=(RED,)),
        Filter(must=(RED, SMALL)),
        Filter(should=(RED, SMALL)),
        Filter(must_not=(RED,)),
        Filter(must=(Filter(should=(RED, SMALL)),), must_not=(SMALL,)),
        Filter(min_should=MinShould((RED, SMALL), 2)),
        Filter(min_should=MinShould((RED, SMALL), 1)),
        Filter(must=(HasId((1, 2, 3)),)),
        Filter(),
    ],
    ids=str,
)
def test_the_estimate_is_near_the_truth(shard: Shard, filter: Filter) -> None:
    true = shard.select(filter).count
    found = estimated(shard, filter)
    assert found.least <= true <= found.most
    assert found.least <= found.expected <= found.most
    assert abs(found.expected - true) <= max(120, POINTS * 0.1 * bool(filter.must and filter.must_not))


def test_a_condition_of_an_index_alone_is_counted(shard: Shard) -> None:
    true = shard.select(Filter(must=(SMALL,))).count
    assert estimated(shard, Filter(must=(SMALL,))) == Cardinality(true, true, true)


def test_without_an_index_nothing_is_known(shard: Shard) -> None:
    assert estimated(shard, Filter(must=(OTHER,))) == Cardinality(0, POINTS // 2, POINTS)


def test_no_points_give_no_estimate() -> None:
    assert cardinality.all_of([Cardinality(0, 0, 0)], 0) == Cardinality(0, 0, 0)
    assert cardinality.any_of([], 0) == Cardinality(0, 0, 0)
