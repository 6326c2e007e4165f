"""This node's quotas: measuring, and refusing what adds data while one is exceeded.

Lives here: what memory and disk are used, as the kernel tells, and how long a measurement counts. May not
live here: the decision (``protos.quotas``). Costs nothing while no quota is enabled.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from node.client import QuotaReport
from protos.clock import Clock, SystemClock
from protos.errors import InsufficientStorage
from protos.operations import OverwritePayload, PointChange, SetPayload, UpdateVectors, Upsert
from protos.quotas import QuotaConfig, QuotaGate, QuotaUsage

MEASURED_FOR_MS = 1000
_STATM, _MEMINFO = Path("/proc/self/statm"), Path("/proc/meminfo")
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_KIB = 1024

Measure = Callable[[], QuotaUsage]


class Quotas:
    """``default`` counts until the cluster has agreed on something else."""

    def __init__(self, default: QuotaConfig, measure: Measure, clock: Clock | None = None) -> None:
        self._default, self._measure, self._clock = default, measure, clock or SystemClock()
        self._config = default
        self._gate = QuotaGate()
        self._refusal: str | None = None
        self._measured_ms: int | None = None

    def configure(self, agreed: QuotaConfig | None) -> None:
        config = self._default if agreed is None else agreed
        if config != self._config:
            self._config, self._measured_ms = config, None

    def admit(self, change: PointChange) -> None:
        """Raises: InsufficientStorage if ``change`` adds data and a quota is exceeded."""
        if not self._config.enabled:
            return
        if isinstance(change, Upsert | UpdateVectors | SetPayload | OverwritePayload):
            self._measure_again()
            if self._refusal is not None:
                raise InsufficientStorage(self._refusal)

    def report(self) -> QuotaReport:
        """As of now; reads a few files of the kernel's."""
        usage = self._measure()
        self._refusal = self._gate.observe(usage, self._config)
        return QuotaReport(self._config, usage, self._gate.memory_exceeded, self._gate.disk_exceeded)

    def _measure_again(self) -> None:
        now_ms = self._clock.monotonic_ms()
        if self._measured_ms is None or now_ms - self._measured_ms >= MEASURED_FOR_MS:
            self._measured_ms = now_ms
            self._refusal = self._gate.observe(self._measure(), self._config)


def measure_of(storage: Path) -> Measure:
    """Of this process, and of the disk that holds ``storage``. What the kernel does not tell is None."""
    memory = memory_bytes()

    def measure() -> QuotaUsage:
        return QuotaUsage(_percent(_resident_bytes(), memory), _disk_percent(storage))

    return measure


def _percent(part: int | None, whole: int | None) -> int | None:
    return None if part is None or not whole else 100 * part // whole


def _resident_bytes() -> int | None:
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def _disk_percent(storage: Path) -> int | None:
    try:
        usage = shutil.disk_usage(storage)
    except OSError:
        return None
    return _percent(usage.total - usage.free, usage.total)


def memory_bytes() -> int | None:
    """The machine's, or the container's if that is less."""
    try:
        line = next(line for line in _MEMINFO.read_text().splitlines() if line.startswith("MemTotal:"))
        machine = int(line.split()[1]) * _KIB
    except (OSError, ValueError, IndexError, StopIteration):
        machine = None
    try:
        container = int(_CGROUP_LIMIT.read_text())
    except (OSError, ValueError):  # not in a container, or without a limit ("max")
        return machine
    return min(machine, container) if machine else container
