"""Index, merge and compact jobs, carried out in this process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from node.index import Code, GraphParams, set_threads
from node.segments import BuildTooLarge, GrowingSegment, SealedSegment, VectorSchema, old_slots, seal
from node.segments.building import CompactJob, IndexJob, MergeJob, Source
from node.segments.building.assemble import assemble
from protos.collections import Distance
from tests.node.index import oracle
from tests.node.segments.make import SCHEMA, pack, sealed, vectors

PARAMS = GraphParams(m=8, ef_construct=40)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    set_threads(1)


def test_indexing_adds_a_graph_and_shares_the_vectors(tmp_path: Path) -> None:
    source = sealed(tmp_path / "s", vectors(500), start=192)
    job = IndexJob(target=str(tmp_path / "t"), graphs={"": PARAMS}, source=Source(str(source.directory)))
    result = assemble(job)
    assert (result.start, result.rows) == (192, 500)
    (graph_result,) = result.graphs
    assert (graph_result.code, graph_result.nodes) == (Code.INTEGER_8BIT, 500)
    segment = SealedSegment.open(tmp_path / "t")
    graph = segment.graph("")
    assert graph is not None
    assert (graph.count, graph.params) == (500, PARAMS)
    assert (tmp_path / "s/vectors.0.f32").samefile(tmp_path / "t/vectors.0.f32")
    assert source.graph("") is None
    assert not (tmp_path / "t.tmp").exists()


def test_dead_rows_stay_out_of_the_graph(tmp_path: Path) -> None:
    source = sealed(tmp_path / "s", vectors(300))
    live = np.arange(300) % 3 != 0
    part = Source(str(source.directory), live=pack(live).tobytes())
    assemble(IndexJob(target=str(tmp_path / "t"), graphs={"": PARAMS}, source=part))
    graph = SealedSegment.open(tmp_path / "t").graph("")
    assert graph is not None
    assert graph.rows is not None
    np.testing.assert_array_equal(graph.rows, np.flatnonzero(live))


def test_nothing_live_gives_no_graph(tmp_path: Path) -> None:
    source = sealed(tmp_path / "s", vectors(100))
    part = Source(str(source.directory), live=bytes(13))
    assemble(IndexJob(target=str(tmp_path / "t"), graphs={"": PARAMS}, source=part))
    assert SealedSegment.open(tmp_path / "t").graph("") is None


def test_merged_segments_keep_their_slots_and_the_gap_is_empty(tmp_path: Path) -> None:
    first = sealed(tmp_path / "a", vectors(100), start=64)
    second = sealed(tmp_path / "b", vectors(90, seed=1), start=192)
    sources = (Source(str(first.directory)), Source(str(second.directory)))
    assemble(MergeJob(target=str(tmp_path / "t"), graphs={"": PARAMS}, sources=sources, schemas=(SCHEMA,)))
    merged = SealedSegment.open(tmp_path / "t")
    assert (merged.start, merged.rows) == (64, 218)
    for source in (first, second):
        for slot in (source.start, source.start + source.rows - 1):
            np.testing.assert_array_equal(merged.vector(slot, ""), source.vector(slot, ""))
    assert merged.vector(170, "") is None
    graph = merged.graph("")
    assert graph is not None
    assert graph.count == 190
    assert merged.verify() == []


def test_merging_follows_the_names_the_collection_has_now(tmp_path: Path) -> None:
    """One source predates the name ``new``, ``old`` is gone, ``other`` was made again with another size."""
    before = [VectorSchema("old", 3, Distance.DOT), VectorSchema("other", 4, Distance.DOT)]
    after = [VectorSchema("other", 5, Distance.DOT), VectorSchema("new", 2, Distance.DOT)]
    growing = GrowingSegment.create(tmp_path / "a", 0, 64, before)
    growing.append({"old": (vectors(64, 3), None), "other": (vectors(64, 4), None)}, 64)
    first = seal(growing)
    growing = GrowingSegment.create(tmp_path / "b", 64, 64, after)
    growing.append({"other": (vectors(10, 5), None), "new": (vectors(10, 2), None)}, 10)
    second = seal(growing)
    sources = (Source(str(first.directory)), Source(str(second.directory)))
    assemble(MergeJob(target=str(tmp_path / "t"), sources=sources, schemas=tuple(after)))
    merged = SealedSegment.open(tmp_path / "t")
    assert merged.names == ("other", "new")
    assert merged.vector(5, "other") is None
    np.testing.assert_array_equal(merged.vector(69, "other"), vectors(10, 5)[5])
    np.testing.assert_array_equal(merged.vector(69, "new"), vectors(10, 2)[5])


def test_a_removed_name_does_not_come_back_when_it_is_made_again(tmp_path: Path) -> None:
    schemas = (VectorSchema("a", 3, Distance.DOT), VectorSchema("b", 3, Distance.DOT))
    growing = GrowingSegment.create(tmp_path / "s", 0, 64, schemas)
    growing.append({"a": (vectors(64, 3), None), "b": (vectors(64, 3, seed=1), None)}, 64)
    source = Source(str(seal(growing).directory), hidden=("a",))
    assemble(MergeJob(target=str(tmp_path / "m"), sources=(source,), schemas=schemas))
    merged = SealedSegment.open(tmp_path / "m")
    assert merged.vector(5, "a") is None
    np.testing.assert_array_equal(merged.vector(5, "b"), vectors(64, 3, seed=1)[5])
    assemble(IndexJob(target=str(tmp_path / "i"), graphs={"b": PARAMS}, source=source))
    indexed = SealedSegment.open(tmp_path / "i")
    assert indexed.names == ("b",)
    np.testing.assert_array_equal(indexed.dense("b")[0], vectors(64, 3, seed=1))
    assert indexed.verify() == []


def test_overlapping_sources_are_refused(tmp_path: Path) -> None:
    first = sealed(tmp_path / "a", vectors(100))
    second = sealed(tmp_path / "b", vectors(100), start=64)
    sources = (Source(str(first.directory)), Source(str(second.directory)))
    with pytest.raises(AssertionError):
        assemble(MergeJob(target=str(tmp_path / "t"), sources=sources, schemas=(SCHEMA,)))
    assert not (tmp_path / "t").exists()


def test_compaction_moves_live_rows_together_and_tells_where_they_were(tmp_path: Path) -> None:
    first = sealed(tmp_path / "a", vectors(100), start=64)
    second = sealed(tmp_path / "b", vectors(90, seed=1), start=640)
    alive = np.arange(100) % 4 == 1
    sources = (
        Source(str(first.directory), live=pack(alive).tobytes()),
        Source(str(second.directory)),
    )
    job = CompactJob(
        target=str(tmp_path / "t"), graphs={"": PARAMS}, sources=sources, schemas=(SCHEMA,), start=1280
    )
    result = assemble(job)
    compacted = SealedSegment.open(tmp_path / "t")
    assert (result.start, result.rows) == (compacted.start, compacted.rows) == (1280, 25 + 90)
    expected = [64 + i for i in np.flatnonzero(alive)] + list(range(640, 730))
    np.testing.assert_array_equal(old_slots(compacted), expected)
    np.testing.assert_array_equal(compacted.dense("")[0][:25], vectors(100)[alive])
    np.testing.assert_array_equal(compacted.dense("")[0][25:], vectors(90, seed=1))
    graph = compacted.graph("")
    assert graph is not None
    assert graph.rows is None


def test_a_build_over_its_memory_is_refused(tmp_path: Path) -> None:
    source = sealed(tmp_path / "s", vectors(100))
    job = IndexJob(
        target=str(tmp_path / "t"),
        graphs={"": PARAMS},
        source=Source(str(source.directory)),
        memory_bytes=1_000_000,
    )
    with pytest.raises(BuildTooLarge) as caught:
        assemble(job)
    assert caught.value.needed > caught.value.limit == 1_000_000
    assert not (tmp_path / "t").exists()


@pytest.mark.slow
@pytest.mark.parametrize("distance", list(Distance))
def test_an_indexed_segment_finds_the_true_neighbours(tmp_path: Path, distance: Distance) -> None:
    schema = VectorSchema("v", 16, distance)
    matrix = vectors(6000)
    source = sealed(tmp_path / "s", matrix, schema=schema)
    assemble(
        IndexJob(
            target=str(tmp_path / "t"), graphs={"v": GraphParams()}, source=Source(str(source.directory))
        )
    )
    segment = SealedSegment.open(tmp_path / "t")
    queries = vectors(50, seed=9)
    slots, similarities = segment.search("v", queries, 10)
    assert oracle.recall(slots, distance, queries, matrix) >= 0.98
    exact_slots, exact = segment.search("v", queries, 10, exact=True)
    same = slots == exact_slots
    assert (similarities[same] == exact[same]).all(), "both ways give a row the same score"


def test_a_collection_without_vectors_can_be_merged_and_compacted(tmp_path: Path) -> None:
    growing = GrowingSegment.create(tmp_path / "s", 0, 64, [])
    growing.append({}, 40)
    source = Source(str(seal(growing).directory), live=pack(np.arange(40) < 3).tobytes())
    assemble(MergeJob(target=str(tmp_path / "m"), sources=(source,), schemas=()))
    assert SealedSegment.open(tmp_path / "m").rows == 40
    assemble(CompactJob(target=str(tmp_path / "c"), sources=(source,), schemas=(), start=64))
    assert old_slots(SealedSegment.open(tmp_path / "c")).tolist() == [0, 1, 2]


def test_compacting_nothing_live_makes_an_empty_segment(tmp_path: Path) -> None:
    source = Source(str(sealed(tmp_path / "s", vectors(20)).directory), live=bytes(3))
    job = CompactJob(
        target=str(tmp_path / "t"), graphs={"": PARAMS}, sources=(source,), schemas=(SCHEMA,), start=0
    )
    assert assemble(job).rows == 0
    assert SealedSegment.open(tmp_path / "t").verify() == []


def test_compaction_lays_rows_out_in_the_order_asked_for(tmp_path: Path) -> None:
    first, second = (
        sealed(tmp_path / "a", vectors(200), 64),
        sealed(tmp_path / "b", vectors(100, seed=1), 512),
    )
    live = np.arange(200) % 4 != 0
    order = np.random.default_rng(0).permutation(200)
    job = CompactJob(
        target=str(tmp_path / "t"),
        start=1024,
        schemas=(SCHEMA,),
        graphs={"": PARAMS},
        sources=(
            Source(str(first.directory), live=pack(live).tobytes(), order=order.astype("<u4").tobytes()),
            Source(str(second.directory)),
        ),
    )
    assemble(job)
    compacted = SealedSegment.open(tmp_path / "t")
    expected = np.concatenate([order[live[order]] + 64, np.arange(512, 612)])
    np.testing.assert_array_equal(old_slots(compacted), expected)
    sources = {64: first, 512: second}
    for row, slot in enumerate(expected.tolist()):
        source = sources[64 if slot < 512 else 512]
        np.testing.assert_array_equal(compacted.vector(1024 + row, ""), source.vector(slot, ""))
    best, _ = compacted.search("", vectors(1, seed=1), 1)
    assert best.tolist() == [[1024 + 150]]
