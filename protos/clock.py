"""The clock port: decisions take time as an argument, shells read it here."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    def monotonic_ms(self) -> int:
        """Milliseconds that never go back; for durations, deadlines and leases."""

    def unix_ms(self) -> int:
        """Wall time; for display and for tokens only, never for order."""


class SystemClock:
    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def unix_ms(self) -> int:
        return time.time_ns() // 1_000_000
