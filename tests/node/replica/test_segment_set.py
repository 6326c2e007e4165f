"""The segments as the writer holds them, without a replica around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from node.replica.segment_set import SegmentSet
from node.segments import SegmentCorrupted, VectorSchema
from node.segments.rows import Block
from protos.collections import Distance

SCHEMA = VectorSchema("", 2, Distance.DOT)


@pytest.fixture
def segments(tmp_path: Path) -> SegmentSet:
    return SegmentSet.open(tmp_path, {"": SCHEMA}, ())


def rows(count: int, *, present: bool = True) -> dict[str, Block]:
    return {"": Block(np.ones((count, 2), dtype=np.float32), np.full(count, present))}


def test_a_view_of_rows_that_were_rolled_back_is_not_used_for_others(segments: SegmentSet) -> None:
    """A write of an unlogged group reads over the rows of those before it, and the group fails then."""
    segments.append(rows(1), 1)
    mark = segments.mark()
    segments.append(rows(1, present=False), 1)
    (ahead,) = segments.views()
    assert ahead.vector(1, "") is None
    segments.rollback(mark)
    segments.append(rows(1), 1)
    (view,) = segments.views()
    assert view.vector(1, "") is not None
    segments.close()


@pytest.mark.parametrize("error", [OSError("too many open files"), SegmentCorrupted(Path("f"), 0, "short")])
def test_a_sealing_that_fails_at_its_end_is_made_up_for(
    segments: SegmentSet, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The growing segment must keep its files open: a closed number may be another file's by then."""
    segments.append(rows(10), 10)
    (growing,) = segments.growing
    growing.sealed = True  # as if it were full

    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr("node.segments.sealed.SealedSegment.open", fail)
    segments.seal_full()
    assert segments.growing == [growing]
    assert segments.views()[0].vector(9, "") is not None
    monkeypatch.undo()
    segments.seal_full()
    assert not segments.growing
    assert segments.views()[0].vector(9, "") is not None
