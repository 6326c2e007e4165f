"""Plain searches by the shortest way find what all others would, to the bit, and are told apart from them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from node.bits import Slots
from node.filter.columns import Columns
from node.hardware import counted
from node.index.distances import normalize
from node.query import plain, search
from node.query.plain import plain_hits, quick_hits
from node.replica.view import View
from node.segments import SegmentView, VectorSchema
from node.storage.points import PointStore, PointsView
from node.storage.records import pack_record
from protos.collections import CollectionConfig, CollectionParams, Distance, VectorParams
from protos.errors import BadInput
from protos.filters import FieldCondition, Filter, HasId, MatchValue
from protos.hardware import HardwareUsage
from protos.ids import id_key
from protos.shard import FloatArray, Hits, PayloadSelector, Projection, SearchParams, SearchRequest
from tests.node.segments.make import graphed, sealed

ROWS, REST, DIM = 2432, 320, 128
TOTAL = 2 * ROWS + 64 + REST
UUID = "c0ffee00-0000-4000-8000-%012x"
DISTANCES = [Distance.COSINE, Distance.EUCLID, Distance.DOT]


@pytest.fixture(scope="module", params=DISTANCES, ids=lambda distance: distance.value)
def view(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[View]:
    """Segments: a graph of all rows; one of which every fifth is dead, too; rows without a graph."""
    directory, distance = tmp_path_factory.mktemp("plain"), request.param
    schema = VectorSchema("", DIM, distance)
    matrix = rows_of(distance, TOTAL)
    second, third = ROWS + 64 & ~63, 2 * ROWS + 64
    segments: list[SegmentView] = [
        graphed(directory / "a", matrix[:ROWS], schema=schema),
        graphed(directory / "b", matrix[second : second + ROWS], schema=schema, start=second),
        sealed(directory / "c", matrix[third:], schema=schema, start=third & ~63),
    ]
    live = np.zeros(segments[2].start + REST, dtype=np.bool_)
    for segment in segments:
        live[segment.start : segment.start + segment.rows] = True
    live[second : second + ROWS : 5] = False
    store = PointStore.open(directory / "points.mdb", readers=4)
    with store.change() as batch:
        for slot in np.flatnonzero(live).tolist():
            key = id_key(slot if slot % 2 else UUID % slot)
            batch.put(key, slot, pack_record(slot + 1000, key, b'{"slot":%d}' % slot))
    store.freeze()
    store.checkpoint(b"")
    with store.change() as batch:  # above what is stored
        batch.replace_record(7, pack_record(5, id_key(7), b"{}"))
    config = CollectionConfig(CollectionParams({"": VectorParams(DIM, distance)}))
    bits = np.packbits(live, bitorder="little")
    yield View(0, store.view(), bits, tuple(segments), Columns().view(), config)
    store.close()


def rows_of(distance: Distance, count: int) -> FloatArray:
    """Of which eight are the same."""
    matrix = np.random.default_rng(3).normal(size=(count, DIM)).astype(np.float32)
    matrix[100:108] = matrix[100]
    return normalize(matrix) if distance is Distance.COSINE else matrix


def queries(count: int) -> list[FloatArray]:
    return list(np.random.default_rng(8).normal(size=(count, DIM)).astype(np.float32))


def tagged(value: str) -> FieldCondition:
    """Without a payload index, so that payloads have to be read."""
    return FieldCondition("tag", (MatchValue(value),))


def among(share: float) -> Filter:
    """Of all points about so many, some of which are not live."""
    rng = np.random.default_rng(1)
    slots = np.flatnonzero(rng.random(TOTAL) < share).tolist()
    return Filter(must=(HasId(tuple(slot if slot % 2 else UUID % slot for slot in slots)),))


def otherwise(view: View, requests: list[SearchRequest]) -> list[Hits]:
    """By the ways that serve everything."""
    with pytest.MonkeyPatch.context() as patch:
        module = import_module("node.query.search")  # ``node.query.search`` is the function
        patch.setattr(module, "plain_hits", lambda _, asked: [None] * len(asked))
        return [search(view, [request])[0] for request in requests]


def assert_same(found: list[Hits], wanted: list[Hits]) -> None:
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.records == theirs.records
        np.testing.assert_array_equal(ours.scores, theirs.scores)
        assert ours.scores.dtype == theirs.scores.dtype


@pytest.mark.parametrize("params", [SearchParams(), SearchParams(hnsw_ef=24), SearchParams(exact=True)])
@pytest.mark.parametrize("limit", [1, 10, 50])
@pytest.mark.parametrize("payload", [False, True, PayloadSelector(include=("slot",))])
def test_it_finds_what_other_ways_find(
    view: View, params: SearchParams, limit: int, payload: bool | PayloadSelector
) -> None:
    projection = Projection(payload=payload)
    requests = [SearchRequest("", query, limit, params=params, projection=projection) for query in queries(5)]
    wanted = otherwise(view, requests)
    assert_same([hits for one in requests if (hits := plain_hits(view, [one])[0])], wanted)
    assert_same([hits for hits in plain_hits(view, requests) if hits], wanted)
    assert_same(search(view, requests), wanted)


@pytest.mark.parametrize("share", [0.0, 0.002, 0.05, 0.6, 0.95])
def test_it_finds_what_other_ways_find_under_a_filter(view: View, share: float) -> None:
    """By listed rows, codes and walks; one request at a time and several, for the first time and again."""
    wanted_by = among(share)
    requests = [SearchRequest("", query, 10, filter=wanted_by) for query in queries(5)]
    wanted = otherwise(view, requests)
    for _ in range(2):
        found = [hits for one in requests if (hits := plain_hits(view, [one])[0])]
        assert_same(found, wanted) if found else None
        assert len(found) == (0 if share == 0 else len(requests))
        assert_same(search(view, requests), wanted)


def test_filters_are_told_apart_by_all_that_they_say(view: View) -> None:
    """1 and true are equal to Python; and other parameters are other searches."""
    one, other = (Filter(must=(HasId((id_,)),)) for id_ in (5, 7))
    asked = [SearchRequest("", queries(1)[0], 3, filter=each) for each in (one, other, one)]
    assert [[r.id for r in search(view, [each])[0].records] for each in asked] == [[5], [7], [5]]


def test_filters_are_remembered_within_bounds(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = View(0, view.points, view.live, view.segments, view.columns, view.config)
    monkeypatch.setattr(plain, "_FILTERED_MAX", 2)
    asked = [
        SearchRequest("", queries(1)[0], 3, filter=Filter(must=(HasId((slot,)),))) for slot in (1, 3, 5, 7)
    ]
    for request in asked:
        assert [record.id for record in search(fresh, [request])[0].records] == [
            next(iter(request.filter.must[0].ids))  # type: ignore[index,union-attr]
        ]
    assert len(plain._filtered(fresh)._found) <= 2
    monkeypatch.setattr(plain, "_FILTERED_BYTES_MAX", 0)
    assert len(search(fresh, [SearchRequest("", queries(1)[0], 3, filter=among(0.5))])[0].records) == 3
    assert not plain._filtered(fresh)._found


def test_graphs_over_integers_are_walked_once(view: View) -> None:
    wanted = view.segments[0].schemas[0].distance is not Distance.DOT
    for segment, live in ((view.segments[0], ROWS), (view.segments[1], ROWS * 4 // 5)):
        bits = view.live[segment.start >> 3 :]
        walk = segment.plain_search("", 14, allowed=bits, allowed_count=live, ef=None, quantization=None)
        assert (walk is not None) == wanted


def test_equal_scores_at_the_edge_are_left_to_other_ways(view: View) -> None:
    same = view.segments[0].vector(100, "")
    assert same is not None
    request = SearchRequest("", same, 3)
    assert plain_hits(view, [request]) == [None]
    assert_same(search(view, [request]), otherwise(view, [request]))
    whole = SearchRequest("", same, 6)  # all eight are among the ten that are looked at
    (hits,) = plain_hits(view, [whole])
    assert hits is not None
    assert_same([hits], otherwise(view, [whole]))
    several = [request, SearchRequest("", queries(1)[0], 3)]
    assert [hits is None for hits in plain_hits(view, several)] == [True, False]
    assert_same(search(view, several), otherwise(view, several))


def test_only_what_is_known_to_be_little_work_is_answered_at_once(view: View) -> None:
    segment, request = view.segments[0], SearchRequest("", queries(1)[0], 10)
    live = np.packbits(np.ones(ROWS, dtype=np.bool_), bitorder="little")
    fresh = View(0, view.points, live, (segment,), Columns().view(), view.config)
    assert quick_hits(fresh, request) is None  # nothing is known of the view yet
    (wanted,) = search(fresh, [request])
    found = quick_hits(fresh, request)
    if segment.schemas[0].distance is Distance.DOT:  # FAISS walks it
        assert found is None
        return
    assert found is not None
    assert_same([found], [wanted])
    for more in (
        msgspec.structs.replace(request, params=SearchParams(hnsw_ef=600)),
        msgspec.structs.replace(request, params=SearchParams(exact=True)),
        msgspec.structs.replace(request, score_threshold=-9.0),
        msgspec.structs.replace(request, projection=Projection(vectors=True)),
        msgspec.structs.replace(request, projection=Projection(payload=PayloadSelector(include=("slot",)))),
    ):
        search(fresh, [more])
        assert quick_hits(fresh, more) is None
    search(view, [request])
    assert quick_hits(view, request) is None  # one of its segments has no graph


def test_vectors_may_be_asked_for(view: View) -> None:
    requests = [SearchRequest("", queries(1)[0], 3, projection=Projection(vectors=True))]
    (hits,), (wanted,) = plain_hits(view, requests), otherwise(view, requests)
    assert hits is not None
    for ours, theirs in zip(hits.records, wanted.records, strict=True):
        assert ours.id == theirs.id
        np.testing.assert_array_equal(ours.vectors[""], theirs.vectors[""])  # type: ignore[index]


@pytest.mark.parametrize(
    "request_",
    [
        SearchRequest("", queries(1)[0], 10, filter=Filter(must=(tagged("any"),))),
        SearchRequest("", queries(1)[0], 10, score_threshold=0.0),
        SearchRequest("", queries(1)[0], 10, explain=True),
        SearchRequest("", queries(1)[0].astype(np.float64), 10),
        SearchRequest("", queries(1)[0] * np.float32(np.nan), 10),
        SearchRequest("", queries(1)[0], 0),
    ],
)
def test_what_is_not_plain_is_left_to_other_ways(view: View, request_: SearchRequest) -> None:
    assert plain_hits(view, [request_]) == [None]
    found, wanted = search(view, [request_]), otherwise(view, [request_])
    assert [hits.records for hits in found] == [hits.records for hits in wanted]


@pytest.mark.parametrize("query", [np.repeat(queries(1)[0], 2)[::2], queries(1)[0] * np.float32(1e37)])
def test_vectors_of_any_length_that_lie_anyhow_are_taken(view: View, query: FloatArray) -> None:
    request = SearchRequest("", query, 10)
    found, wanted = search(view, [request]), otherwise(view, [request])
    assert [hits.records for hits in found] == [hits.records for hits in wanted]


def test_requests_of_several_kinds_are_left_to_other_ways(view: View) -> None:
    requests = [SearchRequest("", query, limit) for limit, query in zip((3, 4), queries(2), strict=True)]
    assert plain_hits(view, requests) == [None, None]
    assert_same(search(view, requests), otherwise(view, requests))


def test_a_batch_is_read_from_the_store_at_once(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, points = [], PointsView.points

    def counted_points(self: PointsView, slots: Slots, make: Any, *, payloads: bool) -> Any:
        looks.append(slots.size)
        return points(self, slots, make, payloads=payloads)

    monkeypatch.setattr(PointsView, "points", counted_points)
    requests = [SearchRequest("", query, 3) for query in queries(5)]
    assert None not in plain_hits(view, requests)
    assert looks == [15]
    with_payload = msgspec.structs.replace(requests[1], projection=Projection(payload=True))
    found = plain_hits(view, [requests[0], with_payload])
    assert looks == [15, 3, 3]
    assert_same([hits for hits in found if hits], otherwise(view, [requests[0], with_payload]))


def test_what_is_measured_is_left_to_ways_that_measure(view: View) -> None:
    request, usage = (
        SearchRequest("", queries(1)[0], 10, projection=Projection(payload=True)),
        HardwareUsage(),
    )
    assert counted(usage, plain_hits, view, [request]) == [None]
    assert_same(counted(usage, search, view, [request]), otherwise(view, [request]))
    assert usage.vector_io_read > 0
    assert usage.payload_io_read > 0


def test_errors_are_told_as_ever(view: View) -> None:
    for wrong in (SearchRequest("other", queries(1)[0], 3), SearchRequest("", queries(1)[0][:-1], 3)):
        with pytest.raises(BadInput):
            search(view, [wrong])


def test_one_view_remembers_what_it_is_of(view: View, tmp_path: Path) -> None:
    """Another view of other segments is not answered with these."""
    schema = view.segments[0].schemas[0]
    segment = sealed(tmp_path / "s", rows_of(schema.distance, 128)[:64], schema=schema)
    request = SearchRequest("", queries(1)[0], 10)
    search(view, [request])
    live = np.full(8, 255, dtype=np.uint8)
    other = View(0, view.points, live, (segment,), Columns().view(), view.config)
    assert {record.version for record in search(other, [request])[0].records} <= {5, *range(1000, 1064)}
