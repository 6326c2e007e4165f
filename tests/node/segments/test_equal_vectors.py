"""Recall does not depend on how many vectors are equal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from node.index import GraphParams, Quantization, set_threads
from node.index.quantization import Kind
from node.segments import SealedSegment
from node.segments.building import CompactJob, IndexJob, MergeJob, Source
from node.segments.building.assemble import assemble
from node.segments.encoding import encoded
from node.segments.hints import Hints
from node.segments.schema import VectorSchema
from node.segments.trace import Trace
from node.segments.values import ValueGraphParams, ValueGroup
from protos.collections import Datatype, Distance
from protos.shard import QuantizationSearchParams, Way
from tests.node.segments.make import SCHEMA, FloatArray, pack, sealed, vectors

ROWS, K, EF = 6000, 10, 32
PARAMS = GraphParams(m=16, ef_construct=64)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    set_threads(1)


def crowded(crowds: dict[int, int], rows: int = ROWS, seed: int = 0) -> tuple[FloatArray, np.ndarray]:
    """Vectors, ``crowds[n]`` times n of which are equal, in any order; and the rows that equal no other."""
    matrix = vectors(rows, seed=seed)
    order = np.random.default_rng(seed + 1).permutation(rows)
    taken = 0
    for size, times in crowds.items():
        for _ in range(times):
            matrix[order[taken : taken + size]] = matrix[order[taken]]
            taken += size
    return matrix, np.sort(order[taken:])


def indexed(
    folder: Path, matrix: FloatArray, schema: VectorSchema = SCHEMA, params: GraphParams = PARAMS
) -> SealedSegment:
    source = sealed(folder / "s", matrix, schema=schema)
    graphs = {schema.name: params}
    assemble(IndexJob(target=str(folder / "t"), graphs=graphs, source=Source(str(source.directory))))
    return SealedSegment.open(folder / "t")


def recall(
    segment: SealedSegment, queries: FloatArray, live: np.ndarray | None = None, **more: object
) -> float:
    """Of scores that exact search finds, as equal rows may stand for each other; a graph must be used."""
    trace = Trace()
    mask = None if live is None else pack(live)
    hints = Hints(trace=trace, values=(("tenant", "a"),) if more.pop("by_value", False) else ())
    found, scores = segment.search("", queries, K, allowed=mask, ef=EF, hints=hints, **more)  # type: ignore[arg-type]
    _, best = segment.search("", queries, K, allowed=mask, ef=None, exact=True)
    assert {step.way for step in trace.steps} & {Way.GRAPH, Way.WIDENED, Way.VALUE_GRAPH}
    for slots in found:
        kept = slots[slots >= 0]
        assert len(set(kept.tolist())) == len(kept) == K
        assert live is None or live[kept - segment.start].all()
    return float(np.mean(scores >= best[:, -1:]))


CROWDS = {
    "none": {},
    "one of nine in ten": {ROWS * 9 // 10: 1},
    "one of a quarter": {ROWS // 4: 1},
    "six": {ROWS // 24: 6},
    "a hundred": {30: 100},
    "pairs": {2: ROWS // 4},
}


@pytest.mark.parametrize("name", CROWDS)
def test_others_are_found_among_many_equal_ones(tmp_path: Path, name: str) -> None:
    matrix, others = crowded(CROWDS[name])
    segment = indexed(tmp_path, matrix)
    assert segment.verify() == []
    queries = matrix[others[:100]] + 0.1 * vectors(100, seed=7)
    assert recall(segment, queries) >= 0.97
    entry = segment.manifest.vectors[0].graph
    assert entry is not None
    assert entry.has_twins == (name not in ("none", "pairs"))


def test_equal_ones_are_all_found_lowest_first(tmp_path: Path) -> None:
    matrix, _ = crowded({3000: 1})
    segment = indexed(tmp_path, matrix)
    values, counts = np.unique(matrix, axis=0, return_counts=True)
    equal = np.flatnonzero((matrix == values[counts.argmax()]).all(axis=1))
    found, scores = segment.search("", matrix[equal[:1]], 100, ef=128)
    assert found[0].tolist() == equal[:100].tolist()
    assert len(set(scores[0].tolist())) == 1


@pytest.mark.parametrize("left", ["all", "no head", "most"])
@pytest.mark.parametrize("crowds", [{2000: 2, 40: 40}, {1200: 5}])
@pytest.mark.parametrize("k", [K, 80])
def test_the_shortest_way_finds_the_same(tmp_path: Path, left: str, crowds: dict[int, int], k: int) -> None:
    """Also where there are fewer nodes than rows are wanted."""
    matrix, others = crowded(crowds)
    segment = indexed(tmp_path, matrix)
    twins = segment.graph("").twins  # type: ignore[union-attr]
    assert twins is not None
    live = np.ones(ROWS, dtype=np.bool_)
    if left == "no head":
        live[twins.heads] = False
    elif left == "most":
        live = np.random.default_rng(3).random(ROWS) < 0.7
    queries = np.concatenate([matrix[others[:40]], matrix[twins.members[::60]]])
    admitted = {"allowed": None if left == "all" else pack(live)}
    count = int(np.count_nonzero(live))
    walk = segment.plain_search("", k, **admitted, allowed_count=count, ef=64, quantization=None)
    assert walk is not None
    compared, trace = 0, Trace()
    for query in queries:
        found = walk.find(query[np.newaxis])
        if found is not None:
            rows, scores = segment.search(
                "", query[np.newaxis], k, **admitted, ef=64, hints=Hints(trace=trace)
            )
            np.testing.assert_array_equal(found[0], rows)
            np.testing.assert_array_equal(found[1], scores)
            compared += 1
    assert compared >= 0.9 * len(queries)
    assert sum(step.queries for step in trace.steps if step.way is Way.ROWS) <= 0.1 * len(queries)


@pytest.mark.parametrize("left", ["no head", "one of a crowd", "half"])
def test_a_filter_may_leave_any_of_them(tmp_path: Path, left: str) -> None:
    matrix, others = crowded({500: 6})
    segment = indexed(tmp_path, matrix)
    twins = segment.graph("").twins  # type: ignore[union-attr]
    assert twins is not None
    live = np.ones(ROWS, dtype=np.bool_)
    if left == "no head":
        live[twins.heads] = False
    elif left == "one of a crowd":
        live[twins.heads] = live[twins.members] = False
        live[twins.members[::499]] = True
    else:
        live = np.random.default_rng(3).random(ROWS) < 0.5
    queries = np.concatenate([matrix[others[:60]], matrix[twins.members[::100]]])
    assert recall(segment, queries + 0.05 * vectors(len(queries), seed=8), live) >= 0.97


def test_more_may_be_asked_for_than_there_are_nodes(tmp_path: Path) -> None:
    matrix, _ = crowded({600: 10})
    segment = indexed(tmp_path, matrix)
    assert segment.graph("").count == 10  # type: ignore[union-attr]
    found, scores = segment.search("", vectors(3, seed=5), 50, ef=60)
    _, best = segment.search("", vectors(3, seed=5), 50, exact=True, ef=None)
    np.testing.assert_array_equal(scores, best)
    assert all(len(set(slots.tolist())) == 50 for slots in found)


@pytest.mark.parametrize("what", ["zeros", "one vector"])
def test_all_may_be_equal(tmp_path: Path, what: str) -> None:
    matrix = (
        np.zeros((ROWS, 16), dtype=np.float32) if what == "zeros" else np.repeat(vectors(1), ROWS, axis=0)
    )
    segment = indexed(tmp_path, matrix)
    assert segment.graph("").count == 1  # type: ignore[union-attr]
    live = np.random.default_rng(1).random(ROWS) < 0.5
    for mask, expected in ((None, np.arange(K)), (pack(live), np.flatnonzero(live)[:K])):
        found, scores = segment.search("", vectors(2, seed=5), K, allowed=mask, ef=EF)
        assert [slots.tolist() for slots in found] == [expected.tolist()] * 2
        assert all(len(set(each.tolist())) == 1 for each in scores)


@pytest.mark.parametrize("datatype", [Datatype.FLOAT16, Datatype.UINT8, Datatype.TURBO4])
def test_whatever_vectors_are_stored_as(tmp_path: Path, datatype: Datatype) -> None:
    schema = VectorSchema("", 16, Distance.EUCLID, datatype=datatype)
    matrix, others = crowded({5000: 1})
    matrix = matrix * 60 + 100 if datatype is Datatype.UINT8 else matrix
    segment = indexed(tmp_path, encoded(matrix, schema), schema)
    assert segment.graph("").count < 1100  # type: ignore[union-attr]
    queries = matrix[others[:50]].astype(np.float32)
    assert recall(segment, queries) >= 0.95


def test_codes_that_are_not_scored_again_count_for_twins_too(tmp_path: Path) -> None:
    params = GraphParams(16, 64, Quantization(Kind.SCALAR))
    matrix, others = crowded({5000: 1})
    segment = indexed(tmp_path, matrix, params=params)
    asked = QuantizationSearchParams(rescore=False)
    found, scores = segment.search("", matrix[others[:50]], K, ef=EF, quantization=asked)
    assert np.mean(found[:, 0] == others[:50]) >= 0.97
    assert (np.diff(scores, axis=1) <= 0).all()


def test_a_merge_finds_equal_ones_over_its_sources_and_a_compaction_drops_dead_ones(tmp_path: Path) -> None:
    """The larger graph is continued; equal rows of the smaller one become twins of its nodes."""
    matrix, others = crowded({5000: 1})
    parts = {}
    for name, first, end in (("a", 0, 4032), ("b", 4032, ROWS)):
        source = sealed(tmp_path / f"{name}s", matrix[first:end], start=first)
        job = IndexJob(target=str(tmp_path / name), graphs={"": PARAMS}, source=Source(str(source.directory)))
        assemble(job)
        parts[name] = SealedSegment.open(tmp_path / name)
    sources = tuple(Source(str(part.directory)) for part in parts.values())
    merge = MergeJob(target=str(tmp_path / "m"), graphs={"": PARAMS}, sources=sources, schemas=(SCHEMA,))
    (result,) = assemble(merge).graphs
    assert result.continued == parts["a"].graph("").count  # type: ignore[union-attr]
    merged = SealedSegment.open(tmp_path / "m")
    assert merged.graph("").covered == ROWS  # type: ignore[union-attr]
    assert merged.graph("").count == 1001  # type: ignore[union-attr]
    queries = matrix[others[:100]]
    assert recall(merged, queries) >= 0.97

    live = np.ones(ROWS, dtype=np.bool_)
    live[merged.graph("").twins.heads] = False  # type: ignore[union-attr]
    live[others[::2]] = False
    again = CompactJob(
        target=str(tmp_path / "c"),
        graphs={"": PARAMS},
        sources=(Source(str(merged.directory), live=pack(live).tobytes()),),
        schemas=(SCHEMA,),
        start=0,
    )
    assemble(again)
    compacted = SealedSegment.open(tmp_path / "c")
    assert compacted.graph("").covered == np.count_nonzero(live)  # type: ignore[union-attr]
    assert recall(compacted, queries) >= 0.97


def test_graphs_of_values_have_twins_of_their_own(tmp_path: Path) -> None:
    matrix, others = crowded({4000: 1})
    source = sealed(tmp_path / "s", matrix)
    owned = np.arange(0, ROWS, 2)
    job = IndexJob(
        target=str(tmp_path / "t"),
        graphs={},
        source=Source(str(source.directory)),
        value_graphs={"": ValueGraphParams(PARAMS, ("tenant",), rows_min=50)},
        groups=(ValueGroup("tenant", "a", owned.astype("<u4").tobytes()),),
    )
    assemble(job)
    segment = SealedSegment.open(tmp_path / "t")
    assert segment.verify() == []
    live = np.zeros(ROWS, dtype=np.bool_)
    live[owned] = True
    mine = others[others % 2 == 0][:100]
    queries = matrix[mine] + 0.05 * vectors(len(mine), seed=4)
    assert recall(segment, queries, live, by_value=True) >= 0.97
    live[owned[::3]] = False
    assert recall(segment, queries, live, by_value=True) >= 0.97
