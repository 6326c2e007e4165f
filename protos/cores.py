"""How many cores this process may use: what the scheduler lets it, and what its control group pays for.

A container of two cores on a machine of 64 sees all 64; as many threads would only be stopped in turn.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

_GROUP = Path("/sys/fs/cgroup")


def cores(group: Path = _GROUP) -> int:
    """At least 1; a share of a core counts as a whole one."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    paid = _quota(group)
    return max(1, allowed if paid is None else min(allowed, math.ceil(paid)))


def _quota(group: Path) -> float | None:
    """Cores of the control group, of either version; None: all there are."""
    unified = _words(group / "cpu.max")
    if len(unified) == 2:
        return None if unified[0] == "max" else int(unified[0]) / int(unified[1])
    quota, period = _words(group / "cpu/cpu.cfs_quota_us"), _words(group / "cpu/cpu.cfs_period_us")
    if not quota or not period or int(quota[0]) <= 0:
        return None
    return int(quota[0]) / int(period[0])


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
