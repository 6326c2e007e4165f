"""What filtered searches are compared on, and an engine as the comparison sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from vecraft.bench.data import FloatMatrix

SHARES = (0.0001, 0.001, 0.01, 0.1, 0.5, 0.9)
K, M = 10, 16
FIELD = "tags"


class SelectivityPlan(Struct, frozen=True):
    """``base`` (n, dim) and ``queries`` (m, dim): float32 of unit length. ``edge``: compare with it.

    ``fresh``: no filter is asked for twice.
    """

    title: str
    base: FloatMatrix
    queries: FloatMatrix
    folder: Path
    shares: Sequence[float] = SHARES
    edge: bool = True
    fresh: bool = False
    threads: int = 2
    graph: bool = True  # of all rows
    tenants: bool = False  # do points of a tag share graphs of their own? (``payload_m``, ``is_tenant``)

    def alternative(self, query: int) -> str | None:
        """A tag that no point has, which makes the filter one of this query alone; None: none is wanted."""
        return f"none-{query}" if self.fresh else None


class Engine(Struct, frozen=True):
    """``ask(query number, tag or None)`` makes a request, ``answer`` runs it and is what is timed."""

    name: str
    ask: Callable[[int, str | None], Any]
    answer: Callable[[Any], Any]
    ids: Callable[[Any], list[int]]
