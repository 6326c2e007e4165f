"""Jobs whose sources have graphs already: the largest is continued where that loses nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from node.index import GraphParams, set_threads
from node.segments import SealedSegment
from node.segments.building import CompactJob, IndexJob, MergeJob, Source
from node.segments.building.assemble import assemble
from node.segments.building.jobs import AnyJob, GraphResult
from protos.collections import Distance
from tests.node.index import oracle
from tests.node.segments.make import SCHEMA, pack, sealed, vectors

PARAMS = GraphParams(m=8, ef_construct=40)
GRAPHS = {"": PARAMS}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    set_threads(1)


def indexed(path: Path, count: int, *, seed: int = 0, start: int = 0) -> SealedSegment:
    source = sealed(path.with_name(f"{path.name}-plain"), vectors(count, seed=seed), start=start)
    assemble(IndexJob(target=str(path), graphs=GRAPHS, source=Source(str(source.directory))))
    return SealedSegment.open(path)


def source_of(segment: SealedSegment, dead: range = range(0)) -> Source:
    live = np.ones(segment.rows, dtype=np.bool_)
    live[dead] = False
    return Source(str(segment.directory), live=pack(live).tobytes())


def graph_result(job: AnyJob) -> GraphResult:
    (found,) = assemble(job).graphs
    return found


def merged(tmp_path: Path, *sources: Source, graphs: dict[str, GraphParams] = GRAPHS) -> MergeJob:
    return MergeJob(target=str(tmp_path / "t"), graphs=graphs, sources=sources, schemas=(SCHEMA,))


def check_answers(segment: SealedSegment, live: np.ndarray) -> None:
    """Every live row is its own nearest, and no dead one is returned."""
    matrix = segment.dense("")[0]
    rows = np.flatnonzero(live)
    slots, _ = segment.search("", matrix[rows], 1, allowed=pack(live), ef=80)
    assert np.mean(slots[:, 0] == rows + segment.start) >= 0.995
    assert set(slots[:, 0].tolist()) <= set((rows + segment.start).tolist())
    query = vectors(1, seed=99)
    best = np.argsort(-oracle.similarities(Distance.COSINE, query[0], matrix[rows]))[:5]
    found, _ = segment.search("", query, 5, allowed=pack(live), ef=200)
    np.testing.assert_array_equal(np.sort(found[0]), np.sort(rows[best] + segment.start))


def test_a_merge_continues_the_largest_graph(tmp_path: Path) -> None:
    small, large = indexed(tmp_path / "a", 128), indexed(tmp_path / "b", 500, seed=1, start=128)
    plain = sealed(tmp_path / "c", vectors(60, seed=2), start=640)
    sources = (source_of(small), source_of(large), source_of(plain))
    result = graph_result(merged(tmp_path, *sources))
    assert (result.nodes, result.continued) == (688, 500)
    segment = SealedSegment.open(tmp_path / "t")
    assert segment.verify() == []
    live = np.ones(segment.rows, dtype=np.bool_)
    live[628:640] = False  # between the sources
    check_answers(segment, live)


def test_a_few_dead_rows_stay_nodes_and_are_never_returned(tmp_path: Path) -> None:
    large = indexed(tmp_path / "a", 512)
    plain = sealed(tmp_path / "b", vectors(64, seed=1), start=512)
    result = graph_result(merged(tmp_path, source_of(large, range(20, 40)), source_of(plain, range(5))))
    assert (result.nodes, result.continued) == (512 + 59, 512)
    live = np.ones(576, dtype=np.bool_)
    live[20:40] = live[512:517] = False
    check_answers(SealedSegment.open(tmp_path / "t"), live)


def test_a_graph_with_many_dead_rows_is_built_anew(tmp_path: Path) -> None:
    large = indexed(tmp_path / "a", 512)
    plain = sealed(tmp_path / "b", vectors(64, seed=1), start=512)
    result = graph_result(merged(tmp_path, source_of(large, range(100)), source_of(plain)))
    assert (result.nodes, result.continued) == (476, 0)


def test_a_graph_with_other_links_is_built_anew(tmp_path: Path) -> None:
    large = indexed(tmp_path / "a", 512)
    other = {"": GraphParams(m=16, ef_construct=40)}
    assert graph_result(merged(tmp_path, source_of(large), graphs=other)).continued == 0


def test_a_compaction_continues_a_graph_that_lost_nothing(tmp_path: Path) -> None:
    small, large = indexed(tmp_path / "a", 128), indexed(tmp_path / "b", 500, seed=1, start=640)

    def job(name: str, dead: range) -> CompactJob:
        sources = (source_of(small, range(3)), source_of(large, dead))
        return CompactJob(
            target=str(tmp_path / name), graphs=GRAPHS, sources=sources, schemas=(SCHEMA,), start=1280
        )

    result = graph_result(job("t", range(0)))
    assert (result.nodes, result.continued) == (625, 500)
    check_answers(SealedSegment.open(tmp_path / "t"), np.ones(625, dtype=np.bool_))
    assert graph_result(job("u", range(1))).continued == 0  # the node of a row that is gone has no place


def test_a_damaged_graph_is_not_continued(tmp_path: Path) -> None:
    large = indexed(tmp_path / "a", 512)
    plain = sealed(tmp_path / "b", vectors(64, seed=1), start=512)
    path = tmp_path / "a/graph.0.faiss"
    data = bytearray(path.read_bytes())
    data[-100] ^= 1  # FAISS itself would notice links that lead nowhere
    path.write_bytes(data)
    result = graph_result(merged(tmp_path, source_of(large), source_of(plain)))
    assert (result.nodes, result.continued) == (576, 0)
    check_answers(SealedSegment.open(tmp_path / "t"), np.ones(576, dtype=np.bool_))


def test_a_graph_is_continued_again_and_again(tmp_path: Path) -> None:
    segment = indexed(tmp_path / "0", 512)
    for step in range(1, 6):
        plain = sealed(tmp_path / f"plain{step}", vectors(64, seed=step), start=segment.rows)
        sources = (source_of(segment), source_of(plain))
        job = MergeJob(target=str(tmp_path / f"{step}"), graphs=GRAPHS, sources=sources, schemas=(SCHEMA,))
        assert graph_result(job).continued == segment.rows
        segment = SealedSegment.open(tmp_path / f"{step}")
    check_answers(segment, np.ones(832, dtype=np.bool_))
