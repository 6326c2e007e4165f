"""Search within a segment under filters: recall never falls below that without a filter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from node.index import GraphParams, HnswGraph, set_threads
from node.index.distances import normalize
from node.index.hnsw import Best
from node.segments import SealedSegment, planner
from node.segments.building import IndexJob, Source
from node.segments.building.assemble import assemble
from node.segments.dense import FloatArray, VectorsView
from node.segments.hints import Hints
from node.segments.trace import Trace
from protos.collections import Distance
from protos.shard import SegmentPlan, Way
from tests.node.index import oracle
from tests.node.segments.make import pack, sealed, vectors

ROWS, CLUSTERS = 8000, 8
EF = 24  # narrow, so that graphs are preferred in a segment this small


def clustered(rows: int, seed: int) -> npt.NDArray[np.float32]:
    """Eight clusters; row i belongs to i % 8."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(CLUSTERS, 16))
    noise = rng.normal(size=(rows, 16))
    return normalize((centres[np.arange(rows) % CLUSTERS] + 0.7 * noise).astype(np.float32))


MATRIX = clustered(ROWS, 1)
QUERIES = clustered(64, 2)


@pytest.fixture(scope="module")
def segment(tmp_path_factory: pytest.TempPathFactory) -> SealedSegment:
    set_threads(1)
    directory = tmp_path_factory.mktemp("segments")
    source = sealed(directory / "s", MATRIX, start=6400)
    job = IndexJob(
        target=str(directory / "t"), graphs={"": GraphParams(8, 40)}, source=Source(str(source.directory))
    )
    assemble(job)
    return SealedSegment.open(directory / "t")


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Widths of the graph walks that were made."""
    widths: list[int] = []
    original = VectorsView.best_of_walks

    def counted(self: VectorsView, graph: HnswGraph, queries: FloatArray, width: int, *rest: Any) -> Best:
        widths.append(width)
        return original(self, graph, queries, width, *rest)

    monkeypatch.setattr(VectorsView, "best_of_walks", counted)
    return widths


def recall(
    segment: SealedSegment, allowed: npt.NDArray[np.bool_] | None, queries: npt.NDArray[np.float32] = QUERIES
) -> float:
    bits = None if allowed is None else pack(allowed)
    slots, _ = segment.search("", queries, 10, allowed=bits, ef=EF)
    return oracle.recall(slots - segment.start, Distance.COSINE, queries, MATRIX, allowed)


@pytest.mark.parametrize("share", [0.9, 0.5, 0.3])
def test_a_random_filter_costs_no_recall(segment: SealedSegment, walks: list[int], share: float) -> None:
    allowed = np.random.default_rng(4).random(ROWS) < share
    assert recall(segment, allowed) >= recall(segment, None) - 0.005
    assert walks


@pytest.mark.parametrize("kept", [[0], [1, 2], [0, 3, 5, 6], [0, 1, 2, 3, 4, 5, 6]])
def test_a_filter_on_clusters_costs_no_recall(segment: SealedSegment, kept: list[int]) -> None:
    """Most queries are then far from everything that passes, which is what breaks a walk with a bitmap."""
    allowed = np.isin(np.arange(ROWS) % CLUSTERS, kept)
    assert recall(segment, allowed) >= recall(segment, None) - 0.005
    assert recall(segment, allowed, QUERIES[kept[0] :: CLUSTERS]) >= recall(segment, None) - 0.01


def test_queries_away_from_all_that_passes_end_in_exact_scoring(segment: SealedSegment) -> None:
    allowed = np.arange(ROWS) % CLUSTERS < CLUSTERS // 2
    strangers = QUERIES[CLUSTERS - 1 :: CLUSTERS]
    slots, similarities = segment.search("", strangers, 10, allowed=pack(allowed), ef=EF)
    exact = segment.search("", strangers, 10, allowed=pack(allowed), exact=True)
    assert oracle.recall(slots - segment.start, Distance.COSINE, strangers, MATRIX, allowed) >= 0.99
    assert (np.abs(similarities[:, 0] - exact[1][:, 0]) < 1e-6).all()


def test_few_matches_are_scored_exactly(segment: SealedSegment, walks: list[int]) -> None:
    allowed = np.random.default_rng(5).random(ROWS) < 0.03
    assert recall(segment, allowed) == 1.0
    assert not walks


def test_exact_search_uses_no_graph(segment: SealedSegment, walks: list[int]) -> None:
    slots, _ = segment.search("", QUERIES, 10, exact=True)
    assert not walks
    assert oracle.recall(slots - segment.start, Distance.COSINE, QUERIES, MATRIX) == 1.0


def test_all_rows_allowed_is_an_unfiltered_search(segment: SealedSegment) -> None:
    free = segment.search("", QUERIES, 10, ef=EF)
    for count in (None, ROWS):
        bits = pack(np.ones(ROWS, dtype=np.bool_))
        same = segment.search("", QUERIES, 10, allowed=bits, allowed_count=count, ef=EF)
        assert free[0].tobytes() == same[0].tobytes()


def test_a_wider_walk_finds_more(segment: SealedSegment) -> None:
    narrow, _ = segment.search("", QUERIES, 10, ef=20)
    wide, _ = segment.search("", QUERIES, 10, ef=200)
    found = [oracle.recall(x - segment.start, Distance.COSINE, QUERIES, MATRIX) for x in (narrow, wide)]
    assert found[0] <= found[1]
    assert found[1] >= 0.99


def test_a_batch_gives_what_single_searches_give(segment: SealedSegment) -> None:
    allowed = pack(np.random.default_rng(4).random(ROWS) < 0.4)
    slots, similarities = segment.search("", QUERIES, 10, allowed=allowed, ef=EF)
    for i in range(8):
        alone = segment.search("", QUERIES[i : i + 1], 10, allowed=allowed, ef=EF)
        np.testing.assert_array_equal(alone[0][0], slots[i])
        np.testing.assert_array_equal(alone[1][0], similarities[i])


@pytest.mark.parametrize("exact", [True, False])
def test_fewer_matches_than_wanted_are_all_returned(segment: SealedSegment, *, exact: bool) -> None:
    allowed = np.zeros(ROWS, dtype=np.bool_)
    allowed[[5, 900, 7999]] = True
    slots, _ = segment.search("", QUERIES[:2], 10, allowed=pack(allowed), exact=exact)
    assert slots.shape == (2, 3)
    assert sorted(slots[0].tolist()) == [6405, 7300, 14399]
    nothing = np.zeros(ROWS // 8, dtype=np.uint8)
    assert segment.search("", QUERIES[:2], 10, allowed=nothing, exact=exact)[0].shape == (2, 0)


def test_bits_past_the_last_row_are_ignored(tmp_path: Path) -> None:
    small = sealed(tmp_path / "s", vectors(13))
    slots, _ = small.search("", vectors(1), 64, allowed=np.full(8, 255, dtype=np.uint8))
    assert sorted(slots[0].tolist()) == list(range(13))


def test_an_unknown_name_finds_nothing(segment: SealedSegment) -> None:
    assert segment.search("other", QUERIES, 3)[0].shape == (64, 0)
    assert segment.graph("other") is None
    assert segment.vector(6400, "other") is None


def test_parts_of_a_graph_that_cannot_be_reached_are_scored_exactly(
    segment: SealedSegment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(self: HnswGraph, queries: FloatArray, ef: int, count: int, *_: Any) -> npt.NDArray[np.int64]:
        found = np.full((len(queries), count), -1, dtype=np.int64)
        found[:, :3] = 0, 1, 2
        return found

    monkeypatch.setattr(HnswGraph, "candidates", short)
    monkeypatch.setattr(HnswGraph, "best", lambda *_: None)
    assert recall(segment, None) == 1.0
    assert recall(segment, np.random.default_rng(4).random(ROWS) < 0.5) == 1.0


@pytest.mark.parametrize("share", [None, 0.9, 0.5])
def test_one_call_finds_what_walking_and_scoring_find(
    segment: SealedSegment, monkeypatch: pytest.MonkeyPatch, share: float | None
) -> None:
    """With and without a filter: the same rows, and the same bits of their scores."""
    allowed = None if share is None else pack(np.random.default_rng(4).random(ROWS) < share)
    slots, scores = segment.search("", QUERIES, 10, allowed=allowed, ef=EF)
    monkeypatch.setattr(HnswGraph, "best", lambda *_: None)
    wanted = segment.search("", QUERIES, 10, allowed=allowed, ef=EF)
    np.testing.assert_array_equal(slots, wanted[0])
    np.testing.assert_array_equal(scores.view(np.int32), wanted[1].view(np.int32))


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("share", [0.01, 0.05])
def test_what_a_strict_filter_leaves_is_compared_by_its_codes(
    segment: SealedSegment, share: float, listed: bool
) -> None:
    """No walk, and the scores, bit for bit, that exact scoring gives."""
    rows, trace = np.flatnonzero(np.random.default_rng(4).random(ROWS) < share), Trace()
    allowed = pack(np.isin(np.arange(ROWS), rows))
    hints = Hints(rows if listed else None, trace=trace)
    found = segment.search("", QUERIES, 10, allowed=None if listed else allowed, ef=EF, hints=hints)
    assert [step.way for step in trace.steps] == [Way.CODES]
    assert trace.steps[0].scored == 24 * len(QUERIES)
    wanted = segment.search("", QUERIES, 10, allowed=allowed, exact=True)
    np.testing.assert_array_equal(found[0], wanted[0])
    np.testing.assert_array_equal(found[1].view(np.int32), wanted[1].view(np.int32))


def test_queries_beyond_the_codes_range_are_compared_with_codes_as_floats(segment: SealedSegment) -> None:
    allowed, trace = pack(np.random.default_rng(4).random(ROWS) < 0.02), Trace()
    far = QUERIES[:1] * np.float32(100)
    found = segment.search("", far, 10, allowed=allowed, ef=EF, hints=Hints(trace=trace))
    assert [step.way for step in trace.steps] == [Way.CODES]
    np.testing.assert_array_equal(found[0], segment.search("", far, 10, allowed=allowed, exact=True)[0])


def test_the_walk_never_gets_wider_than_exact_scoring_is_dear() -> None:
    """Whatever is seen, the widening ends: each width grows, and past a bound exact scoring is cheaper."""
    for allowed in (5_000, 100_000, 10_000_000):
        width, steps = planner.first_width(100, 14, 10_000_000, allowed), 0
        while not planner.exact_is_cheaper(width, allowed):
            wider = planner.next_width(width, 100, 14, 37)
            assert wider > width
            width, steps = wider, steps + 1
        assert steps < 200


def test_many_wanted_under_a_filter_are_all_found(segment: SealedSegment) -> None:
    """A ball of the walk is not full before it holds as many as are wanted."""
    allowed = np.random.default_rng(4).random(ROWS) < 0.9
    slots, _ = segment.search("", QUERIES, 150, allowed=pack(allowed), ef=EF)
    assert (slots >= 0).all()


@pytest.mark.parametrize("share", [0.001, 0.02, 0.4])
def test_listed_and_counted_rows_give_what_their_bits_give(segment: SealedSegment, share: float) -> None:
    allowed = np.random.default_rng(6).random(ROWS) < share
    by_bits = segment.search("", QUERIES, 10, allowed=pack(allowed), ef=EF)
    by_rows = segment.search("", QUERIES, 10, hints=Hints(np.flatnonzero(allowed)), ef=EF)
    counted = Hints(count=int(allowed.sum()))
    by_counted_bits = segment.search("", QUERIES, 10, allowed=pack(allowed), hints=counted, ef=EF)
    for found in (by_rows, by_counted_bits):
        np.testing.assert_array_equal(by_bits[0], found[0])
        np.testing.assert_array_equal(by_bits[1], found[1])


def test_a_full_scan_threshold_keeps_filters_from_the_graph(segment: SealedSegment, walks: list[int]) -> None:
    allowed = pack(np.random.default_rng(4).random(ROWS) < 0.5)
    size = ROWS * MATRIX.shape[1] * 4
    segment.search("", QUERIES, 10, allowed=allowed, ef=EF, hints=Hints(full_scan_bytes=size))
    assert not walks
    segment.search("", QUERIES, 10, allowed=allowed, ef=EF, hints=Hints(full_scan_bytes=size // 4))
    assert walks


def test_a_trace_tells_which_ways_were_taken(segment: SealedSegment) -> None:
    def ways(share: float) -> list[SegmentPlan]:
        trace = Trace()
        allowed = pack(np.random.default_rng(4).random(ROWS) < share)
        segment.search("", QUERIES, 10, allowed=allowed, ef=EF, hints=Hints(trace=trace))
        return trace.steps

    (rare,) = ways(0.002)
    assert (rare.way, rare.queries, rare.scored) == (Way.ROWS, 64, 64 * rare.matching)
    assert 5 < rare.matching < 32
    (few,) = ways(0.02)
    assert (few.way, few.queries, few.scored) == (Way.CODES, 64, 64 * 24)
    assert 80 < few.matching < 320
    common, *rest = ways(0.5)
    assert common.way is Way.WIDENED
    assert common.queries + sum(step.queries for step in rest) == 64
    assert common.width > EF
    (every,) = ways(1.1)
    assert (every.way, every.matching, every.segment) == (Way.GRAPH, ROWS, segment.id)
    assert every.micros > 0
