"""Searches of one segment that are one call: a walk, or a scan of codes, with all that queries do not change.

Lives here: carrying them out. May not live here: which of them is taken (``dense``), slots.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from node.bits import PackedBits
from node.bits import Slots as Rows
from node.index import HnswGraph
from node.index.walk import ScoredGraph
from node.measures import SEGMENT_SEARCHES
from protos.shard import Way

FloatArray = npt.NDArray[np.float32]
Ranking = tuple[Rows, FloatArray]
Beside = Callable[[Ranking], Ranking]
"""Makes a ranking of nodes one of rows, where they are not the same."""


class PlainSearch(Protocol):
    """``width``: nodes that it keeps; ``nbytes``: of what it holds on to."""

    @property
    def width(self) -> int: ...

    @property
    def nbytes(self) -> int: ...

    def find(self, queries: FloatArray) -> Ranking | None:
        """As ``VectorsView.search``, of C-contiguous queries; None: it takes more than this."""


class PlainWalk:
    """One walk, of which enough nodes may be returned. Implements ``PlainSearch``."""

    __slots__ = ("_beside", "_count", "_counter", "_enough", "_k", "_mask", "_search", "width")

    def __init__(
        self,
        scored: ScoredGraph,
        width: int,
        count: int,
        k: int,
        enough: int,
        mask: PackedBits | None,
        way: Way,
        beside: Beside | None = None,
    ) -> None:
        """``count`` of a walk's ``width`` nodes are scored; of all, ``enough`` must be in ``mask``."""
        self._search, self.width, self._count = scored.search, width, count
        self._k, self._enough, self._mask = k, enough, mask
        self._counter, self._beside = SEGMENT_SEARCHES[way], beside

    @property
    def nbytes(self) -> int:
        return 0 if self._mask is None else self._mask.nbytes

    def find(self, queries: FloatArray) -> Ranking | None:
        many = len(queries)
        rows, scores = np.empty((many, self._k), dtype=np.int64), np.empty((many, self._k), dtype=np.float32)
        walked = np.empty((many, 2), dtype=np.int64)
        self._search(queries, self.width, self._count, rows, scores, walked, self._mask)
        if (walked[0, 1] if many == 1 else walked[:, 1].min()) < self._enough:
            return None
        self._counter.inc(many)
        return (rows, scores) if self._beside is None else self._beside((rows, scores))


class PlainCodes:
    """One walk, whose nodes are worth what their codes tell. Implements ``PlainSearch``."""

    __slots__ = ("_beside", "_counter", "_graph", "_k", "_whole", "width")

    def __init__(
        self, graph: HnswGraph, width: int, whole: int, k: int, way: Way, beside: Beside | None = None
    ) -> None:
        """``whole`` of a walk's ``width`` nodes are compared by whole codes."""
        self._graph, self.width, self._whole, self._k = graph, width, whole, k
        self._counter, self._beside = SEGMENT_SEARCHES[way], beside

    @property
    def nbytes(self) -> int:
        return 0

    def find(self, queries: FloatArray) -> Ranking | None:
        found = rows, _ = self._graph.search(queries, self.width, self._k, self._whole)
        if (rows[0, -1] if len(rows) == 1 else rows[:, -1].min()) < 0:
            return None
        self._counter.inc(len(queries))
        return found if self._beside is None else self._beside(found)


class PlainScan:
    """The codes of all rows that may be returned. Implements ``PlainSearch``."""

    __slots__ = ("_beside", "_count", "_counter", "_k", "_mask", "_rows", "_scan", "width")

    def __init__(
        self,
        scored: ScoredGraph,
        rows: Rows | None,
        mask: PackedBits | None,
        count: int,
        k: int,
        way: Way,
        beside: Beside | None = None,
    ) -> None:
        """Either ``rows``, ascending, or ``mask`` says which; ``count`` of them are scored."""
        self._scan, self._rows, self._mask = scored.scan, rows, mask
        self._count, self._k, self.width = count, k, 0
        self._counter, self._beside = SEGMENT_SEARCHES[way], beside

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in (self._rows, self._mask) if part is not None)

    def find(self, queries: FloatArray) -> Ranking | None:
        many = len(queries)
        rows, scores = np.empty((many, self._k), dtype=np.int64), np.empty((many, self._k), dtype=np.float32)
        self._scan(queries, self._count, rows, scores, self._rows, self._mask)
        self._counter.inc(many)
        return (rows, scores) if self._beside is None else self._beside((rows, scores))
