"""The door through which requests about points pass: strict mode, in the order cheap to costly.

Lives here: what is asked before which kind of request. May not live here: what is allowed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from consensus.state import CollectionState
from protos.clock import Clock, SystemClock
from protos.collections.strict_mode import StrictModeConfig
from protos.filters import Filter
from protos.operations import PointChange
from protos.shard import ScrollRequest
from router.queries.requests import QueryRequest, ReadOptions
from router.strict import reads, writes
from router.strict.rates import Kind, Rates
from router.strict.sizes import Measure, SizeLimits
from router.strict.violations import check_limit

# Points that a filter selects, about.
Estimate = Callable[[CollectionState, Filter], Awaitable[int]]


class Admission:
    """``measure`` and ``estimate`` ask the shards, when a limit calls for it."""

    def __init__(self, measure: Measure, estimate: Estimate, clock: Clock | None = None) -> None:
        self._sizes, self._estimate = SizeLimits(measure), estimate
        self._rates, self._clock = Rates(), clock or SystemClock()

    # --- reads: each raises BadRequest, RateLimited -----------------------------------------------------

    def queries(self, state: CollectionState, requests: Sequence[QueryRequest], options: ReadOptions) -> None:
        strict = _strict(state, options)
        if strict is not None:
            reads.check_timeout(options.timeout_ms, strict)
            reads.check_queries(requests, state, strict)
            self._take_read(state, strict, reads.cost_of_queries(requests))

    def groups(
        self, state: CollectionState, request: QueryRequest, options: ReadOptions, *, key: str, hits: int
    ) -> None:
        strict = _strict(state, options)
        if strict is not None:
            reads.check_timeout(options.timeout_ms, strict)
            reads.check_groups(request, state, strict, key=key, hits=hits)
            self._take_read(state, strict, reads.cost_of_queries([request]))

    def scroll(self, state: CollectionState, request: ScrollRequest, options: ReadOptions) -> None:
        strict = _strict(state, options)
        if strict is not None:
            reads.check_timeout(options.timeout_ms, strict)
            reads.check_scroll(request, state, strict)
            self._take_read(state, strict, reads.cost_of_filter(request.filter))

    def filtered(
        self, state: CollectionState, filter: Filter | None, options: ReadOptions, limit: int | None = None
    ) -> None:
        """A count, a facet or a matrix: ``limit`` of its values, or points, if it has one."""
        strict = _strict(state, options)
        if strict is not None:
            reads.check_timeout(options.timeout_ms, strict)
            check_limit(limit, strict.max_query_limit, "limit")
            reads.check_filter(filter, state, strict)
            self._take_read(state, strict, reads.cost_of_filter(filter))

    def retrieval(self, state: CollectionState, ids: int, options: ReadOptions) -> None:
        strict = _strict(state, options)
        if strict is not None:
            reads.check_timeout(options.timeout_ms, strict)
            self._take_read(state, strict, max(1, ids))

    # --- writes -----------------------------------------------------------------------------------------

    async def change(self, state: CollectionState, change: PointChange, timeout_ms: int | None) -> None:
        """Raises: BadRequest, RateLimited; what the shards raise that are asked."""
        strict = strict_of(state)
        if strict is not None:
            reads.check_timeout(timeout_ms, strict)
            writes.check_change(change, state, strict)
            if strict.write_rate_limit is not None:
                cost = await self._cost_of(state, change)
                self._take(state, "Write", strict.write_rate_limit, cost)
            await self._sizes.admit(change, state, strict)

    async def _cost_of(self, state: CollectionState, change: PointChange) -> int:
        selected = getattr(change, "filter", None)
        by_filter = 0 if change.ids or selected is None else await self._estimate(state, selected)
        return max(1, len(change.ids or ()), by_filter)

    def _take_read(self, state: CollectionState, strict: StrictModeConfig, cost: int) -> None:
        if strict.read_rate_limit is not None:
            self._take(state, "Read", strict.read_rate_limit, cost)

    def _take(self, state: CollectionState, kind: Kind, per_minute: int, cost: int) -> None:
        now_s = self._clock.monotonic_ms() / 1000
        self._rates.take(state.uuid, kind, per_minute=per_minute, cost=cost, now_s=now_s)


def strict_of(state: CollectionState) -> StrictModeConfig | None:
    """The limits of a collection; None: it has none."""
    strict = state.config.strict_mode_config
    return strict if strict is not None and strict.enabled else None


def _strict(state: CollectionState, options: ReadOptions) -> StrictModeConfig | None:
    return None if options.admitted else strict_of(state)
