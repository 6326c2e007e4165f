"""The audit log's files: rotation, searching, what happens when they cannot be written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from router.audit.entries import Wanted
from router.audit.files import AuditFigures, AuditLog, _lines_from_the_end
from router.auth.access import FULL
from router.auth.gate import Asked, Decision

START = datetime(2026, 1, 1, 22, 30, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(tmp_path: Path, clock: Clock) -> Iterator[AuditLog]:
    made = AuditLog(tmp_path / "audit", rotation="hourly", files_max=3, now=clock)
    yield made
    made.close()


def record(log: AuditLog, operation: str, api: str = "PUT /x") -> None:
    log.record(Decision(Asked(operation, api, "c", {}, lambda: None), FULL))


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "audit").iterdir())


def test_each_hour_has_a_file_and_only_the_newest_are_kept(
    log: AuditLog, clock: Clock, tmp_path: Path
) -> None:
    (tmp_path / "audit" / "notes.txt").write_text("somebody else's")
    for number in range(5):
        record(log, f"op{number}")
        clock.now += timedelta(hours=1)
    hours = ["2026-01-02-00", "2026-01-02-01", "2026-01-02-02"]
    assert names(tmp_path) == [*(f"audit.{hour}.log" for hour in hours), "notes.txt"]
    assert [entry["method"] for entry in log.search(Wanted())] == ["op4", "op3", "op2"]
    assert oct((tmp_path / "audit" / f"audit.{hours[0]}.log").stat().st_mode)[-3:] == "600"


def test_its_figures_tell_how_it_is_configured_and_what_its_files_take(log: AuditLog, tmp_path: Path) -> None:
    (tmp_path / "audit" / "notes.txt").write_text("somebody else's")
    record(log, "op")
    sizes = [path.stat().st_size for path in (tmp_path / "audit").glob("audit.*.log")]
    assert sizes[0] > 0
    assert log.figures() == AuditFigures(str(tmp_path / "audit"), "hourly", 3, False, True, sum(sizes))


def test_days_are_the_other_choice(tmp_path: Path, clock: Clock) -> None:
    log = AuditLog(tmp_path / "audit", now=clock)
    record(log, "op")
    assert names(tmp_path) == ["audit.2026-01-01.log"]
    log.close()


def test_a_start_goes_on_with_the_file_that_is_there(log: AuditLog, tmp_path: Path, clock: Clock) -> None:
    record(log, "before")
    again = AuditLog(tmp_path / "audit", rotation="hourly", now=clock)
    record(again, "after")
    assert [entry["method"] for entry in again.search(Wanted())] == ["after", "before"]
    again.close()


def test_the_newest_that_are_wanted_are_found(log: AuditLog, clock: Clock) -> None:
    for number in range(10):
        record(log, f"op{number % 2}")
        clock.now += timedelta(minutes=20)

    def found(**wanted: object) -> list[str]:
        return [entry["timestamp"][11:16] for entry in log.search(Wanted(**wanted))]  # type: ignore[arg-type]

    assert found(limit=2) == ["01:30", "01:10"]
    assert found(filters={"method": "op0"}) == ["01:10", "00:30", "23:50", "23:10"]
    assert found(filters={"method": "op0", "collection": "d"}) == []
    assert found(time_from=START + timedelta(minutes=140)) == ["01:30", "01:10", "00:50"]
    assert found(time_to=START + timedelta(minutes=100), limit=1) == ["00:10"]


@pytest.mark.parametrize("api", ["GET /metrics", "GET /telemetry", "GET /cluster/telemetry"])
def test_what_is_asked_all_the_time_is_not_recorded(log: AuditLog, api: str) -> None:
    record(log, "op", api)
    assert log.search(Wanted()) == []


def test_a_line_that_was_cut_off_is_passed_over(log: AuditLog, tmp_path: Path) -> None:
    record(log, "before")
    (path,) = (tmp_path / "audit").iterdir()
    with path.open("ab") as file:
        file.write(b'{"timestamp": "2026\n[]\n{"timestamp": 5}\n\xff\n')
    record(log, "after")
    assert [entry["method"] for entry in log.search(Wanted())] == ["after", "before"]


def test_a_line_that_cannot_be_written_is_told_of(
    log: AuditLog, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: int, data: bytes) -> int:
        if data == b"\n":
            return 1
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with capture_logs() as logs:
        record(log, "op")
    assert [entry["event"] for entry in logs] == ["audit_entry_lost"]
    monkeypatch.undo()
    record(log, "later")
    assert [entry["method"] for entry in log.search(Wanted())] == ["later"]


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("a file")
    with pytest.raises(OSError, match="audit"):
        AuditLog(tmp_path / "audit")


def test_what_clients_send_makes_no_lines_of_its_own(log: AuditLog) -> None:
    asked = Asked("op", "PUT /x", 'c"}\n{"timestamp": "9"}', {"x-request-id": "a\nb"}, lambda: None)
    log.record(Decision(asked, FULL))
    (entry,) = log.search(Wanted())
    assert entry["collection"].endswith('"9"}')


_lines = st.binary(max_size=40).map(lambda line: line.replace(b"\n", b""))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_lines, max_size=20), st.booleans())
def test_lines_are_read_backwards_whatever_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[bytes], ended: bool
) -> None:
    monkeypatch.setattr("router.audit.files._BLOCK_BYTES", 7)
    path = tmp_path / "lines"
    path.write_bytes(b"\n".join(lines) + b"\n" * ended)
    assert list(_lines_from_the_end(path)) == [line for line in reversed(lines) if line]


def test_entries_are_json_objects_a_line(log: AuditLog, tmp_path: Path) -> None:
    record(log, "Upsert points")
    (path,) = (tmp_path / "audit").iterdir()
    assert json.loads(path.read_text())["method"] == "upsert_points"
