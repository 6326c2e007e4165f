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
        self._filtered = self._started
        self.trace = Trace()

    def filtered(self) -> None:
        """The payload indexes have said what they know of the filter."""
        self._filtered = time.perf_counter_ns()

    def plan(self, view: View, filter: Filter | None, candidates: Candidates) -> SearchPlan:
        """Everything since the watch was made."""
        micros = (time.perf_counter_ns() - self._started) / 1000
        return SearchPlan(
            estimated=_estimated(view, filter),
            candidates=candidates.allowed.count,
            checked=candidates.checked,
            steps=self.trace.steps,
            micros=micros,
            filter_micros=(self._filtered - self._started) / 1000,
        )


def _estimated(view: View, filter: Filter | None) -> int:
    return view.points.count if filter is None else estimate(filter, context_of(view)).expected
