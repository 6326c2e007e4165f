"""Sparse vectors of one name in one segment, and their exact search by scanning them.

A point's score is the dot product; points that share no index with the query are no results (reference 9.5).
Products are summed in 64 bits in the order of the indices, so a pair has the same score in any segment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from node import bits
from node.bits import PackedBits
from node.bits import Slots as Rows
from node.index import HnswGraph
from node.index.exact import select
from node.segments.dense import FloatArray, Ranking, blank
from node.segments.hints import NO_HINTS, Hints
from node.segments.rows import Ragged
from node.segments.schema import VectorSchema
from protos.ragged import Positions, elements_of, owners_of
from protos.shard import QuantizationSearchParams, SparseVector, Way

_BLOCK_ELEMENTS = 1 << 20
_SIEVE = 1 << 16  # indices are first looked up by their low bits: most that do not match fall out
_GATHERED_SHARE = 8  # picking rows out is worth it if they are fewer than one in this many


class SparseVectors:
    """``rows.parts`` are indices and values."""

    __slots__ = ("present", "rows", "schema")

    def __init__(self, schema: VectorSchema, rows: Ragged, present: PackedBits | None) -> None:
        self.schema, self.rows, self.present = schema, rows, present

    @property
    def graph(self) -> HnswGraph | None:
        return None

    @property
    def indexed(self) -> bool:
        return False

    @property
    def indices(self) -> npt.NDArray[np.uint32]:
        return self.rows.parts[0]

    @property
    def values(self) -> FloatArray:
        return self.rows.parts[1]

    def search(
        self,
        queries: Sequence[SparseVector],
        k: int,
        allowed: PackedBits | None,
        *,
        ef: int | None,  # noqa: ARG002
        exact: bool,  # noqa: ARG002
        quantization: QuantizationSearchParams | None = None,  # noqa: ARG002
        hints: Hints = NO_HINTS,
    ) -> Ranking:
        """Rows and similarities, both (nq, <= k), best first, padded with NO_ROW and -inf."""
        count = len(self.rows)
        few = hints.rows
        if few is not None:
            count, allowed = len(few), None
        elif allowed is not None:
            allowed = bits.trimmed(allowed, count)
            count = bits.count(allowed)
            few = bits.unpack(allowed) if count * _GATHERED_SHARE < len(self.rows) else None
        if hints.trace is not None:
            scored = count * len(queries)
            hints.trace.step(Way.ROWS, queries=len(queries), matching=count, scored=scored)
        ranking = blank(len(queries), min(k, count))
        for i, query in enumerate(queries):
            found, scores = self._scores(query, few)
            if allowed is not None and few is None:
                kept = bits.contains(allowed, found)
                found, scores = found[kept], scores[kept]
            best = select(scores, min(k, len(scores)))
            ranking[0][i, : len(best)], ranking[1][i, : len(best)] = found[best], scores[best]
        return ranking

    def similarities(self, queries: Sequence[SparseVector], rows: Rows) -> FloatArray:
        """(nq, len(rows)), 0 where no index is shared; ``rows``: ascending, such as have a vector."""
        table = np.zeros((len(queries), len(rows)), dtype=np.float32)
        for query, out in zip(queries, table, strict=True):
            found, scores = self._scores(query, rows)
            out[np.searchsorted(rows, found)] = scores
        return table

    def _scores(self, query: SparseVector, rows: Rows | None) -> tuple[Rows, FloatArray]:
        """The rows, ascending, of ``rows`` or of all, that share an index with the query; their scores."""
        elements, weights = self._matches(query, rows)
        if not len(elements):
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
        owners = owners_of(self.rows.offsets, elements)
        products = self.values[elements].astype(np.float64) * weights
        starts = np.flatnonzero(np.concatenate([[True], owners[1:] != owners[:-1]]))
        return owners[starts], np.add.reduceat(products, starts).astype(np.float32)

    def _matches(self, query: SparseVector, rows: Rows | None) -> tuple[Positions, npt.NDArray[np.float64]]:
        """The elements, ascending, whose index the query has, and the query's weight of each."""
        if not len(query.indices):
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64)
        sieve = np.zeros(_SIEVE, dtype=np.bool_)
        sieve[query.indices & (_SIEVE - 1)] = True
        found, weights = [], []
        for elements in self._blocks(rows):
            indices = self.indices[elements]
            maybe = np.flatnonzero(sieve[indices & (_SIEVE - 1)])
            place = np.searchsorted(query.indices, indices[maybe])
            place[place == len(query.indices)] = 0
            match = query.indices[place] == indices[maybe]
            maybe = maybe[match]
            found.append(maybe + elements.start if isinstance(elements, slice) else elements[maybe])
            weights.append(query.values[place[match]].astype(np.float64))
        return np.concatenate(found), np.concatenate(weights)

    def _blocks(self, rows: Rows | None) -> Iterator[slice | Positions]:
        """The elements of ``rows`` (None: all), at least one block."""
        if rows is not None:
            elements, _ = elements_of(self.rows.offsets, rows)
            for first in range(0, max(1, len(elements)), _BLOCK_ELEMENTS):
                yield elements[first : first + _BLOCK_ELEMENTS]
            return
        for first in range(0, max(1, len(self.indices)), _BLOCK_ELEMENTS):
            yield slice(first, first + _BLOCK_ELEMENTS)
