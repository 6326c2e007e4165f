"""Reads over the real store, segments and payload indexes agree with a scan of everything in Python."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from node import bits
from node.filter.check import compile_check
from node.filter.columns import Columns
from node.index.distances import normalize
from node.query import count, retrieve, scroll, search
from node.replica.view import View
from node.segments import GrowingSegment, VectorSchema
from node.storage.points import PointStore
from node.storage.records import pack_record
from protos.collections import (
    CollectionConfig,
    CollectionParams,
    Distance,
    PayloadSchemaType,
    VectorParams,
    default_index_params,
)
from protos.filters import FieldCondition, Filter, HasVector, MatchAny, MatchValue, Range
from protos.ids import PointId, id_key
from protos.shard import Projection, ScrollRequest, SearchParams, SearchRequest

DIM = 8
PER_SEGMENT = 128
COLOURS = ["red", "green", "blue"]


class Point(NamedTuple):
    id: int
    payload: dict[str, Any]
    vector: np.ndarray | None


class Built(NamedTuple):
    view: View
    points: dict[int, Point]


@pytest.fixture(scope="module", params=list(Distance), ids=lambda distance: distance.value)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """384 slots in three segments; ids repeat, so earlier slots are dead; some points lack the vector."""
    directory = tmp_path_factory.mktemp("real")
    rng = np.random.default_rng(5)
    store = PointStore.open(directory / "points.mdb", readers=4)
    columns = Columns()
    columns.install(columns.built("n", default_index_params(PayloadSchemaType("integer")), ()))
    points: dict[int, Point] = {}
    live: dict[int, int] = {}
    segments = []
    for start in range(0, 3 * PER_SEGMENT, PER_SEGMENT):
        written = [_random_point(rng, slot) for slot in range(start, start + PER_SEGMENT)]
        for slot, point in enumerate(written, start):
            _store(store, columns, live, slot, point)
            points[point.id] = point
        segments.append(_segment(directory, request.param, start, written))
        if start == PER_SEGMENT:
            store.freeze()
            store.checkpoint(b"")
    params = CollectionParams({"": VectorParams(DIM, request.param)})
    packed = bits.pack(np.array(sorted(live.values())), 3 * PER_SEGMENT // 8)
    view = View(0, store.view(), packed, tuple(segments), columns.view(), CollectionConfig(params))
    yield Built(view, points)
    store.close()


def _random_point(rng: np.random.Generator, slot: int) -> Point:
    payload = {"n": int(rng.integers(20)), "colour": COLOURS[int(rng.integers(3))]}
    vector = None if rng.random() < 0.1 else rng.standard_normal(DIM).astype(np.float32)
    return Point(int(rng.integers(300)), payload, vector)


def _store(store: PointStore, columns: Columns, live: dict[int, int], slot: int, point: Point) -> None:
    key = id_key(point.id)
    with store.change() as batch:
        batch.put(key, slot, pack_record(slot, key, json.dumps(point.payload).encode()))
    if point.id in live:
        columns.remove([live[point.id]])
    columns.put([slot], [point.payload])
    live[point.id] = slot


def _segment(directory: Path, distance: Distance, start: int, written: list[Point]) -> Any:
    growing = GrowingSegment.create(
        directory / str(start), start, PER_SEGMENT, [VectorSchema("", DIM, distance)]
    )
    zero = np.zeros(DIM, dtype=np.float32)
    matrix = np.stack([zero if point.vector is None else point.vector for point in written])
    present = np.array([point.vector is not None for point in written])
    growing.append(
        {"": (normalize(matrix) if distance is Distance.COSINE else matrix, present)}, len(written)
    )
    return growing.view()


FILTERS = {
    "none": None,
    "indexed": Filter(must=(FieldCondition("n", (Range(lt=5),)),)),
    "unindexed": Filter(must=(FieldCondition("colour", (MatchValue("red"),)),)),
    "mixed": Filter(
        must=(FieldCondition("n", (Range(gte=3),)),),
        must_not=(FieldCondition("colour", (MatchAny(("red", "blue")),)),),
    ),
    "either": Filter(
        should=(
            FieldCondition("n", (MatchValue(7),)),
            Filter(must=(FieldCondition("colour", (MatchValue("green"),)),), must_not=(HasVector(""),)),
        )
    ),
}


def _matching(built: Built, filter: Filter | None) -> list[Point]:
    """By ascending id."""
    if filter is None:
        return sorted(built.points.values(), key=lambda point: point.id)
    check = compile_check(filter)
    return [
        point
        for _, point in sorted(built.points.items())
        if check(point.id, point.payload, () if point.vector is None else ("",))
    ]


def _client_score(distance: Distance, query: np.ndarray, vector: np.ndarray) -> float:
    if distance is Distance.EUCLID:
        return float(np.linalg.norm(query - vector))
    if distance is Distance.MANHATTAN:
        return float(np.abs(query - vector).sum())
    product = float(query @ vector)
    if distance is Distance.COSINE:
        product /= float(np.linalg.norm(query) * np.linalg.norm(vector))
    return product


@pytest.mark.parametrize("filter", FILTERS.values(), ids=FILTERS.keys())
@pytest.mark.parametrize("limit", [1, 10, 400])
def test_search_finds_what_a_scan_finds(built: Built, filter: Filter | None, limit: int):
    distance = built.view.config.vectors[""].distance
    query = np.linspace(-1, 1, DIM, dtype=np.float32)
    scores: dict[PointId, float] = {
        point.id: _client_score(distance, query, point.vector)
        for point in _matching(built, filter)
        if point.vector is not None
    }
    descending = distance in (Distance.COSINE, Distance.DOT)
    expected = sorted(scores, key=lambda point_id: scores[point_id], reverse=descending)[:limit]
    for params in (SearchParams(), SearchParams(exact=True)):
        (hits,) = search(built.view, [SearchRequest("", query, limit, filter, params)])
        assert [record.id for record in hits.records] == expected
        np.testing.assert_allclose(hits.scores, [scores[i] for i in expected], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("filter", FILTERS.values(), ids=FILTERS.keys())
def test_scroll_and_count_agree_with_a_scan(built: Built, filter: Filter | None):
    expected = [point.id for point in _matching(built, filter)]
    assert [record.id for record in scroll(built.view, ScrollRequest(limit=1000, filter=filter))] == expected
    assert [r.id for r in scroll(built.view, ScrollRequest(limit=7, filter=filter, offset=100))] == [
        point_id for point_id in expected if point_id >= 100
    ][:7]
    assert count(built.view, filter, exact=True) == len(expected)


def test_retrieve_gives_the_last_version_of_each_point(built: Built):
    some = list(built.points)[:50]
    found = retrieve(built.view, some, Projection(payload=True, vectors=True))
    assert [record.id for record in found] == some
    for record, point in zip(found, (built.points[i] for i in some), strict=True):
        assert json.loads(record.payload) == point.payload
        assert set(record.vectors) == (set() if point.vector is None else {""})
