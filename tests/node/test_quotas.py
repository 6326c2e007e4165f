"""A node that keeps to its quotas: what it measures, how often, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.quotas import MEASURED_FOR_MS, Quotas, measure_of
from protos.errors import InsufficientStorage
from protos.operations import (
    ClearPayload,
    DeletePayload,
    DeletePoints,
    DeleteVectors,
    OverwritePayload,
    PointChange,
    SetPayload,
    UpdateVectors,
    Upsert,
)
from protos.quotas import NO_QUOTAS, QuotaConfig, QuotaUsage

DISK = QuotaConfig(enabled=True, max_disk_usage_percent=50)
UPSERT = Upsert([1], (), [b"{}"])


class Machine:
    def __init__(self, default: QuotaConfig = DISK) -> None:
        self.used, self.now_ms, self.measured = 60, 0, 0
        self.quotas = Quotas(default, self._measure, self)

    def _measure(self) -> QuotaUsage:
        self.measured += 1
        return QuotaUsage(1, self.used)

    def monotonic_ms(self) -> int:
        return self.now_ms

    def unix_ms(self) -> int:
        return 0


@pytest.mark.parametrize(
    "change",
    [UPSERT, UpdateVectors([1], ()), SetPayload(b"{}", ids=[1]), OverwritePayload(b"{}", ids=[1])],
)
def test_what_adds_data_is_refused(change: PointChange) -> None:
    with pytest.raises(InsufficientStorage, match="Disk usage is at 60% of total capacity"):
        Machine().quotas.admit(change)


@pytest.mark.parametrize(
    "change",
    [
        DeletePoints(ids=[1]),
        DeleteVectors(("",), ids=[1]),
        DeletePayload(("a",), ids=[1]),
        ClearPayload(ids=[1]),
    ],
)
def test_what_removes_data_never_is(change: PointChange) -> None:
    Machine().quotas.admit(change)


def test_a_measurement_counts_for_a_while() -> None:
    machine = Machine()
    machine.used = 10
    for _ in range(10):
        machine.quotas.admit(UPSERT)
    assert machine.measured == 1
    machine.used, machine.now_ms = 60, MEASURED_FOR_MS
    with pytest.raises(InsufficientStorage):
        machine.quotas.admit(UPSERT)


def test_what_is_agreed_on_counts_at_once_and_else_the_nodes_own() -> None:
    machine = Machine(NO_QUOTAS)
    machine.quotas.admit(UPSERT)
    assert machine.measured == 0
    machine.quotas.configure(DISK)
    with pytest.raises(InsufficientStorage):
        machine.quotas.admit(UPSERT)
    report = machine.quotas.report()
    assert (report.config, report.exceeded, report.memory_exceeded) == (DISK, True, False)
    machine.quotas.configure(None)
    machine.quotas.admit(UPSERT)


def test_the_machine_is_measured(tmp_path: Path) -> None:
    usage = measure_of(tmp_path)()
    assert usage.resident_memory_percent is not None
    assert 0 <= usage.resident_memory_percent < 100
    assert usage.disk_usage_percent is not None
    assert 0 <= usage.disk_usage_percent <= 100
    assert measure_of(tmp_path / "missing")().disk_usage_percent is None
