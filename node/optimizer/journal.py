"""What the optimizer of one replica is doing, and what it did last.

Lives here: the record. May not live here: anything that decides.
"""

from __future__ import annotations

from collections import deque

from msgspec.structs import replace

from node.optimizer.tasks import Drop, Fold, Index, Merge, SegmentStat, Task, Vacuum
from protos.clock import Clock
from protos.shard import Optimization, OptimizedSegment

ENDED_MAX = 32  # remembered per replica
_NAMES: dict[type[Task], str] = {
    Index: "indexing",
    Fold: "indexing",
    Merge: "merge",
    Vacuum: "vacuum",
    Drop: "vacuum",
}


class Journal:
    """Read by other threads: what it tells is replaced, never changed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._running: dict[str, Optimization] = {}
        self._ended: deque[Optimization] = deque(maxlen=ENDED_MAX)
        self.entries: tuple[Optimization, ...] = ()
        """Those that run, and those that ended, the last of them first."""

    def begin(self, target: str, task: Task, stats: list[SegmentStat]) -> None:
        """``target``: the id that the new segment is to have; ``stats`` of all segments."""
        live = {stat.id: stat.live for stat in stats}
        self._running[target] = Optimization(
            id=target,
            optimizer=_NAMES[type(task)],
            segments=[OptimizedSegment(one, live.get(one, 0)) for one in task.segments],
            started_ms=self._clock.unix_ms(),
        )
        self._publish()

    def end(self, target: str, *, error: str | None = None, cancelled: str | None = None) -> None:
        """Neither reason: it is done. What has not begun, or ended before, is left alone."""
        begun = self._running.pop(target, None)
        if begun is not None:
            ended_ms = self._clock.unix_ms()
            self._ended.appendleft(replace(begun, ended_ms=ended_ms, error=error, cancelled=cancelled))
            self._publish()

    def _publish(self) -> None:
        self.entries = (*self._running.values(), *self._ended)
