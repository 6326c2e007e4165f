"""Sparse vectors in segments: whatever their inverted index leaves out is never among the best."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node import bits
from node.index import SparseIndexCorrupted, SparseParams
from node.segments import (
    BuildTooLarge,
    GrowingSegment,
    SealedSegment,
    SegmentCorrupted,
    SegmentView,
    VectorSchema,
    seal,
)
from node.segments import sparse as searching
from node.segments.building import CompactJob, IndexJob, MergeJob, Source
from node.segments.building.assemble import assemble
from node.segments.hints import Hints
from node.segments.rows import Ragged
from node.segments.schema import postings_file
from node.segments.trace import Trace
from protos.collections import Datatype, Distance
from protos.operations import VectorKind
from protos.ragged import offsets_of
from protos.shard import SparseVector, Way
from tests.node.segments.make import pack

SCHEMA = VectorSchema("words", 0, Distance.DOT, VectorKind.SPARSE)
DATATYPES = [Datatype.FLOAT32, Datatype.FLOAT16, Datatype.UINT8]
Row = dict[int, float] | None  # None: the point has no such vector
Found = list[tuple[int, float]]


def sparse(row: dict[int, float]) -> SparseVector:
    pairs = sorted(row.items())
    return SparseVector(
        np.array([index for index, _ in pairs], dtype=np.uint32),
        np.array([value for _, value in pairs], dtype=np.float32),
    )


def sealed(directory: Path, rows: list[Row], start: int = 0) -> SealedSegment:
    growing = GrowingSegment.create(directory, start, max(1, len(rows)), [SCHEMA])
    vectors = [sparse(row or {}) for row in rows]
    ragged = Ragged(
        offsets_of(np.array([len(vector.indices) for vector in vectors], dtype=np.int64)),
        (
            np.concatenate([np.empty(0, dtype=np.uint32), *(vector.indices for vector in vectors)]),
            np.concatenate([np.empty(0, dtype=np.float32), *(vector.values for vector in vectors)]),
        ),
    )
    growing.append({"words": (ragged, np.array([row is not None for row in rows]))}, len(rows))
    return seal(growing)


def indexed(
    target: Path,
    source: SealedSegment,
    live: np.ndarray | None = None,
    datatype: Datatype = Datatype.FLOAT32,
    memory_bytes: int | None = None,
) -> SealedSegment:
    part = Source(str(source.directory), live=None if live is None else pack(live).tobytes())
    wanted = {"words": SparseParams(datatype)}
    assemble(IndexJob(target=str(target), sparse=wanted, source=part, memory_bytes=memory_bytes))
    return SealedSegment.open(target)


def expected(rows: list[Row], query: dict[int, float], admitted: np.ndarray, k: int) -> Found:
    """By scoring every row, in 64 bits and in the order of the indices."""
    scores = []
    for number, row in enumerate(rows):
        if admitted[number] and row is not None and (shared := sorted(row.keys() & query.keys())):
            terms = [float(np.float32(row[i])) * float(np.float32(query[i])) for i in shared]
            scores.append((number, float(np.float32(sum(terms)))))
    return sorted(scores, key=lambda one: (-one[1], one[0]))[:k]


def found(segment: SegmentView, query: dict[int, float], k: int, **more: object) -> Found:
    slots, scores = segment.search("words", [sparse(query)], k, **more)  # type: ignore[arg-type]
    kept = slots[0] >= 0
    return list(zip((slots[0][kept] - segment.start).tolist(), scores[0][kept].tolist(), strict=True))


@pytest.fixture
def _cheap_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that few rows are enough for the index to be worth it."""
    for cost, postings in {"_TERM": 0, "_SEARCH": 0, "_ROW": 0.25, "_ELEMENT": 3.0}.items():
        monkeypatch.setattr(searching, f"{cost}_POSTINGS", postings)


def texts(count: int, seed: int = 3, words: int = 400) -> list[Row]:
    """Like texts: few words are frequent; some points have none."""
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for _ in range(count):
        numbers = {int(number) % words for number in rng.zipf(1.4, 12)}
        rows.append(
            {n: float(np.float32(rng.normal() + 0.5)) for n in numbers} if rng.random() < 0.9 else None
        )
    return rows


numbers = st.sampled_from([0, 1, 2, 3, 65_536, 2**32 - 1])
weights = st.sampled_from([0.0, 0.5, 1.0, -1.0, 2.0, 0.1])
vectors = st.dictionaries(numbers, weights, max_size=5)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.none() | vectors, st.booleans(), st.booleans()), min_size=1, max_size=40),
    query=vectors,
    k=st.integers(1, 12),
    datatype=st.sampled_from(DATATYPES),
)
@example(rows=[({1: 1.0}, True, True)] * 9, query={1: 0.1}, k=3, datatype=Datatype.UINT8)
def test_the_index_finds_what_a_scan_finds(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[Row, bool, bool]],
    query: dict[int, float],
    k: int,
    datatype: Datatype,
) -> None:
    """Scores have the same bits, whatever was dead at the build, has died since, or fails a filter."""
    directory = tmp_path_factory.mktemp("any")
    stored = [row for row, _, _ in rows]
    built_of = np.array([live for _, live, _ in rows])
    admitted = built_of & np.array([passes for _, _, passes in rows])
    source = sealed(directory / "s", stored)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(searching, "_ROW_POSTINGS", 0.0)  # few as the rows are, take the index
        patched.setattr(searching, "_ELEMENT_POSTINGS", 1000.0)
        patched.setattr(searching, "_TERM_POSTINGS", 0)
        patched.setattr(searching, "_SEARCH_POSTINGS", 0)
        segment = indexed(directory / "t", source, built_of, datatype)
        wanted = expected(stored, query, admitted, k)
        listed = Hints(rows=np.flatnonzero(admitted))
        for searched in (source, segment):
            assert found(searched, query, k, allowed=bits.pack_mask(admitted)) == wanted
            assert found(searched, query, k, hints=listed) == wanted
            assert found(searched, query, k, allowed=bits.pack_mask(admitted), exact=True) == wanted
        if built_of.all():
            assert found(segment, query, k) == expected(stored, query, built_of, k)


@pytest.mark.usefixtures("_cheap_terms")
@pytest.mark.parametrize("datatype", DATATYPES)
def test_many_rows_are_searched_by_the_index_and_a_few_by_themselves(
    tmp_path: Path, datatype: Datatype
) -> None:
    rows = texts(3000)
    segment = indexed(tmp_path / "t", sealed(tmp_path / "s", rows, start=640), datatype=datatype)
    assert segment.built("words") == SparseParams(datatype)
    rng = np.random.default_rng(1)
    for share, ways in ((1.0, {Way.INVERTED}), (0.5, {Way.INVERTED}), (0.004, {Way.ROWS})):
        admitted = rng.random(len(rows)) < share
        trace = Trace()
        for query in texts(20, seed=8):
            wanted = expected(rows, query or {}, admitted, 10)
            mask = bits.pack_mask(admitted)
            assert found(segment, query or {}, 10, allowed=mask, hints=Hints(trace=trace)) == wanted
        assert {step.way for step in trace.steps if step.scored} == ways


@pytest.mark.usefixtures("_cheap_terms")
def test_a_full_scan_threshold_keeps_filters_from_the_index(tmp_path: Path) -> None:
    rows = texts(2000)
    segment = indexed(tmp_path / "t", sealed(tmp_path / "s", rows))
    admitted = np.arange(len(rows)) % 2 == 0
    query = {1: 1.0, 40: 2.0}
    ways = []
    for threshold in (0, len(rows)):
        trace = Trace()
        hints = Hints(full_scan_rows=threshold, trace=trace)
        got = found(segment, query, 10, allowed=bits.pack_mask(admitted), hints=hints)
        assert got == expected(rows, query, admitted, 10)
        ways += [step.way for step in trace.steps]
    assert ways == [Way.INVERTED, Way.ROWS]


@pytest.mark.usefixtures("_cheap_terms")
def test_merged_and_compacted_rows_are_indexed(tmp_path: Path) -> None:
    first, second = texts(300, seed=1), texts(200, seed=2)
    parts = [sealed(tmp_path / "a", first), sealed(tmp_path / "b", second, start=320)]
    live = [np.arange(300) % 3 != 0, np.arange(200) % 5 != 0]
    sources = tuple(
        Source(str(part.directory), live=pack(flags).tobytes())
        for part, flags in zip(parts, live, strict=True)
    )
    common = {"sparse": {"words": SparseParams()}, "schemas": (SCHEMA,), "sources": sources}
    assemble(MergeJob(target=str(tmp_path / "m"), **common))
    assemble(CompactJob(target=str(tmp_path / "c"), start=0, **common))
    merged, compact = SealedSegment.open(tmp_path / "m"), SealedSegment.open(tmp_path / "c")
    gap: list[Row] = [None] * 20
    alive = np.concatenate([live[0], np.zeros(20, dtype=np.bool_), live[1]])
    moved = [row for row, kept in zip([*first, *gap, *second], alive, strict=True) if kept]
    for query in texts(20, seed=8):
        wanted = expected([*first, *gap, *second], query or {}, alive, 10)
        assert found(merged, query or {}, 10, allowed=bits.pack_mask(alive)) == wanted
        wanted = expected(moved, query or {}, np.ones(len(moved), dtype=np.bool_), 10)
        assert found(compact, query or {}, 10) == wanted
    assert merged.verify() == compact.verify() == []


def test_nothing_live_gives_no_index(tmp_path: Path) -> None:
    source = sealed(tmp_path / "s", [{1: 1.0}, None])
    segment = indexed(tmp_path / "t", source, np.array([False, True]))
    assert segment.built("words") is None
    assert not (tmp_path / "t" / postings_file(0)).exists()


def test_a_build_over_its_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildTooLarge):
        indexed(tmp_path / "t", sealed(tmp_path / "s", texts(100)), memory_bytes=1 << 20)


@pytest.mark.usefixtures("_cheap_terms")
def test_rows_that_a_damaged_index_makes_up_are_noticed(tmp_path: Path) -> None:
    """Scores are summed where it says: past the end of them that would be another's memory."""
    indexed(tmp_path / "t", sealed(tmp_path / "s", [{1: 1.0}] * 100))
    path = tmp_path / "t" / postings_file(0)
    data = bytearray(path.read_bytes())
    at = data.index(np.arange(100, dtype="<i4").tobytes())
    for wrong in (100, -1, 2**31 - 1):
        data[at : at + 4] = int(wrong).to_bytes(4, "little", signed=True)
        path.write_bytes(data)
        segment = SealedSegment.open(tmp_path / "t")
        assert segment.verify()
        with pytest.raises(SparseIndexCorrupted):
            found(segment, {1: 1.0}, 5)


def test_an_index_of_other_rows_is_refused(tmp_path: Path) -> None:
    indexed(tmp_path / "t", sealed(tmp_path / "s", [{1: 1.0}] * 100))
    indexed(tmp_path / "u", sealed(tmp_path / "r", [{1: 1.0}] * 107))
    data = (tmp_path / "u" / postings_file(0)).read_bytes()
    size = (tmp_path / "t" / postings_file(0)).stat().st_size
    assert len(data) == size, "or its size would give it away before"
    (tmp_path / "t" / postings_file(0)).write_bytes(data)
    with pytest.raises(SegmentCorrupted, match="107 rows"):
        SealedSegment.open(tmp_path / "t")
