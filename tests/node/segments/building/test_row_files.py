"""Rows that graphs are made of lie packed, and everything else is as if they did not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from node.index import GraphParams, set_threads
from node.index.packed_rows import PackedRows, row_bytes
from node.segments import SealedSegment, SegmentCorrupted, VectorSchema, packing
from node.segments.building import CompactJob, IndexJob, MergeJob, Source
from node.segments.building.assemble import assemble
from protos.collections import Datatype, Distance
from tests.node.segments.make import SCHEMA, FloatArray, pack, sealed, vectors

PARAMS = GraphParams(m=8, ef_construct=40)
PLAIN, PACKED, OTHERS = "vectors.0.f32", "vectors.0.packed", "vectors.0.others"


@pytest.fixture(autouse=True)
def _any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    set_threads(1)
    monkeypatch.setattr(packing, "SAVED_MIN", 1)


def indexed(
    directory: Path, matrix: FloatArray, schema: VectorSchema = SCHEMA, start: int = 0
) -> SealedSegment:
    source = sealed(directory / "rows", matrix, start, schema)
    part = Source(str(source.directory))
    assemble(IndexJob(target=str(directory / "t"), graphs={"": PARAMS}, source=part))
    return SealedSegment.open(directory / "t")


def check(segment: SealedSegment, matrix: FloatArray) -> None:
    assert segment.verify() == []
    stored = segment.vectors("").rows
    assert isinstance(stored, PackedRows)
    np.testing.assert_array_equal(stored[:], matrix)
    assert stored.nbytes == matrix.nbytes
    names = {path.name for path in segment.directory.iterdir()}
    assert {PACKED, OTHERS} <= names
    assert PLAIN not in names
    plain = sealed(segment.directory.with_name("plain"), matrix, segment.start)
    for exact in (True, False):
        for many in (1, 30):
            found = segment.search("", vectors(many, seed=8), 10, exact=exact, ef=300)
            expected = plain.search("", vectors(many, seed=8), 10, exact=True)
            np.testing.assert_array_equal(found[0], expected[0])
            np.testing.assert_array_equal(found[1], expected[1])


def test_rows_with_a_graph_are_packed(tmp_path: Path) -> None:
    matrix = vectors(500)
    segment = indexed(tmp_path, matrix, start=64)
    check(segment, matrix)
    assert (segment.directory / PACKED).stat().st_size == 500 * row_bytes(16)
    np.testing.assert_array_equal(segment.vector(64 + 77, ""), matrix[77])


def test_rows_without_a_graph_are_not(tmp_path: Path) -> None:
    source = sealed(tmp_path / "s", vectors(500))
    assemble(IndexJob(target=str(tmp_path / "t"), source=Source(str(source.directory))))
    assert (tmp_path / "t" / PLAIN).samefile(source.directory / PLAIN)


def test_few_rows_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "SAVED_MIN", 500 * 8 + 1)
    assert (indexed(tmp_path / "a", vectors(500)).directory / PLAIN).exists()
    assert not (indexed(tmp_path / "b", vectors(501)).directory / PLAIN).exists()


def test_numbers_of_all_sizes_are_not(tmp_path: Path) -> None:
    wild = np.exp(np.random.default_rng(0).uniform(-60, 60, (300, 16))).astype(np.float32)
    segment = indexed(tmp_path, wild, VectorSchema("", 16, Distance.DOT))
    assert (segment.directory / PLAIN).exists()
    assert segment.manifest.vectors[0].packed is None


def test_other_datatypes_are_not(tmp_path: Path) -> None:
    halves = vectors(300).astype(np.float16)
    schema = VectorSchema("", 16, Distance.COSINE, datatype=Datatype.FLOAT16)
    segment = indexed(tmp_path, halves, schema)  # type: ignore[arg-type]
    assert (segment.directory / "vectors.0.f16").exists()
    assert segment.manifest.vectors[0].packed is None


def test_another_graph_shares_packed_rows(tmp_path: Path) -> None:
    first = indexed(tmp_path, vectors(400))
    wider = GraphParams(m=12, ef_construct=40)
    job = IndexJob(target=str(tmp_path / "u"), graphs={"": wider}, source=Source(str(first.directory)))
    assemble(job)
    second = SealedSegment.open(tmp_path / "u")
    for name in (PACKED, OTHERS):
        assert (second.directory / name).samefile(first.directory / name)
    check(second, vectors(400))


def test_packed_rows_are_merged_with_others(tmp_path: Path) -> None:
    """The graph of the packed ones is continued."""
    first = indexed(tmp_path / "a", vectors(448))
    second = sealed(tmp_path / "b", vectors(100, seed=1), start=448)
    sources = (Source(str(first.directory)), Source(str(second.directory)))
    job = MergeJob(target=str(tmp_path / "t"), graphs={"": PARAMS}, sources=sources, schemas=(SCHEMA,))
    (graph,) = assemble(job).graphs
    assert graph.continued == 448
    check(SealedSegment.open(tmp_path / "t"), np.concatenate([vectors(448), vectors(100, seed=1)]))


def test_packed_rows_are_compacted(tmp_path: Path) -> None:
    first = indexed(tmp_path, vectors(500))
    live = np.arange(500) % 5 != 0
    source = Source(str(first.directory), live=pack(live).tobytes())
    job = CompactJob(
        target=str(tmp_path / "u"), graphs={"": PARAMS}, sources=(source,), schemas=(SCHEMA,), start=0
    )
    assemble(job)
    check(SealedSegment.open(tmp_path / "u"), vectors(500)[live])


def test_damage_to_packed_rows_is_found(tmp_path: Path) -> None:
    segment = indexed(tmp_path, vectors(200))
    path = segment.directory / OTHERS
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert [finding.file.name for finding in SealedSegment.open(segment.directory).verify()] == [OTHERS]
    path.write_bytes(data[:-1])
    with pytest.raises(SegmentCorrupted):
        SealedSegment.open(segment.directory)
