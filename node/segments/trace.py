"""What a search did in one segment, told to whoever asked.

Lives here: the collection of steps, and counting them. Callers pass None when nobody asked: then steps are
only counted.
"""

from __future__ import annotations

import time

from node.hardware import counting
from node.measures import SEGMENT_SEARCHES
from protos.shard import SegmentPlan, Way


class Trace:
    """Steps of one request in all segments, in the order they were taken."""

    def __init__(self) -> None:
        self.steps: list[SegmentPlan] = []
        self._segment = ""
        self._estimated = 0
        self._started = 0

    def enter(self, segment: str, estimated: int) -> None:
        """The steps that follow are of this segment, where so many rows are expected to match."""
        self._segment, self._estimated = segment, estimated
        self._started = time.perf_counter_ns()

    def step(self, way: Way, *, queries: int, matching: int, scored: int, width: int = 0) -> None:
        """One way was taken for so many queries; its time is what passed since the step before."""
        now = time.perf_counter_ns()
        self.steps.append(
            SegmentPlan(
                segment=self._segment,
                way=way,
                queries=queries,
                estimated=self._estimated,
                matching=matching,
                scored=scored,
                width=width,
                micros=(now - self._started) / 1000,
            )
        )
        self._started = now


def tell(
    trace: Trace | None,
    way: Way,
    *,
    queries: int,
    matching: int,
    scored: int,
    row_bytes: float,
    width: int = 0,
) -> None:
    """Count the step, and tell ``trace`` of it if there is one. ``row_bytes``: of a stored one."""
    SEGMENT_SEARCHES[way].inc(queries)
    usage = counting()
    if usage is not None:
        usage.vector_io_read += int(scored * row_bytes)
    if trace is not None:
        trace.step(way, queries=queries, matching=matching, scored=scored, width=width)
