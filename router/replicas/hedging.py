"""When to ask a second replica because the first is slow.

Lives here: latencies seen, the delay that follows from them, the budget of extra requests.
May not live here: clocks and asking; times come in as arguments.

Source: Dean and Barroso, "The Tail at Scale" (2013): asking again only after the delay that most requests
stay below costs a few per cent of load and cuts the tail. The budget keeps a shard that is slow
everywhere from being asked twice as much when it can bear it least.
"""

from __future__ import annotations

from collections import deque

SAMPLES_MAX = 256
SAMPLES_MIN = 16  # below this the delay is a guess
DELAY_MS_MIN = 5.0
DELAY_MS_MAX = 1_000.0
DELAY_MS_FIRST = 100.0
PERCENTILE = 0.95
BUDGET_PER_READ = 0.1  # extra requests earned by each read
BUDGET_MAX = 10.0


class Hedging:
    """The hedging of one shard's reads. Not for several threads."""

    def __init__(self) -> None:
        self._latencies_ms: deque[float] = deque(maxlen=SAMPLES_MAX)
        self._budget = BUDGET_MAX

    def delay_ms(self, fixed_ms: int | None) -> float:
        """How long to wait for an answer before asking one more replica.

        ``fixed_ms`` (``read_fan_out_delay_ms``) wins; else it is the 95th percentile of what was seen.
        """
        if fixed_ms is not None:
            return float(fixed_ms)
        if len(self._latencies_ms) < SAMPLES_MIN:
            return DELAY_MS_FIRST
        ranked = sorted(self._latencies_ms)
        seen = ranked[int(PERCENTILE * (len(ranked) - 1))]
        return min(max(seen, DELAY_MS_MIN), DELAY_MS_MAX)

    def answered(self, latency_ms: float) -> None:
        self._latencies_ms.append(latency_ms)

    def earn(self) -> None:
        self._budget = min(self._budget + BUDGET_PER_READ, BUDGET_MAX)

    def spend(self) -> bool:
        """May one more replica be asked now?"""
        if self._budget < 1:
            return False
        self._budget -= 1
        return True
