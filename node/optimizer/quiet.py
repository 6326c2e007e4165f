"""When a shard's tail counts as settled, and what may be copied to tidy it up. Pure: times are given.

A tail is settled when nothing was written for ``QUIET_MS``, or when it has waited for ``PATIENCE_MS`` under
writes that never cease. The allowance (see ``tail``) is kept for as long as the shard is open, and for when
writes have ceased.
"""

from __future__ import annotations

from collections.abc import Sequence

from node.optimizer.tail import BUSY, SETTLED, Quietness, spent_bytes
from node.optimizer.tasks import SegmentStat, Task

QUIET_MS, PATIENCE_MS = 3_000, 60_000


class QuietWatch:
    """All times are of one monotonic clock, in milliseconds."""

    def __init__(self, now_ms: int) -> None:
        """A shard just opened counts as just written."""
        self._written_ms = now_ms
        self._waiting_ms: int | None = None
        self._tidying = False
        self._allowance_bytes = 0

    def wrote(self, now_ms: int) -> None:
        self._written_ms = now_ms

    def waits(self, now_ms: int, *, tail: bool, tidying: bool) -> None:
        """Is there a tail that would be taken in if it were settled, or something for the allowance?"""
        self._tidying = tidying
        if not tail:
            self._waiting_ms = None
        elif self._waiting_ms is None:
            self._waiting_ms = now_ms

    def quietness(self, now_ms: int) -> Quietness:
        if self._written_ms + QUIET_MS <= now_ms:
            return self.when_settled()
        return SETTLED if self._due_ms() <= now_ms else BUSY

    def when_settled(self) -> Quietness:
        return Quietness(settled=True, allowance_bytes=self._allowance_bytes)

    def due_in_ms(self, now_ms: int) -> int | None:
        """Until what waits is settled if nothing is written meanwhile; None: nothing waits."""
        waits = self._waiting_ms is not None or self._tidying
        return max(0, self._due_ms() - now_ms) if waits else None

    def done(self, task: Task, stats: Sequence[SegmentStat]) -> None:
        """``task`` was carried out on ``stats``, as they were before it."""
        self._allowance_bytes = max(0, self._allowance_bytes - spent_bytes(task, stats))

    def _due_ms(self) -> int:
        quiet = self._written_ms + QUIET_MS
        return quiet if self._waiting_ms is None else min(quiet, self._waiting_ms + PATIENCE_MS)
