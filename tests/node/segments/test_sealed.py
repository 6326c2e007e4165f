"""Sealing, opening and scrubbing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from node.index import GraphParams
from node.segments import (
    GrowingSegment,
    SealedSegment,
    SegmentCorrupted,
    SegmentFull,
    SegmentIncomplete,
    VectorSchema,
    is_finished,
    seal,
)
from node.segments.building import IndexJob, Source
from node.segments.building.assemble import assemble
from node.segments.manifest import FORMAT
from protos.collections import Distance
from tests.node.segments.make import SCHEMA, sealed, vectors


def test_sealing_keeps_slots_and_rows(tmp_path: Path) -> None:
    matrix = vectors(100)
    growing = GrowingSegment.create(tmp_path / "s", 640, 5000, [SCHEMA])
    growing.append({"": (matrix, None)}, 100)
    before = growing.view()
    segment = seal(growing)
    assert (segment.id, segment.start, segment.rows, segment.capacity) == ("s", 640, 100, 100)
    np.testing.assert_array_equal(segment.dense("")[0], matrix)
    np.testing.assert_array_equal(before.dense("")[0], matrix)
    with pytest.raises(SegmentFull):
        growing.append({}, 1)
    assert segment.bytes_on_disk <= 100 * 16 * 4 + 8192


def test_a_sealing_that_was_never_recorded_is_undone_by_reopening(tmp_path: Path) -> None:
    growing = GrowingSegment.create(tmp_path / "s", 0, 200, [SCHEMA])
    growing.append({"": (vectors(60), None)}, 60)
    growing.sync()
    growing.append({"": (vectors(40, seed=1), None)}, 40)
    seal(growing)
    again = GrowingSegment.open(tmp_path / "s", 60)
    assert not is_finished(tmp_path / "s")
    again.append({"": (vectors(140, seed=2), None)}, 140)
    np.testing.assert_array_equal(again.view().dense("")[0][60:], vectors(140, seed=2))


def test_presence_survives_sealing(tmp_path: Path) -> None:
    schemas = [SCHEMA, VectorSchema("b", 2, Distance.MANHATTAN)]
    growing = GrowingSegment.create(tmp_path / "s", 0, 200, schemas)
    growing.append({"": (vectors(11), None), "b": (vectors(11, 2), np.arange(11) < 4)}, 11)
    segment = seal(growing)
    assert segment.dense("")[1] is None
    assert [segment.vector(i, "b") is not None for i in range(11)] == [True] * 4 + [False] * 7
    assert segment.search("b", vectors(1, 2), 11)[0].shape == (1, 4)
    assert segment.schemas == tuple(schemas)
    assert segment.verify() == []


def test_rows_stay_readable_after_their_files_are_unlinked(tmp_path: Path) -> None:
    matrix = vectors(100)
    segment = sealed(tmp_path / "s", matrix)
    for path in segment.directory.iterdir():
        path.unlink()
    np.testing.assert_array_equal(segment.dense("")[0], matrix)
    assert segment.bytes_on_disk == 0


def test_an_empty_segment_can_be_sealed(tmp_path: Path) -> None:
    segment = sealed(tmp_path / "s", vectors(0))
    assert segment.rows == 0
    assert segment.search("", vectors(2), 3)[0].shape == (2, 0)
    assert segment.verify() == []


def test_a_directory_without_a_manifest_is_refused(tmp_path: Path) -> None:
    GrowingSegment.create(tmp_path / "s", 0, 200, [SCHEMA])
    with pytest.raises(SegmentIncomplete):
        SealedSegment.open(tmp_path / "s")


@pytest.fixture
def indexed(tmp_path: Path) -> SealedSegment:
    """Four files: vectors over two blocks, presence, a partial graph and its rows."""
    schema = VectorSchema("", 256, Distance.COSINE)
    growing = GrowingSegment.create(tmp_path / "s", 0, 2000, [schema])
    growing.append({"": (vectors(1100, 256), np.arange(1100) < 300)}, 1100)
    source = seal(growing)
    job = IndexJob(
        target=str(tmp_path / "t"), graphs={"": GraphParams(4, 20)}, source=Source(str(source.directory))
    )
    return SealedSegment.open(Path(assemble(job).directory))


FILES = ["vectors.0.f32", "present.0.bits", "graph.0.faiss", "graph.0.rows", "segment.json"]


def test_the_fixture_has_every_kind_of_file(indexed: SealedSegment) -> None:
    assert sorted(path.name for path in indexed.directory.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
def test_a_flipped_bit_anywhere_is_reported_with_its_place(
    indexed: SealedSegment, name: str, where: float
) -> None:
    assert indexed.verify() == []
    path = indexed.directory / name
    data = bytearray(path.read_bytes())
    position = int(where * (len(data) - 1))
    data[position] ^= 0x10
    path.write_bytes(data)
    (finding,) = indexed.verify()
    assert finding.file == path
    assert finding.offset == position // 2**20 * 2**20


def test_a_shortened_file_is_refused_on_opening(indexed: SealedSegment) -> None:
    """Touching a mapped page past the end of its file would end the process."""
    path = indexed.directory / "graph.0.faiss"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SegmentCorrupted, match=r"graph\.0\.faiss"):
        SealedSegment.open(indexed.directory)


def test_a_missing_file_is_refused_on_opening_and_reported(indexed: SealedSegment) -> None:
    (indexed.directory / "graph.0.rows").unlink()
    with pytest.raises(SegmentCorrupted, match=r"graph\.0\.rows"):
        SealedSegment.open(indexed.directory)
    assert [finding.file.name for finding in indexed.verify()] == ["graph.0.rows"]


def test_a_manifest_of_a_newer_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed(tmp_path / "s", vectors(3))
    monkeypatch.setattr("node.segments.manifest.FORMAT", 0)
    with pytest.raises(SegmentCorrupted, match=f"format {FORMAT}"):
        SealedSegment.open(tmp_path / "s")
