"""How many cores a process counts on, by its control group."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from protos.cores import cores

ALLOWED = len(os.sched_getaffinity(0))


def group(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text + "\n")
    return folder


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"cpu.max": "max 100000"},
        {"cpu.max": "99900000 100000"},
        {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
    ],
)
def test_a_group_without_a_bound_leaves_what_the_scheduler_allows(
    tmp_path: Path, files: dict[str, str]
) -> None:
    assert cores(group(tmp_path, files)) == ALLOWED


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
    ],
)
def test_a_share_of_a_core_counts_as_one(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    assert cores(group(tmp_path, files)) == min(expected, ALLOWED)


def test_who_is_bound_to_one_core_counts_one(tmp_path: Path) -> None:
    whole = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(whole)})
    try:
        assert cores(tmp_path) == 1
    finally:
        os.sched_setaffinity(0, whole)
