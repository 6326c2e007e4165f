"""Rating by examples over real segments with graphs: what walks find is what scoring every row finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest

from node.filter.columns import Columns
from node.index.distances import normalize
from node.query import search
from node.query.examples import best
from node.replica.view import View
from node.segments import VectorSchema
from node.storage.points import PointStore
from node.storage.records import pack_record
from protos.collections import CollectionConfig, CollectionParams, Distance, VectorParams
from protos.examples import BestScore, Context, Discovery, Examples, Pair, WeightedSum
from protos.filters import FieldCondition, Filter, MatchValue
from protos.ids import id_key
from protos.shard import FloatArray, Hits, SearchParams, SearchRequest, Way
from tests.node.query import naive_examples
from tests.node.segments.make import graphed

ROWS, DIM = 12_000, 12
MOST = Filter(must_not=(FieldCondition("group", (MatchValue(0),)),))


class Built(NamedTuple):
    view: View
    matrix: FloatArray
    distance: Distance


@pytest.fixture(scope="module", params=list(Distance), ids=lambda distance: distance.value)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """Every third point is of group 0; payloads are not indexed."""
    directory = tmp_path_factory.mktemp("walked")
    distance: Distance = request.param
    matrix = np.random.default_rng(3).normal(size=(ROWS, DIM)).astype(np.float32)
    if distance is Distance.COSINE:
        matrix = normalize(matrix)
    segment = graphed(directory, matrix, schema=VectorSchema("", DIM, distance))
    store = PointStore.open(directory / "points.mdb", readers=4)
    with store.change() as batch:
        for slot in range(ROWS):
            key = id_key(slot)
            batch.put(key, slot, pack_record(slot, key, b'{"group":%d}' % (slot % 3)))
    config = CollectionConfig(CollectionParams({"": VectorParams(DIM, distance)}))
    live = np.packbits(np.ones(ROWS, dtype=np.bool_), bitorder="little")
    yield Built(View(0, store.view(), live, (segment,), Columns().view(), config), matrix, distance)
    store.close()


def row(seed: int) -> FloatArray:
    return np.random.default_rng(seed).normal(size=DIM).astype(np.float32)


EXAMPLES: dict[str, Examples] = {
    "a positive": BestScore((row(1),)),
    "positives and negatives": BestScore((row(1), row(2), row(3)), (row(4), row(5))),
    "negatives": BestScore((), (row(4), row(5))),
    "sum": WeightedSum((row(1), row(2), row(3), row(4)), (1.0, 1.0, 1.0, -1.0)),
    "sum of less": WeightedSum((row(1), row(4), row(5)), (1.0, -1.0, -1.0)),
    "feedback": WeightedSum((row(1), row(2), row(3)), (1.0, 0.5, -0.5)),
    "target": Discovery(row(1)),
    "discovery": Discovery(row(1), (Pair(row(2), row(3)), Pair(row(4), row(5)))),
    "context": Context((Pair(row(2), row(3)), Pair(row(4), row(5)))),
}
WALKED = {
    Distance.COSINE: {"a positive", "positives and negatives", "sum", "sum of less", "feedback", "target"},
    Distance.EUCLID: {"a positive", "positives and negatives", "sum", "feedback", "target"},
    Distance.MANHATTAN: {"a positive", "positives and negatives", "target"},
}
WALKED[Distance.DOT] = WALKED[Distance.COSINE]


def rated(built: Built, examples: Examples, **more: Any) -> Hits:
    (hits,) = search(built.view, [SearchRequest("", None, 10, examples=examples, explain=True, **more)])
    return hits


def expected(built: Built, examples: Examples, rows: Sequence[int]) -> dict[int, float]:
    def similarity(vector: FloatArray, example: Any) -> float:
        if built.distance is Distance.COSINE:
            example = normalize(example[np.newaxis])[0]
        if built.distance is Distance.EUCLID:
            return -float(np.square(vector - example).sum())
        if built.distance is Distance.MANHATTAN:
            return -float(np.abs(vector - example).sum())
        return float(vector @ example)

    def scored(vector: FloatArray) -> float:
        return naive_examples.score(examples, lambda example: similarity(vector, example))

    return {i: scored(built.matrix[i]) for i in rows}


@pytest.mark.parametrize("examples", EXAMPLES.values(), ids=EXAMPLES.keys())
@pytest.mark.parametrize("exact", [False, True], ids=["walked", "exact"])
def test_the_best_are_found(built: Built, examples: Examples, exact: bool) -> None:
    hits = rated(built, examples, params=SearchParams(exact=exact))
    scores = expected(built, examples, range(ROWS))
    best_scores = sorted(scores.values(), reverse=True)[:10]
    assert hits.scores.tolist() == pytest.approx(best_scores, rel=1e-4, abs=1e-4)
    for record, score in zip(hits.records, hits.scores.tolist(), strict=True):
        assert isinstance(record.id, int)
        assert score == pytest.approx(scores[record.id], rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("name", EXAMPLES)
def test_graphs_are_walked_where_the_best_are_near_the_examples(built: Built, name: str) -> None:
    plan = rated(built, EXAMPLES[name]).plan
    assert plan is not None
    scored = sum(step.scored for step in plan.steps if step.way is Way.ROWS)
    walks = [step for step in plan.steps if step.way is Way.GRAPH]
    assert bool(walks) == (name in WALKED[built.distance] or (name == "discovery" and bool(walks)))
    if walks and name != "discovery":
        assert scored < ROWS  # and not every row afterwards


@pytest.mark.parametrize("name", ["positives and negatives", "sum", "context"])
def test_payloads_are_checked_where_no_index_tells(built: Built, name: str) -> None:
    hits = rated(built, EXAMPLES[name], filter=MOST)
    scores = expected(built, EXAMPLES[name], [i for i in range(ROWS) if i % 3])
    assert {record.id for record in hits.records} <= set(scores)
    assert hits.scores.tolist() == pytest.approx(
        sorted(scores.values(), reverse=True)[:10], rel=1e-4, abs=1e-4
    )


def test_a_threshold_compares_as_the_metric_does(built: Built) -> None:
    """On distances that is the wrong way round for these scores, as it is with Qdrant."""
    examples = BestScore((row(1),))
    scores = rated(built, examples).scores
    kept = rated(built, examples, score_threshold=float(scores[4])).scores
    if built.distance in (Distance.COSINE, Distance.DOT):
        assert kept.tolist() == scores[:4].tolist()
    else:
        assert not len(kept)
        assert rated(built, examples, score_threshold=2.0).scores.tolist() == scores.tolist()


def test_points_of_one_score_are_ordered_by_id_the_larger_first(built: Built) -> None:
    hits = rated(built, Context(()))
    assert hits.scores.tolist() == [0.0] * 10
    ids = [record.id for record in hits.records]
    assert ids == sorted(ids, reverse=True)


def test_ties_at_the_edge_are_all_kept() -> None:
    slots, scores = np.arange(6, dtype=np.int64), np.array([1, 3, 2, 2, 2, 0], dtype=np.float32)
    found = best(slots, scores, 2)
    assert found[0].tolist() == [1, 2, 3, 4]
    assert found[1].tolist() == [3, 2, 2, 2]
