"""How much memory builds may take, so that it is never the server that runs out.

Lives here: what is free, by the kernel and by the control group, one build's share of it, and how much a
build may join after one was refused.
May not live here: what a build needs (``node.index.linking.build_bytes``), what to do when that is too much.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")
_LEFT_FREE = 0.2  # of what is free: for searches and writes that go on meanwhile
_LIFTED_AT = 1.25  # of what a refused build needs: memory that is free just so may be gone again
_KIB = 1024
_SEGMENT_SHARE = 4  # of memory: a build takes up to 0.7 of its vectors, of most dimensions 0.3


def available_bytes(meminfo: Path = _MEMINFO, group: Path = _GROUP) -> int | None:
    """Memory that may still be taken before anyone is killed; None where the system does not tell."""
    bounds = [bound for bound in (_of_machine(meminfo), _of_group(group)) if bound is not None]
    return min(bounds, default=None)


class BuildMemory:
    """Shared by all builds of a process: each of ``builds_max`` at once may take an equal part.

    ``limit``: bytes for all of them together; None: most of what is free when a build starts.
    ``total``: bytes that this process could have if nothing else did; None: not known.
    """

    def __init__(
        self,
        builds_max: int,
        limit: int | None = None,
        available: Callable[[], int | None] = available_bytes,
        total: int | None = None,
    ) -> None:
        self._builds_max, self._limit, self._available = builds_max, limit, available
        self._total = total

    @property
    def buildable_bytes(self) -> int | None:
        """Vectors that one segment may have so that it can be rebuilt by itself on any usual day."""
        shares = [self._limit, None if self._total is None else self._total // _SEGMENT_SHARE]
        return min((share // self._builds_max for share in shares if share is not None), default=None)

    def share(self) -> int | None:
        """Bytes that a build started now may take; None: nothing is known that bounds it."""
        available = self._available()
        bounds = [self._limit, None if available is None else int(available * (1 - _LEFT_FREE))]
        least = min((bound for bound in bounds if bound is not None), default=None)
        return None if least is None else max(0, least) // self._builds_max


class JoinLimit:
    """How many bytes of vectors one task may join, once a build was too large; lifted when it would fit."""

    def __init__(self) -> None:
        self._bytes: int | None = None
        self._needed = 0

    def refused(self, joined_bytes: int, needed: int) -> None:
        """A build that joined so many bytes of vectors needs ``needed`` bytes of memory: too many."""
        self._bytes, self._needed = joined_bytes // 2, needed

    def bounded(self, most: int, share: Callable[[], int | None]) -> int:
        """At most ``most``; ``share`` tells what a build may take now."""
        if self._bytes is not None:
            free = share()
            if free is None or free >= self._needed * _LIFTED_AT:
                self._bytes = None
        return most if self._bytes is None else min(most, self._bytes)


def _of_machine(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return None
    found = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    return next((int(kib) * _KIB for kib in found), None)


def _of_group(group: Path) -> int | None:
    """The limit less what is used and cannot be dropped: pages of files can."""
    try:
        limit = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
        lines = (group / "memory.stat").read_text().splitlines()
    except (OSError, ValueError):
        return None
    if not limit.isdigit():  # "max"
        return None
    figures = dict(line.split()[:2] for line in lines)
    pages = sum(int(figures.get(name, 0)) for name in ("inactive_file", "active_file"))
    return max(0, int(limit) - max(0, used - pages))
