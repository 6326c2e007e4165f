"""Queries with prefetches over the shards of a collection: what is sent to them, what becomes of it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest

from protos.collections import decode_create
from protos.filters import Filter, HasId
from protos.formulas import decode_formula
from protos.fusion import Dbsf, Rrf
from protos.shard import Hits, Projection
from protos.stages import Boosted, Fused, Searched
from router.points import WriteOptions
from router.queries.plan import plan, wanted_by
from router.queries.requests import (
    DiverseNearest,
    NearestPoint,
    NearestVector,
    Prefetch,
    QueryRequest,
    RandomSample,
    ReadOptions,
)
from router.replicas.consistency import Consistency
from tests.router.fake_cluster import FakeCluster, Front, ids_of, upsert
from tests.router.virtual_time import run_virtually

EAST, WEST = NearestVector([1.0, 0.0]), NearestVector([-1.0, 0.0])
POINTS = list(range(1, 21))  # point n is at (n, 0)


class World(FakeCluster):
    """Twenty points in collection ``c``; every shard on all three peers."""

    def __init__(self) -> None:
        super().__init__()
        self.front = Front(self)

    async def created(self, shards: int) -> World:
        body = {"vectors": {"size": 2, "distance": "Dot"}, "shard_number": shards, "replication_factor": 3}
        await self.front.collections.create("c", decode_create(body))
        await self.front.points.apply("c", upsert(*POINTS), WriteOptions(wait=True))
        self.asked.clear()
        return self

    async def query(self, request: QueryRequest, options: ReadOptions = ReadOptions()) -> Hits:  # noqa: B008
        (hits,) = await self.front.searches.query("c", [request], options)
        return hits


def run(test: Coroutine[Any, Any, None]) -> None:
    run_virtually(test)


FUSED = QueryRequest(Rrf(), prefetch=(Prefetch(EAST, limit=3), Prefetch(WEST, limit=2)), limit=4)


@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize("consistency", [None, Consistency.ALL])
def test_a_fusion_is_of_the_lists_of_all_shards(shards: int, consistency: Consistency | None) -> None:
    async def test() -> None:
        world = await World().created(shards)
        hits = await world.query(FUSED, ReadOptions(consistency=consistency))
        assert ids_of(hits.records) == [20, 1, 19, 2]  # equal scores: the larger id first
        assert hits.scores.tolist() == pytest.approx([1 / 2, 1 / 2, 1 / 3, 1 / 3])

    run(test())


def test_each_shard_is_asked_once_for_all_requests_of_a_batch() -> None:
    async def test() -> None:
        world = await World().created(4)
        await world.front.searches.query("c", [FUSED, FUSED], ReadOptions())
        assert world.asked.total() == 4

    run(test())


def test_one_shard_answers_with_everything_in_one_call() -> None:
    async def test() -> None:
        world = await World().created(1)
        request = QueryRequest(
            Dbsf(), prefetch=FUSED.prefetch, projection=Projection(True), offset=1, limit=2
        )
        hits = await world.query(request)
        assert len(hits.records) == 2
        assert all(record.payload is not None for record in hits.records)
        assert world.asked.total() == 1

    run(test())


@pytest.mark.parametrize("shards", [1, 4])
def test_a_search_ranks_what_prefetches_found(shards: int) -> None:
    async def test() -> None:
        world = await World().created(shards)
        few = Prefetch(EAST, limit=20, filter=Filter(must=(HasId((3, 4, 5)),)))
        hits = await world.query(QueryRequest(WEST, prefetch=(few,), projection=Projection(True)))
        assert ids_of(hits.records) == [3, 4, 5]
        assert all(record.payload is not None for record in hits.records)

    run(test())


@pytest.mark.parametrize("query", [None, RandomSample()])
def test_points_that_are_listed_show_no_score_of_their_own(query: Any) -> None:
    async def test() -> None:
        world = await World().created(4)
        some = (Prefetch(EAST, filter=Filter(must=(HasId((7, 8)),))),)
        hits = await world.query(QueryRequest(query, prefetch=some, limit=9))
        assert set(ids_of(hits.records)) <= {7, 8}
        assert all(record.version == 0 for record in hits.records)
        assert set(hits.scores.tolist()) <= {1.0}

    run(test())


def test_examples_anywhere_are_excluded_everywhere() -> None:
    async def test() -> None:
        world = await World().created(1)
        inner = Prefetch(NearestPoint(20), limit=9, prefetch=(Prefetch(EAST, limit=9),))
        hits = await world.query(QueryRequest(NearestPoint(19), prefetch=(inner,), limit=3))
        assert ids_of(hits.records) == [18, 17, 16]

    run(test())


def test_filters_stand_where_points_are_found() -> None:
    async def test() -> None:
        world = await World().created(1)
        state = world.log.state.collections["c"]
        outer, inner = Filter(must=(HasId((1, 2, 3)),)), Filter(must=(HasId((2,)),))
        leaf = Prefetch(EAST, limit=5)
        middle = Prefetch(WEST, limit=4, filter=inner, prefetch=(leaf,))
        request = QueryRequest(Rrf(), filter=outer, prefetch=(middle, leaf), limit=3, offset=2)
        examples = wanted_by(request)
        assert [want.example for want in examples] == [WEST, EAST, EAST]
        vectors = [f"vector {place}" for place in range(3)]
        stage = plan(state, request, iter(vectors))  # type: ignore[arg-type]  # passed on as they are
        assert isinstance(stage, Fused)
        assert stage.limit == 5
        ranked, found = stage.prefetch
        assert isinstance(ranked, Searched)
        assert isinstance(found, Searched)
        assert (ranked.search.vector, ranked.search.filter) == ("vector 0", None)
        (first,) = ranked.prefetch
        assert isinstance(first, Searched)
        assert (first.search.vector, first.search.filter) == ("vector 1", Filter(must=(outer, inner)))
        assert (found.search.vector, found.search.filter) == ("vector 2", outer)

    run(test())


@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize("consistency", [None, Consistency.ALL])
def test_diverse_points_are_chosen_among_the_candidates_of_all_shards(
    shards: int, consistency: Consistency | None
) -> None:
    async def test() -> None:
        world = await World().created(shards)
        request = QueryRequest(DiverseNearest(EAST, 1.0, 10), limit=3, projection=Projection(payload=True))
        hits = await world.query(request, ReadOptions(consistency=consistency))
        assert ids_of(hits.records) == [20, 11, 12]  # the nearest, then those least like what is chosen
        assert hits.scores.tolist() == [20.0, 11.0, 12.0]
        assert all(record.vectors is None and record.payload is not None for record in hits.records)

    run(test())


def test_a_formula_is_sent_to_every_shard_whole_and_the_best_of_all_are_kept() -> None:
    """Nothing of it is left to do here, unlike of a fusion."""

    async def test() -> None:
        world = await World().created(4)
        formula = decode_formula({"neg": "$score"})
        prefetch = (Prefetch(EAST, limit=20), Prefetch(WEST, limit=20))
        request = QueryRequest(formula, prefetch=prefetch, limit=3, offset=1, score_threshold=0.25)
        stage = plan(world.log.state.collections["c"], request, iter(["a", "b"]))  # type: ignore[arg-type]
        assert isinstance(stage, Boosted)
        assert (stage.formula, stage.limit, stage.score_threshold) == (formula, 4, 0.25)
        assert len(stage.prefetch) == 2
        hits = await world.query(request)
        assert len(hits.records) == 3
        assert hits.scores.tolist() == sorted(hits.scores.tolist(), reverse=True)

    run(test())
