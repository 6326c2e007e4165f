"""Queries of several stages are answered as qdrant-client's local mode answers them, over both protocols and
whatever the number of shards.

Local mode leaves an example out of its own stage and those below; by the reference it is in none (9.4), so
local mode is told. Left out on purpose is what the number of shards changes by the reference: each runs all
stages but a last fusion for itself, so that there are more candidates. One shard is asked such trees.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from tests.congruence.formulas import Maker as FormulaMaker
from tests.congruence.formulas import near, since
from tests.congruence.material import CITIES, DISTANCES, TIMES, VECTORS, make_points, make_vector
from tests.congruence.server import examples, serving_nodes
from tests.congruence.test_protocols import over_grpc

SHARDS = {"one": 1, "six": 6}
TAGS = ("red", "green", "blue")
SEEDS = range(examples(60))


def make_sparse(rng: random.Random) -> models.SparseVector:
    indices = rng.sample(range(40), 8)
    return models.SparseVector(indices=indices, values=[round(rng.uniform(0.1, 1), 3) for _ in indices])


class World:
    def __init__(self, clients: list[QdrantClient]) -> None:
        self.clients, self.local = clients, QdrantClient(":memory:")
        dense = {
            name: models.VectorParams(size=size, distance=models.Distance(distance))
            for name, (size, distance) in VECTORS.items()
        }
        sparse = {"words": models.SparseVectorParams()}
        rng = random.Random(5)
        self.points = [models.PointStruct(**point) for point in make_points(seed=6)]
        for number, point in enumerate(self.points):
            assert isinstance(point.vector, dict)
            point.vector["words"] = make_sparse(rng)
            rank = number * 7919 % 1009
            facts = {"rank": rank, "part": [rank / 1009], "spot": CITIES[rank % 4], "since": TIMES[rank % 5]}
            point.payload = {**(point.payload or {}), **facts}
        self.local.create_collection("c", vectors_config=dense, sparse_vectors_config=sparse)
        self.local.upsert("c", self.points)
        for name, shards in SHARDS.items():
            clients[0].create_collection(
                name, vectors_config=dense, sparse_vectors_config=sparse, shard_number=shards
            )
            clients[0].create_payload_index(name, "rank", models.PayloadSchemaType.INTEGER, wait=True)
            for start in range(0, len(self.points), 40):
                clients[0].upsert(name, self.points[start : start + 40], wait=True)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving_nodes(tmp_path_factory.mktemp("queries")) as nodes:
        rest = QdrantClient(url=nodes[0].url, timeout=60, check_compatibility=False)
        yield World([rest, over_grpc(QdrantClient, nodes[-1])])


class Maker:
    """Random trees of stages. Scores of distances have no sense in a sum, so DBSF fuses similarities only."""

    def __init__(self, seed: int, points: list[models.PointStruct]) -> None:
        self.rng, self.points = random.Random(seed), points

    def vector(self, using: str) -> Any:
        holder = self.rng.choice(self.points)
        if self.rng.random() < 0.3 and using in holder.vector:  # type: ignore[operator]
            return holder.id
        return make_sparse(self.rng) if using == "words" else make_vector(self.rng)

    def using(self, *, similar: bool) -> str:
        return self.rng.choice(
            ("words", "cosine", "dot") if similar else ("words", *map(str.lower, DISTANCES))
        )

    def condition(self) -> models.Filter | None:
        if self.rng.random() < 0.6:
            return None
        match = models.FieldCondition(key="tag", match=models.MatchValue(value=self.rng.choice(TAGS)))
        return models.Filter(must_not=[match])

    def prefetch(self, depth: int, *, similar: bool) -> models.Prefetch:
        limit, condition = self.rng.randint(4, 30), self.condition()
        if depth and self.rng.random() < 0.5:
            some = self.prefetches(depth - 1, similar=similar)
            query, using = self.combining(len(some), similar=similar, last=False)
            return models.Prefetch(prefetch=some, query=query, using=using, limit=limit, filter=condition)
        using = self.using(similar=similar)
        return models.Prefetch(query=self.vector(using), using=using, limit=limit, filter=condition)

    def prefetches(self, depth: int, *, similar: bool) -> list[models.Prefetch]:
        return [self.prefetch(depth, similar=similar) for _ in range(self.rng.randint(1, 3))]

    def combining(self, count: int, *, similar: bool, last: bool) -> tuple[Any, str | None]:
        """What ranks the points of ``count`` prefetches, and by which vectors.

        Plain reciprocal ranks have many ties, whose order only the last stage may leave open.
        """
        kind = self.rng.choice(["weighted", "vector"] + ["dbsf"] * similar + ["rrf"] * last)
        if kind == "vector":
            using = self.using(similar=similar)
            return self.vector(using), using
        if kind == "weighted":
            weights = [round(self.rng.uniform(0.1, 3), 2) for _ in range(count)]
            return models.RrfQuery(rrf=models.Rrf(k=self.rng.randint(1, 60), weights=weights)), None
        return models.FusionQuery(fusion=models.Fusion(kind)), None


def is_fusion(query: Any) -> bool:
    return isinstance(query, models.FusionQuery | models.RrfQuery)


def same(found: list[models.ScoredPoint], expected: list[models.ScoredPoint]) -> None:
    """Equal scores may stand in any order, and at either end any of them may be left out."""
    scores = [point.score for point in expected]
    np.testing.assert_allclose([point.score for point in found], scores, atol=2e-5)
    ends = scores[:1] + scores[-1:]

    def sure(points: list[models.ScoredPoint]) -> set[str]:
        return {str(point.id) for point in points if all(abs(point.score - end) > 1e-4 for end in ends)}

    assert sure(found) == sure(expected)


def mentioned(query: Any, prefetches: list[models.Prefetch]) -> list[Any]:
    """The points that are examples anywhere."""
    own = [query] if isinstance(query, int | str) else []
    return own + [each for some in prefetches for each in mentioned(some.query, some.prefetch or [])]


def ask(world: World, names: Any, **query: Any) -> None:
    told, ids = dict(query), mentioned(query["query"], query["prefetch"])
    if ids:
        given = [query["query_filter"]] if query["query_filter"] else []
        told["query_filter"] = models.Filter(must=given, must_not=[models.HasIdCondition(has_id=ids)])
    expected = world.local.query_points("c", **told).points
    for client in world.clients:
        for name in names:
            same(client.query_points(name, **query).points, expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_trees_of_searches_and_fusions_are_answered_as_local_mode_does(world: World, seed: int) -> None:
    maker = Maker(seed, world.points)
    similar = seed % 2 == 0
    some = maker.prefetches(2, similar=similar)
    query, using = maker.combining(len(some), similar=similar, last=True)
    flat = is_fusion(query) and not any(each.prefetch for each in some)
    names = list(SHARDS) if flat else ["one"]
    ask(
        world,
        names,
        prefetch=some,
        query=query,
        using=using,
        query_filter=maker.condition(),
        limit=maker.rng.randint(1, 20),
        offset=maker.rng.choice((0, 0, 3)),
    )


@pytest.mark.parametrize("query", [models.FusionQuery(fusion=each) for each in models.Fusion])
def test_a_threshold_cuts_fused_scores_and_equal_ones_pass(world: World, query: Any) -> None:
    some = [
        models.Prefetch(query=make_sparse(random.Random(1)), using="words", limit=20),
        models.Prefetch(query=make_vector(random.Random(2)), using="dot", limit=20),
    ]
    for threshold in (0.0, 0.25, 0.5):
        asked = {"query": query, "prefetch": some, "query_filter": None, "score_threshold": threshold}
        ask(world, SHARDS, **asked, using=None, limit=40)


def test_a_payload_key_may_order_what_prefetches_found(world: World) -> None:
    """Local mode orders without them, so it is told what they find."""
    some = models.Prefetch(query=make_vector(random.Random(3)), using="euclid", limit=12)
    found = world.local.query_points("c", some.query, using="euclid", limit=12).points
    ranks = {str(point.id): (point.payload or {})["rank"] for point in found}
    query = models.OrderByQuery(order_by=models.OrderBy(key="rank", direction=models.Direction.DESC))
    for client in world.clients:
        points = client.query_points("one", query, prefetch=some, limit=8).points
        assert [str(point.id) for point in points] == sorted(ranks, key=ranks.__getitem__, reverse=True)[:8]
        assert {point.score for point in points} == {1.0}


def test_a_sample_of_prefetches_is_of_their_points(world: World) -> None:
    some = models.Prefetch(query=make_vector(random.Random(3)), using="cosine", limit=5)
    expected = {str(p.id) for p in world.local.query_points("c", some.query, using="cosine", limit=5).points}
    query = models.SampleQuery(sample=models.Sample.RANDOM)
    for client in world.clients:
        points = client.query_points("one", query, prefetch=some, limit=9).points
        assert {str(point.id) for point in points} == expected


LEAVES = [
    "part",
    "absent",
    "$score",
    "$score[1]",
    {"key": "rank", "range": {"lt": 400}},
    {"should": [{"key": "tag", "match": {"value": "red"}}, {"has_id": [1, 5, 9]}]},
    near("spot"),
    since("since"),
]


@pytest.mark.parametrize("seed", SEEDS)
def test_formulas_are_worth_what_local_mode_says(world: World, seed: int) -> None:
    """All points that have a vector are found, so that the number of shards changes nothing."""
    rng = random.Random(seed)
    some = [
        models.Prefetch(query=make_vector(rng), using=using, limit=1000)
        for using in rng.sample(("cosine", "dot", "euclid"), 2)
    ]
    formula = FormulaMaker(seed, LEAVES).expression(3)
    defaults = {"absent": 0.75, "$score[1]": 0.5}
    asked: dict[str, Any] = {
        "query": models.FormulaQuery(formula=formula, defaults=defaults),
        "prefetch": some,
        "limit": 1000,
    }
    expected = {str(point.id): point.score for point in world.local.query_points("c", **asked).points}
    for client in world.clients:
        for name in SHARDS:
            points = client.query_points(name, **asked).points
            scores = [point.score for point in points]
            assert scores == sorted(scores, reverse=True)
            assert {str(point.id) for point in points} == set(expected)
            told = [expected[str(point.id)] for point in points]
            np.testing.assert_allclose(scores, told, rtol=1e-4, atol=1e-4, err_msg=str(formula))


def test_a_formula_may_stand_below_another_stage(world: World) -> None:
    """Those of the lowest ranks, by a formula, in the order of their vectors."""
    everything = models.Prefetch(query=make_vector(random.Random(2)), using="cosine", limit=1000)
    lowest = models.FormulaQuery(formula={"neg": "rank"})
    boosted = models.Prefetch(prefetch=everything, query=lowest, limit=7, score_threshold=-1000)
    found = world.local.query_points("c", everything.query, using="cosine", limit=1000).points
    ranks = {str(point.id): (point.payload or {})["rank"] for point in found}
    for client in world.clients:
        points = client.query_points(
            "one", make_vector(random.Random(4)), using="cosine", prefetch=boosted
        ).points
        assert {str(point.id) for point in points} == set(sorted(ranks, key=ranks.__getitem__)[:7])


def test_a_threshold_of_a_formula_lets_equal_scores_pass(world: World) -> None:
    some = models.Prefetch(query=make_vector(random.Random(2)), using="cosine", limit=1000)
    query = models.FormulaQuery(formula="rank")
    for client in world.clients:
        for name in SHARDS:
            points = client.query_points(name, query, prefetch=some, limit=1000).points
            middle = points[len(points) // 2].score
            passing = client.query_points(
                name, query, prefetch=some, limit=1000, score_threshold=middle
            ).points
            assert [p.id for p in passing] == [p.id for p in points if p.score >= middle]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"prefetch": [{}]}, "A query is needed to merge the prefetches"),
    (
        {"prefetch": [{"prefetch": [{}]}], "query": {"fusion": "rrf"}},
        "A query is needed to merge the prefetches",
    ),
    ({"query": {"fusion": "rrf"}}, "cannot apply Fusion without prefetches"),
    ({"query": {"rrf": {"weights": [1, 2]}}, "prefetch": [{}]}, "got 2, expected 1"),
    ({"query": {"formula": "$score"}}, "cannot apply Formula without prefetches"),
    (
        {"query": {"formula": "nowhere"}, "prefetch": [{}]},
        "Wrong input: Expected number value for nowhere in the payload and/or in the formula defaults. "
        "Error: No value found in a payload nor defaults",
    ),
    (
        {"query": {"formula": {"ln": {"mult": [0, "rank"]}}}, "prefetch": [{}]},
        "Wrong input: The expression ln(0) produced a non-finite number",
    ),
    ({"query": {"formula": "$other"}, "prefetch": [{}]}, "`$other` in a formula is not a variable"),
    (
        {"query": {"formula": {"exp_decay": {"x": 1, "scale": -1}}}, "prefetch": [{}]},
        "`exp_decay.scale` must be positive, got -1",
    ),
    ({"query": {"formula": 1, "defaults": {"$score": "x"}}, "prefetch": [{}]}, "must be a number"),
    ({"query": {"rrf": {"k": 0}}, "prefetch": [{}]}, "k: value 0 invalid, must be 1 or larger"),
    (
        {"query": {"fusion": "dbsf"}, "prefetch": [{"limit": 0}]},
        "limit: value 0 invalid, must be 1 or larger",
    ),
]


@pytest.mark.parametrize(("body", "text"), WRONG)
def test_what_is_wrong_is_said_over_both(world: World, body: dict[str, Any], text: str) -> None:
    request = models.QueryRequest(**body)
    for client in world.clients:
        with pytest.raises(Exception, match=r".") as told:
            client.query_batch_points("one", [request])
        error: Any = told.value
        assert text in (error.content.decode() if hasattr(error, "content") else error.details())


def test_prefetches_nest_as_deep_as_documented_and_no_deeper(world: World) -> None:
    def nested(depth: int) -> models.Prefetch:
        inner = models.Prefetch(query=make_vector(random.Random(4)), using="dot")
        for _ in range(depth - 1):
            inner = models.Prefetch(prefetch=inner, query=models.FusionQuery(fusion=models.Fusion.RRF))
        return inner

    query = models.FusionQuery(fusion=models.Fusion.RRF)
    for client in world.clients:
        assert client.query_points("six", query, prefetch=nested(64), limit=3).points
        with pytest.raises(Exception, match=r"."):
            client.query_points("six", query, prefetch=nested(65), limit=3)


@pytest.mark.parametrize("using", ["words", "cosine", "euclid", "manhattan", "dot"])
@pytest.mark.parametrize("diversity", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("staged", [False, True], ids=["alone", "staged"])
def test_diverse_points_are_chosen_as_local_mode_does(
    world: World, using: str, diversity: float, staged: bool
) -> None:
    rng = random.Random(f"{using} {diversity}")
    vector = make_sparse(rng) if using == "words" else make_vector(rng)
    query = models.NearestQuery(nearest=vector, mmr=models.Mmr(diversity=diversity, candidates_limit=30))
    some = [models.Prefetch(query=make_vector(rng), using="dot", limit=60)] if staged else None
    asked = {"prefetch": some, "using": using, "limit": 9, "offset": 2}
    expected = world.local.query_points("c", query, **asked).points
    for client in world.clients:
        for name in ["one"] if staged else SHARDS:
            found = client.query_points(name, query, **asked).points
            assert [str(point.id) for point in found] == [str(point.id) for point in expected]
            np.testing.assert_allclose([p.score for p in found], [p.score for p in expected], atol=2e-5)
