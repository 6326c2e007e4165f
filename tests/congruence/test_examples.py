"""Queries by examples are answered as Qdrant's engine answers them: every strategy, metric and kind of
vector, over both protocols and whatever the number of shards.

The engine knows vectors alone, so it is given those that points have, and told to leave the points out. It
has no average, for which qdrant-client's local mode is asked. A threshold on a metric where the smaller is
better cuts by shard, with Qdrant as with us, so that it is compared on one shard.
"""

from __future__ import annotations

import json
import random
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
import qdrant_edge as edge
from msgspec import Struct
from qdrant_client import QdrantClient, models

from tests.congruence.kinds_judge import KindsJudge, engine_vector
from tests.congruence.server import examples, serving_nodes
from tests.congruence.test_protocols import over_grpc
from tests.congruence.vector_kinds import (
    KINDS,
    SERVED,
    Json,
    Kind,
    Vector,
    dense_params,
    for_client,
    make_points,
    make_vector,
    sparse_params,
)
from tests.live import LiveNode

POINTS = 240
SHARDS = {"one": 1, "six": 6}
JUDGED = {**SERVED, "sparse_idf": KINDS["sparse_idf"]}
STRATEGIES = ("best_score", "sum_scores", "discover", "context", "feedback")
SEEDS = range(examples(6, least=2))


class Given(Struct):
    """One example: a vector, that of ``point`` if there is one."""

    vector: Vector
    point: int | None = None

    @property
    def for_client(self) -> Any:
        return for_client(self.vector) if self.point is None else self.point


class World:
    def __init__(self, nodes: list[LiveNode], judge: KindsJudge) -> None:
        self.judge, self.local = judge, QdrantClient(":memory:")
        rest = QdrantClient(url=nodes[0].url, timeout=60, check_compatibility=False)
        self.node, self.clients = nodes[0], [rest, over_grpc(QdrantClient, nodes[-1])]
        self.points = make_points(range(1, POINTS + 1), 7, JUDGED)
        dense = {kind.name: dense_params(kind) for kind in JUDGED.values() if kind.shape != "sparse"}
        sparse = {kind.name: sparse_params(kind) for kind in JUDGED.values() if kind.shape == "sparse"}
        made = [models.PointStruct(**{**p, "vector": _vectors(p["vector"])}) for p in self.points]
        for client, name, shards in [
            (self.local, "local", None),
            *((rest, *each) for each in SHARDS.items()),
        ]:
            client.create_collection(
                name, vectors_config=dense, sparse_vectors_config=sparse, shard_number=shards
            )
            client.upsert(name, made, wait=True)
        judge.upsert(self.points)
        self.stored = judge.vectors([point["id"] for point in self.points])

    def close(self) -> None:
        for client in (*self.clients, self.local):
            client.close()
        self.judge.close()

    def having(self, name: str, count: int) -> list[int]:
        """The first points with such a vector."""
        return [number for number, named in self.stored.items() if name in named][:count]

    def given(self, kind: Kind, rng: random.Random) -> Given:
        if rng.random() < 0.5:
            return Given(make_vector(kind, rng))
        point = rng.choice([number for number, named in self.stored.items() if kind.name in named])
        return Given(self.stored[point][kind.name], point)


def _vectors(named: dict[str, Vector]) -> dict[str, Any]:
    return {name: for_client(vector) for name, vector in named.items()}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("examples")
    with serving_nodes(directory / "ours") as nodes:
        found = World(nodes, KindsJudge(directory / "engine", JUDGED))
        yield found
        found.close()


class Asked(Struct):
    """The same question for a client and for the engine, and the points that are examples in it."""

    query: Any
    engine: Callable[[str], Any]
    points: list[int]


def ask(world: World, kind: Kind, strategy: str, rng: random.Random) -> Asked:
    some = [world.given(kind, rng) for _ in range(rng.randint(1, 3))]
    pairs = [(world.given(kind, rng), world.given(kind, rng)) for _ in range(rng.randint(1, 3))]
    target = world.given(kind, rng)
    if strategy in ("best_score", "sum_scores"):
        against = [one for one, _ in pairs[: rng.randint(0, 2)]]
        query, made = _recommend(strategy, some, against)
        used = some + against
    elif strategy == "feedback":
        query, made = _feedback(target, some + [one for one, _ in pairs], rng)
        used = [target, *some, *(one for one, _ in pairs)]
    else:
        query, made = _with_pairs(target if strategy == "discover" else None, pairs)
        used = [each for pair in pairs for each in pair] + ([target] if strategy == "discover" else [])
    return Asked(query, made, [each.point for each in used if each.point is not None])


def _recommend(strategy: str, positive: list[Given], negative: list[Given]) -> tuple[Any, Any]:
    body = models.RecommendInput(
        positive=[each.for_client for each in positive],
        negative=[each.for_client for each in negative],
        strategy=models.RecommendStrategy(strategy),
    )
    theirs = edge.RecommendQuery(
        *([engine_vector(each.vector) for each in side] for side in (positive, negative))
    )
    made = edge.Query.RecommendBestScore if strategy == "best_score" else edge.Query.RecommendSumScores
    return models.RecommendQuery(recommend=body), lambda using: made(theirs, using=using)


def _with_pairs(target: Given | None, pairs: list[tuple[Given, Given]]) -> tuple[Any, Any]:
    ours = [models.ContextPair(positive=one.for_client, negative=other.for_client) for one, other in pairs]
    theirs = [
        edge.ContextPair(engine_vector(one.vector), engine_vector(other.vector)) for one, other in pairs
    ]
    if target is None:
        return models.ContextQuery(context=ours), lambda using: edge.Query.Context(
            edge.ContextQuery(theirs), using=using
        )
    body = models.DiscoverInput(target=target.for_client, context=ours)
    query = edge.DiscoverQuery(engine_vector(target.vector), theirs)
    return models.DiscoverQuery(discover=body), lambda using: edge.Query.Discover(query, using=using)


def _feedback(target: Given, judged: list[Given], rng: random.Random) -> tuple[Any, Any]:
    scores = [round(rng.random(), 2) for _ in judged]
    a, b, c = round(rng.uniform(0, 2), 2), rng.choice((0.0, 1.0, 2.5)), round(rng.uniform(-1, 1), 2)
    body = models.RelevanceFeedbackInput(
        target=target.for_client,
        feedback=[
            models.FeedbackItem(example=each.for_client, score=score) for each, score in zip(judged, scores)
        ],
        strategy=models.NaiveFeedbackStrategy(naive=models.NaiveFeedbackStrategyParams(a=a, b=b, c=c)),
    )
    theirs = edge.FeedbackNaiveQuery(
        engine_vector(target.vector),
        [edge.FeedbackItem(engine_vector(each.vector), score) for each, score in zip(judged, scores)],
        edge.NaiveFeedbackStrategy(a, b, c),
    )
    query = models.RelevanceFeedbackQuery(relevance_feedback=body)
    return query, lambda using: edge.Query.FeedbackNaive(theirs, using=using)


def same(found: list[Any], expected: list[tuple[int, float]], scores: dict[int, float]) -> None:
    """Equal scores, by points that have them: those of next to equal scores may change places."""
    assert [hit.score for hit in found] == pytest.approx([score for _, score in expected], rel=2e-4, abs=2e-5)
    for hit in found:
        assert hit.score == pytest.approx(scores[hit.id], rel=2e-4, abs=2e-5)
    assert len({hit.id for hit in found}) == len(found)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", JUDGED)
def test_points_are_rated_as_by_the_engine(world: World, name: str, strategy: str, seed: int) -> None:
    rng, kind = random.Random(f"{name} {strategy} {seed}"), JUDGED[name]
    asked = ask(world, kind, strategy, rng)
    below = rng.choice((None, 5))
    theirs = asked.engine(name)
    every = world.judge.rated(theirs, POINTS, below=below, without=asked.points)
    limit, scores = rng.randint(1, 12), dict(every)
    wanted = models.Filter(must=[models.FieldCondition(key="n", range=models.Range(lt=below))])
    for collection in SHARDS:
        for client in world.clients:
            found = client.query_points(
                collection, query=asked.query, using=name, limit=limit, query_filter=wanted if below else None
            )
            same(found.points, every[:limit], scores)
    score = rng.choice(every)[1]
    threshold = score + max(0.003, abs(score) / 1000)  # not one of the scores themselves
    cut = world.judge.rated(theirs, limit, below=below, without=asked.points, threshold=threshold)
    alike = kind.shape == "sparse" or kind.distance in ("Cosine", "Dot")
    for collection in SHARDS if alike else ("one",):
        found = world.clients[seed % 2].query_points(
            collection,
            query=asked.query,
            using=name,
            limit=limit,
            query_filter=wanted if below else None,
            score_threshold=threshold,
        )
        same(found.points, cut, scores)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "name", [name for name, kind in SERVED.items() if kind.shape != "multi" and kind.datatype == "float32"]
)
def test_averages_are_searched_by_as_by_local_mode(world: World, name: str, seed: int) -> None:
    rng, kind = random.Random(f"average {name} {seed}"), JUDGED[name]
    positive = [world.given(kind, rng).for_client for _ in range(rng.randint(1, 3))]
    negative = [world.given(kind, rng).for_client for _ in range(rng.randint(0, 2))]
    query = models.RecommendQuery(recommend=models.RecommendInput(positive=positive, negative=negative))
    every = world.local.query_points("local", query=query, using=name, limit=POINTS).points
    expected = [(int(hit.id), hit.score) for hit in every]
    for collection in SHARDS:
        for client in world.clients:
            found = client.query_points(collection, query=query, using=name, limit=7)
            same(found.points, expected[:7], dict(expected))


@pytest.mark.parametrize("collection", SHARDS)
def test_old_clients_get_what_new_ones_get(world: World, collection: str) -> None:
    """The endpoints and methods that newer clients no longer call."""
    rest, (one, two, three) = world.clients[0], world.having("dot_float32", 3)
    recommend = models.RecommendInput(
        positive=[one, two], negative=[three], strategy=models.RecommendStrategy.BEST_SCORE
    )
    new = rest.query_points(
        collection, query=models.RecommendQuery(recommend=recommend), using="dot_float32", limit=5
    )
    expected = [(hit.id, pytest.approx(hit.score)) for hit in new.points]
    body = {
        "positive": [one, two],
        "negative": [three],
        "strategy": "best_score",
        "using": "dot_float32",
        "limit": 5,
    }
    assert _plain(_post(world.node, f"{collection}/points/recommend", body)) == expected
    batch = _post(world.node, f"{collection}/points/recommend/batch", {"searches": [body, body]})
    assert [_plain(points) for points in batch] == [expected, expected]
    pairs = [models.ContextPair(positive=one, negative=three)]
    discover = models.DiscoverQuery(discover=models.DiscoverInput(target=two, context=pairs))
    new = rest.query_points(collection, query=discover, using="dot_float32", limit=5)
    expected = [(hit.id, pytest.approx(hit.score)) for hit in new.points]
    body = {
        "target": two,
        "context": [{"positive": one, "negative": three}],
        "using": "dot_float32",
        "limit": 5,
    }
    assert _plain(_post(world.node, f"{collection}/points/discover", body)) == expected
    assert (
        _plain(_post(world.node, f"{collection}/points/discover/batch", {"searches": [body]})[0]) == expected
    )


@pytest.mark.parametrize("collection", SHARDS)
def test_old_clients_get_the_same_over_grpc(world: World, collection: str) -> None:
    from qdrant_client import grpc as wire

    one, two, three = world.having("dot_float32", 3)

    def ids(*numbers: int) -> list[Any]:
        return [wire.PointId(num=number) for number in numbers]

    with grpc.insecure_channel(f"127.0.0.1:{world.node.grpc_port}") as channel:
        points = wire.PointsStub(channel)
        common = {"collection_name": collection, "using": "dot_float32", "limit": 5}
        recommend = wire.RecommendPoints(
            positive=ids(one, two), negative=ids(three), strategy=wire.RecommendStrategy.BestScore, **common
        )
        body = {
            "positive": [one, two],
            "negative": [three],
            "strategy": "best_score",
            "using": "dot_float32",
            "limit": 5,
        }
        expected = _plain(_post(world.node, f"{collection}/points/recommend", body))
        assert _of_wire(points.Recommend(recommend).result) == expected
        several = wire.RecommendBatchPoints(
            collection_name=collection, recommend_points=[recommend, recommend]
        )
        assert [_of_wire(each.result) for each in points.RecommendBatch(several).result] == [expected] * 2
        grouped = wire.RecommendPointGroups(
            positive=ids(one, two),
            negative=ids(three),
            strategy=wire.RecommendStrategy.BestScore,
            group_by="n",
            group_size=2,
            **common,
        )
        groups = points.RecommendGroups(grouped).result.groups
        theirs = _post(
            world.node, f"{collection}/points/recommend/groups", {**body, "group_by": "n", "group_size": 2}
        )["groups"]
        assert [_of_wire(group.hits) for group in groups] == [_plain(group["hits"]) for group in theirs]
        pair = wire.ContextExamplePair(
            positive=wire.VectorExample(id=ids(one)[0]), negative=wire.VectorExample(id=ids(three)[0])
        )
        target = wire.TargetVector(single=wire.VectorExample(id=ids(two)[0]))
        discover = wire.DiscoverPoints(target=target, context=[pair], **common)
        body = {
            "target": two,
            "context": [{"positive": one, "negative": three}],
            "using": "dot_float32",
            "limit": 5,
        }
        expected = _plain(_post(world.node, f"{collection}/points/discover", body))
        assert _of_wire(points.Discover(discover).result) == expected
        several = wire.DiscoverBatchPoints(collection_name=collection, discover_points=[discover])
        assert _of_wire(points.DiscoverBatch(several).result[0].result) == expected


def _post(node: LiveNode, path: str, body: Json) -> Any:
    request = urllib.request.Request(
        f"{node.url}/collections/{path}", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["result"]


def _plain(points: list[Json]) -> list[tuple[int, Any]]:
    return [(point["id"], pytest.approx(point["score"])) for point in points]


def _of_wire(points: Any) -> list[tuple[int, Any]]:
    return [(point.id.num, pytest.approx(point.score)) for point in points]
