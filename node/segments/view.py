"""One segment as a reader sees it: immutable vectors, presence and graphs of a range of slots.

Invariant: arrays are read-only and stay valid after the segment's files are unlinked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from node.bits import PackedBits, Slots
from node.index import NO_ROW, GraphParams, HnswGraph, SparseParams
from node.segments.dense import FloatArray, Ranking, VectorsView, blank, chosen_of
from node.segments.hints import NO_HINTS, Hints
from node.segments.kinds import NamedVectors
from node.segments.plain import PlainSearch
from node.segments.rows import Dense, Ragged
from node.segments.schema import VectorSchema
from node.segments.value_graphs import ValuedVectors
from node.segments.values import ValueGraphParams
from protos.shard import QuantizationSearchParams


class SegmentView:
    """Slots [start, start + rows) and their vectors. ``capacity`` is what the range may grow to.

    Attributes:
        id: unique among all segments of the shard; the name of ``directory``.
    """

    def __init__(
        self,
        directory: Path,
        *,
        start: int,
        rows: int,
        capacity: int,
        vectors: Mapping[str, NamedVectors],
        measure: Callable[[], int],
    ) -> None:
        assert start % 64 == 0
        self.id = directory.name
        self.directory = directory
        self.start = start
        self.rows = rows
        self.capacity = capacity
        self._vectors = dict(vectors)
        self._measure = measure

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._vectors)

    @property
    def schemas(self) -> tuple[VectorSchema, ...]:
        return tuple(vectors.schema for vectors in self._vectors.values())

    @property
    def bytes_on_disk(self) -> int:
        """Asks the file system."""
        return self._measure()

    def dense(self, name: str) -> tuple[Dense, PackedBits | None]:
        """Rows (rows, dim) and packed presence (None: all). Raises: KeyError for a name it lacks."""
        vectors = self._vectors[name]
        assert not isinstance(vectors.rows, Ragged)
        return vectors.rows, vectors.present

    def vectors(self, name: str) -> NamedVectors:
        """Of any kind. Raises: KeyError for a name it lacks."""
        return self._vectors[name]

    def graph(self, name: str) -> HnswGraph | None:
        vectors = self._vectors.get(name)
        return vectors.graph if vectors else None

    def value_graphs(self, name: str) -> ValueGraphParams | None:
        """What its graphs of payload values were made for; None: none were asked for."""
        vectors = self._vectors.get(name)
        return vectors.values.wanted if isinstance(vectors, ValuedVectors) else None

    def built(self, name: str) -> GraphParams | SparseParams | None:
        """What the index of a vector name was built with; None: it has none."""
        vectors = self._vectors.get(name)
        return vectors.built if vectors else None

    def vector(self, slot: int, name: str) -> FloatArray | None:
        """The dense row (dim,) of ``slot``, which is in range; None if the point has no such vector."""
        vectors = self._vectors.get(name)
        row = slot - self.start
        assert 0 <= row < self.rows
        if vectors is None:
            return None
        if vectors.present is not None and not vectors.present[row >> 3] >> (row & 7) & 1:
            return None
        found: FloatArray = self.dense(name)[0][row : row + 1][0]
        return found

    def rows_having(self, name: str, allowed: PackedBits | None, rows: Slots | None) -> Slots:
        """The rows, ascending, with such a vector: of ``rows``, or else of packed ``allowed`` (None: all).

        Raises: KeyError for a name it lacks.
        """
        chosen = chosen_of(self.rows, self._vectors[name].present, allowed, rows).rows()
        return np.arange(self.rows, dtype=np.int64) if chosen is None else chosen

    def search(
        self,
        name: str,
        queries: Any,
        k: int,
        *,
        allowed: PackedBits | None = None,
        allowed_count: int | None = None,
        ef: int | None = None,
        exact: bool = False,
        quantization: QuantizationSearchParams | None = None,
        hints: Hints = NO_HINTS,
    ) -> Ranking:
        """The k most similar rows to each query, exactly or by the graph, whichever serves better.

        Args:
            queries: dense: (nq, dim) float32, normalised for Cosine; sparse: a list of ``SparseVector``.
            allowed: packed bits of the rows of this segment that may be returned (bits past ``rows`` are
                ignored); None: those of ``hints.rows``, or else all, which are live then.
            allowed_count: set bits in it, if known; all rows set saves work.
            ef: nodes a graph walk keeps (raised to fit ``k`` and the filter); None: ``ef_construct``.
            quantization: what to do with the codes of a quantized graph.

        Returns: slots int64 and internal similarities float32, both (nq, k'), k' <= k, best first; missing
            ones are -1 and -inf. Equal similarities go by slot. No results for a name it lacks.
        """
        vectors = self._vectors.get(name)
        if vectors is None or not self.rows:
            return blank(len(queries), 0)
        if allowed_count is not None and allowed_count >= self.rows:
            allowed = None
        if hints.trace is not None:
            hints.trace.enter(self.id, self.rows if allowed_count is None else allowed_count)
        rows, scores = vectors.search(
            queries, k, allowed, ef=ef, exact=exact, quantization=quantization, hints=hints
        )
        return self._slots(rows), scores

    def plain_search(
        self,
        name: str,
        k: int,
        *,
        allowed: PackedBits | None,
        allowed_count: int,
        ef: int | None,
        quantization: QuantizationSearchParams | None,
        hints: Hints = NO_HINTS,
    ) -> PlainSearch | None:
        """What ``search`` with these arguments is, of float32 vectors, if it is one call; it finds rows."""
        vectors = self._vectors.get(name)
        if not isinstance(vectors, VectorsView) or (isinstance(vectors, ValuedVectors) and hints.values):
            return None
        if allowed is None and hints.rows is None and allowed_count < self.rows:
            return None
        if allowed_count >= self.rows:
            allowed, hints = None, replace(hints, rows=None)
        return vectors.plain_search(k, allowed, ef=ef, quantization=quantization, hints=hints)

    def _slots(self, rows: Slots) -> Slots:
        """Of rows (nq, k), of which the missing ones come last."""
        if not self.start:
            return rows
        slots = rows + self.start
        if rows.size and rows[:, -1].min() < 0:
            slots[rows < 0] = NO_ROW
        return slots
