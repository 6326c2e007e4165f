"""What a search did, for requests that ask: begun before it, told after it.

Lives here: putting together what evaluation, planner and segments say. Costs nothing when nobody asks.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from node.filter.cardinality import estimate
from node.query.matching import Candidates, context_of
from node.segments.trace import Trace
from protos.filters import Filter
from protos.shard import SearchPlan

if TYPE_CHECKING:
    from node.query.view_port import View


class Watch:
    def __init__(self) -> None:
        self._started = time.perf_counter_ns()
        self.trace = Trace()

    def plan(self, view: View, filter: Filter | None, candidates: Candidates) -> SearchPlan:
        """Everything since the watch was made."""
        micros = (time.perf_counter_ns() - self._started) / 1000
        return SearchPlan(
            estimated=_estimated(view, filter),
            candidates=candidates.allowed.count,
            checked=candidates.checked,
            steps=self.trace.steps,
            micros=micros,
        )


def _estimated(view: View, filter: Filter | None) -> int:
    return view.points.count if filter is None else estimate(filter, context_of(view)).expected
