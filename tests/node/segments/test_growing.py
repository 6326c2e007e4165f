"""Appending: views stay as they were, what was synced is there again, a full disk is an error."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from node.segments import GrowingSegment, SegmentCorrupted, SegmentFull, SegmentIncomplete, VectorSchema
from protos.collections import Distance
from tests.node.segments.make import SCHEMA, vectors

NAMED = [VectorSchema("a/b", 4, Distance.DOT), VectorSchema("ü", 3, Distance.EUCLID)]


def test_appended_rows_are_found_by_slot(tmp_path: Path) -> None:
    growing = GrowingSegment.create(tmp_path / "s", 128, 500, [SCHEMA])
    matrix = vectors(300)
    growing.append({"": (matrix[:100], None)}, 100)
    growing.append({"": (matrix[100:], None)}, 200)
    view = growing.view()
    assert (view.id, view.start, view.rows, view.capacity) == ("s", 128, 300, 500)
    np.testing.assert_array_equal(view.dense("")[0], matrix)
    assert view.dense("")[1] is None
    np.testing.assert_array_equal(view.vector(128 + 250, ""), matrix[250])
    slots, similarities = view.search("", matrix[[7, 250]], 1)
    assert slots.tolist() == [[135], [378]]
    np.testing.assert_allclose(similarities, 1.0, rtol=1e-6)


def test_a_view_does_not_see_later_rows(tmp_path: Path) -> None:
    growing = GrowingSegment.create(tmp_path / "s", 0, 500, NAMED)
    first, more = vectors(9, 4), vectors(9, 4, seed=1)
    growing.append({"a/b": (first, None)}, 9)
    view = growing.view()
    held = view.dense("a/b")[0]
    growing.append({"a/b": (more, None), "ü": (vectors(9, 3), None)}, 9)
    assert view.rows == 9
    np.testing.assert_array_equal(held, first)
    assert view.vector(3, "ü") is None
    assert view.search("ü", vectors(1, 3), 5)[0].size == 0
    assert growing.view().vector(12, "ü") is not None
    np.testing.assert_array_equal(growing.view(9).dense("a/b")[0], first)


def test_views_cannot_be_written_through(tmp_path: Path) -> None:
    growing = GrowingSegment.create(tmp_path / "s", 0, 10, [SCHEMA])
    growing.append({"": (vectors(2), None)}, 2)
    with pytest.raises(ValueError, match="read-only"):
        growing.view().dense("")[0][0] = 0


def test_points_without_a_vector_are_never_found(tmp_path: Path) -> None:
    growing = GrowingSegment.create(tmp_path / "s", 0, 100, NAMED)
    present = np.arange(10) % 3 == 0
    growing.append({"ü": (vectors(10, 3), present)}, 10)
    view = growing.view()
    slots, similarities = view.search("ü", vectors(1, 3, seed=5), 10)
    assert sorted(slots[0].tolist()) == [0, 3, 6, 9]
    assert np.isfinite(similarities).all()
    assert view.vector(1, "ü") is None
    assert view.vector(3, "ü") is not None
    assert view.vector(3, "a/b") is None


def test_synced_rows_are_there_after_reopening(tmp_path: Path) -> None:
    growing = GrowingSegment.create(tmp_path / "s", 64, 100, NAMED)
    matrix, present = vectors(20, 3), np.arange(20) % 2 == 0
    growing.append({"ü": (matrix, present)}, 20)
    growing.sync()
    growing.append({"ü": (matrix, None)}, 20)
    growing.close()

    again = GrowingSegment.open(tmp_path / "s", 20)
    assert (again.start, again.capacity, again.rows, again.schemas) == (64, 100, 20, tuple(NAMED))
    view = again.view()
    np.testing.assert_array_equal(view.dense("ü")[0][present], matrix[present])
    assert [view.vector(64 + i, "ü") is not None for i in range(20)] == present.tolist()
    again.append({"ü": (matrix, None)}, 20)
    np.testing.assert_array_equal(again.view().dense("ü")[0][20:], matrix)
    assert view.dense("ü")[1] is not None


def test_reopening_at_fewer_rows_than_were_synced_forgets_the_rest(tmp_path: Path) -> None:
    """The checkpoint may be older than the last sync."""
    growing = GrowingSegment.create(tmp_path / "s", 0, 100, NAMED)
    growing.append({"ü": (vectors(20, 3), None)}, 20)
    growing.sync()
    again = GrowingSegment.open(tmp_path / "s", 7)
    again.append({}, 13)
    assert [again.view().vector(i, "ü") is None for i in range(20)] == [False] * 7 + [True] * 13


def test_rows_rolled_back_and_written_again_are_those_that_count(tmp_path: Path) -> None:
    """The presence of the rows is saved again although their number is what was saved before."""
    growing = GrowingSegment.create(tmp_path / "s", 0, 100, NAMED)
    growing.append({"ü": (vectors(10, 3), None), "a/b": (vectors(10, 4), None)}, 10)
    growing.append({"ü": (vectors(2, 3), None)}, 2)
    growing.sync()
    growing.rollback(10)
    assert growing.view().dense("a/b")[1] is None
    growing.append({"a/b": (vectors(2, 4), None)}, 2)
    growing.sync()
    again = GrowingSegment.open(tmp_path / "s", 12).view()
    assert [again.vector(11, name) is not None for name in ("ü", "a/b")] == [False, True]


def test_more_rows_than_fit_are_refused_whole(tmp_path: Path) -> None:
    growing = GrowingSegment.create(tmp_path / "s", 0, 10, [SCHEMA])
    growing.append({"": (vectors(8), None)}, 8)
    with pytest.raises(SegmentFull):
        growing.append({"": (vectors(3), None)}, 3)
    assert growing.rows == 8
    assert growing.free == 2


def test_a_full_disk_is_an_error_and_appends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    growing = GrowingSegment.create(tmp_path / "s", 0, 100_000, [SCHEMA])
    growing.append({"": (vectors(8), None)}, 8)

    def full(handle: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space"):
        growing.append({"": (vectors(50_000), None)}, 50_000)
    assert growing.view().rows == 8
    monkeypatch.undo()
    growing.append({"": (vectors(50_000), None)}, 50_000)
    assert growing.rows == 50_008


def test_space_is_allocated_ahead_of_the_rows(tmp_path: Path) -> None:
    growing = GrowingSegment.create(tmp_path / "s", 0, 100_000, [SCHEMA])
    assert growing.view().bytes_on_disk == 0
    growing.append({"": (vectors(1), None)}, 1)
    first = growing.view().bytes_on_disk
    assert 256 * 1024 <= first <= 512 * 1024
    growing.append({"": (vectors(100), None)}, 100)
    assert growing.view().bytes_on_disk == first


@pytest.mark.parametrize("lost", ["present.0.bits", "vectors.0.f32"])
def test_rows_that_are_not_on_disk_are_noticed(tmp_path: Path, lost: str) -> None:
    growing = GrowingSegment.create(tmp_path / "s", 0, 100, [SCHEMA])
    growing.append({"": (vectors(8), None)}, 8)
    growing.sync()
    (tmp_path / "s" / lost).unlink()
    with pytest.raises(SegmentCorrupted):
        GrowingSegment.open(tmp_path / "s", 8)


def test_a_directory_without_a_header_is_not_a_segment(tmp_path: Path) -> None:
    with pytest.raises(SegmentIncomplete):
        GrowingSegment.open(tmp_path, 0)


def test_an_empty_segment_answers_nothing(tmp_path: Path) -> None:
    growing = GrowingSegment.create(tmp_path / "s", 0, 100, [SCHEMA])
    slots, similarities = growing.view().search("", vectors(3), 5)
    assert slots.shape == similarities.shape == (3, 0)
