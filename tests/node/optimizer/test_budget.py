"""What is free for builds, by the kernel's figures and the control group's."""

from __future__ import annotations

from pathlib import Path

from node.optimizer.budget import BuildMemory, JoinLimit, available_bytes

MEMINFO = "MemTotal:  4000 kB\nMemFree:  100 kB\nMemAvailable:    2000 kB\n"


def _group(directory: Path, limit: str, used: int, pages: int) -> Path:
    (directory / "memory.max").write_text(limit)
    (directory / "memory.current").write_text(str(used))
    (directory / "memory.stat").write_text(f"anon 5\ninactive_file {pages}\nactive_file 10\n")
    return directory


def test_the_nearer_of_two_bounds_counts(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(MEMINFO)
    assert available_bytes(meminfo, tmp_path / "none") == 2_048_000
    # Pages of files are dropped before anything else has to go.
    assert available_bytes(meminfo, _group(tmp_path, "1000000\n", 600_010, 400_000)) == 800_000
    assert available_bytes(meminfo, _group(tmp_path, "max\n", 600_000, 0)) == 2_048_000
    assert available_bytes(meminfo, _group(tmp_path, "1000", 600_000, 0)) == 0


def test_nothing_is_known_without_figures(tmp_path: Path) -> None:
    assert available_bytes(tmp_path / "none", tmp_path / "none") is None
    assert BuildMemory(1, available=lambda: None).share() is None


def test_this_machine_tells() -> None:
    share = BuildMemory(2).share()
    assert share is not None
    assert share > 0


def test_builds_at_once_share_what_is_free_or_allowed() -> None:
    assert BuildMemory(2, available=lambda: 1000).share() == 400
    assert BuildMemory(2, limit=600, available=lambda: 1000).share() == 300
    assert BuildMemory(2, limit=600, available=lambda: 100).share() == 40
    assert BuildMemory(1, limit=600, available=lambda: None).share() == 600


def test_a_segment_may_have_what_can_be_rebuilt_though_other_builds_run() -> None:
    assert BuildMemory(2).buildable_bytes is None
    assert BuildMemory(2, total=8000).buildable_bytes == 1000
    assert BuildMemory(1, limit=500, total=8000).buildable_bytes == 500


def test_after_a_refusal_less_is_joined_until_there_is_memory_again() -> None:
    limit = JoinLimit()
    assert limit.bounded(1000, lambda: 0) == 1000
    limit.refused(800, needed=5000)
    assert limit.bounded(1000, lambda: 5000) == 400
    assert limit.bounded(300, lambda: 5000) == 300
    limit.refused(400, needed=2600)
    assert limit.bounded(1000, lambda: 2600) == 200
    assert limit.bounded(1000, lambda: 10_000) == 1000
    assert limit.bounded(1000, lambda: 0) == 1000
    limit.refused(800, needed=5000)
    assert limit.bounded(1000, lambda: None) == 1000
