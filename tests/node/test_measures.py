"""What the node counts of its own work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from node.measures import REGISTRY
from node.segments.trace import Trace, tell
from node.storage.wal import Wal
from protos.shard import Way


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_sync_is_timed_and_the_operations_it_covers_are_counted(tmp_path: Path) -> None:
    names = [
        f"vecraft_{name}" for name in ("wal_sync_duration_seconds_count", "commit_batch_operations_count")
    ]
    before = [value(name) for name in names]
    operations = value("vecraft_commit_batch_operations_sum")
    wal = Wal.open(tmp_path)
    for seq in range(3):
        wal.append(1, seq, b"x")
    wal.sync()
    wal.sync()  # nothing to do
    wal.close()
    assert [value(name) for name in names] == [count + 1 for count in before]
    assert value("vecraft_commit_batch_operations_sum") == operations + 3


def test_a_sync_that_the_disk_refuses_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_fd: int) -> None:
        raise OSError("no")

    before = value("vecraft_wal_sync_failures_total")
    wal = Wal.open(tmp_path)
    wal.append(1, 0, b"x")
    monkeypatch.setattr(os, "fdatasync", refuse)
    with pytest.raises(OSError, match="no"):
        wal.sync()
    monkeypatch.undo()
    wal.close()
    assert value("vecraft_wal_sync_failures_total") == before + 1


@pytest.mark.parametrize("traced", [True, False])
def test_the_ways_of_the_planner_are_counted_whether_or_not_anybody_asked(traced: bool) -> None:
    before = value("vecraft_segment_searches_total", way="widened_graph")
    trace = Trace() if traced else None
    tell(trace, Way.WIDENED, queries=5, matching=1, scored=1, row_bytes=8)
    assert value("vecraft_segment_searches_total", way="widened_graph") == before + 5
    assert trace is None or [step.way for step in trace.steps] == [Way.WIDENED]
