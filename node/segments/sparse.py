"""Sparse vectors of one name in one segment, and their exact search: by scanning them or an inverted index.

A point's score is the dot product; points that share no index with the query are no results (reference 9.5).
Products are summed in 64 bits in the order of the indices, so a pair has the same score in any segment. The
index only says which rows may be among the best; those are scored like any other.

Invariant: every row that a caller may allow and that has a vector is in the index, if there is one (rows kept
out were dead when it was built, and slots never come back to life).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from node import bits
from node.bits import PackedBits
from node.bits import Slots as Rows
from node.index import HnswGraph, SparseIndex, SparseParams
from node.index.exact import select
from node.index.summing import dot_rows
from node.segments.dense import Chosen, FloatArray, Ranking, blank, chosen_of
from node.segments.hints import NO_HINTS, Hints
from node.segments.rows import Ragged
from node.segments.schema import VectorSchema
from node.segments.trace import tell
from protos.ragged import Positions, elements_of, owners_of
from protos.shard import QuantizationSearchParams, SparseVector, Way

_BLOCK_ELEMENTS = 1 << 20
_SIEVE = 1 << 16  # indices are first looked up by their low bits: most that do not match fall out
_GATHERED_SHARE = 8  # picking rows out is worth it if they are fewer than one in this many
# Measured: comparing one element of a row takes as long as summing so many postings, and for each row of the
# segment the index has this much to do besides, for each index of a query, and for a search.
_ELEMENT_POSTINGS, _ROW_POSTINGS = 1.1, 0.75
_TERM_POSTINGS, _SEARCH_POSTINGS = 1600, 30_000


class SparseVectors:
    """``rows.parts`` are indices and values."""

    __slots__ = ("_filled", "index", "present", "rows", "schema")

    def __init__(
        self, schema: VectorSchema, rows: Ragged, present: PackedBits | None, index: SparseIndex | None = None
    ) -> None:
        self.schema, self.rows, self.present, self.index = schema, rows, present, index
        self._filled: PackedBits | None = None

    @property
    def graph(self) -> HnswGraph | None:
        return None

    @property
    def built(self) -> SparseParams | None:
        return None if self.index is None else SparseParams(self.index.datatype)

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
        exact: bool,
        quantization: QuantizationSearchParams | None = None,  # noqa: ARG002
        hints: Hints = NO_HINTS,
    ) -> Ranking:
        """Rows and similarities, both (nq, <= k), best first, padded with NO_ROW and -inf."""
        chosen = chosen_of(len(self.rows), self.present, allowed, hints.rows)
        k = min(k, chosen.count)
        ranking = blank(len(queries), k)
        ways: dict[Way, list[int]] = {}
        for i, query in enumerate(queries):
            index = None
            if not exact and k > 0:
                index = self._index_for(query.indices, chosen, hints.full_scan_rows)
            if index is None:
                way, rows, scored = Way.ROWS, chosen.rows(), chosen.count
            else:
                rows = index.candidates(query.indices, query.values, k, self._mask(chosen))
                way, scored = Way.INVERTED, len(rows)
            ways.setdefault(way, []).append(scored)
            found, scores = self._scores(query, rows)
            best = select(scores, min(k, len(scores)))
            ranking[0][i, : len(best)], ranking[1][i, : len(best)] = found[best], scores[best]
        for way, compared in ways.items():
            tell(
                hints.trace,
                way,
                queries=len(compared),
                matching=chosen.count,
                scored=sum(compared),
                row_bytes=self.rows.row_bytes,
            )
        return ranking

    def similarities(self, queries: Sequence[SparseVector], rows: Rows) -> FloatArray:
        """(nq, len(rows)), 0 where no index is shared; ``rows``: ascending, such as have a vector."""
        table = np.zeros((len(queries), len(rows)), dtype=np.float32)
        for query, out in zip(queries, table, strict=True):
            found, scores = self._scores(query, rows)
            out[np.searchsorted(rows, found)] = scores
        return table

    def frequencies(
        self, indices: npt.NDArray[np.uint32], allowed: PackedBits | None, rows: Rows | None
    ) -> tuple[int, npt.NDArray[np.int64]]:
        """How many of the rows allowed (or listed; neither: all) have any element, and how many have each of
        ``indices`` (ascending); (len(indices),)."""
        chosen = chosen_of(len(self.rows), self.present, allowed, rows)
        points = chosen_of(len(self.rows), self._with_elements(), allowed, rows).count
        index = self._index_for(indices, chosen, 0)
        if index is not None:
            mask = self._mask(chosen)
            return points, index.postings(indices) if mask is None else index.frequencies(indices, mask)
        few = chosen.count * _GATHERED_SHARE < len(self.rows)
        elements = self._matches(indices, chosen.rows() if few else None)
        mask = chosen.mask(len(self.rows))
        if not few and mask is not None:
            elements = elements[bits.contains(mask, owners_of(self.rows.offsets, elements))]
        places = np.searchsorted(indices, self.indices[elements])
        return points, np.bincount(places, minlength=len(indices))

    def _with_elements(self) -> PackedBits:
        if self._filled is None:
            self._filled = bits.pack_mask(np.diff(self.rows.offsets) > 0)
        return self._filled

    def _index_for(
        self, wanted: npt.NDArray[np.uint32], chosen: Chosen, full_scan_rows: int
    ) -> SparseIndex | None:
        """The index, unless scoring all chosen rows is cheaper or asked for."""
        if self.index is None or chosen.count <= full_scan_rows:
            return None
        elements = len(self.indices) * chosen.count / max(1, len(self.rows))  # as if all had as many
        postings = int(self.index.postings(wanted).sum())
        scanning = elements * _ELEMENT_POSTINGS
        fixed = _SEARCH_POSTINGS + len(wanted) * _TERM_POSTINGS
        summing = postings + fixed + len(self.rows) * _ROW_POSTINGS
        return self.index if summing < scanning else None

    def _mask(self, chosen: Chosen) -> PackedBits | None:
        """None: no row of the index need be left out."""
        assert self.index is not None
        return None if chosen.count == self.index.count else chosen.mask(len(self.rows))

    def _scores(self, query: SparseVector, rows: Rows | None) -> tuple[Rows, FloatArray]:
        """The rows, ascending, of ``rows`` or of all, that share an index with the query; their scores."""
        count = len(self.rows) if rows is None else len(rows)
        scores, shared = np.empty(count, dtype=np.float32), np.empty(count, dtype=np.bool_)
        stored = self.rows.offsets, self.indices, self.values
        dot_rows(*stored, rows, query.indices, query.values, scores, shared)
        kept = np.flatnonzero(shared)
        return kept if rows is None else rows[kept], scores[kept]

    def _matches(self, wanted: npt.NDArray[np.uint32], rows: Rows | None) -> Positions:
        """The elements of ``rows`` (None: all), ascending, whose index is one of ``wanted``."""
        if not len(wanted):
            return np.empty(0, dtype=np.int64)
        sieve = np.zeros(_SIEVE, dtype=np.bool_)
        sieve[wanted & (_SIEVE - 1)] = True
        found = []
        for elements in self._blocks(rows):
            indices = self.indices[elements]
            maybe = np.flatnonzero(sieve[indices & (_SIEVE - 1)])
            place = np.searchsorted(wanted, indices[maybe])
            place[place == len(wanted)] = 0
            maybe = maybe[wanted[place] == indices[maybe]]
            found.append(maybe + elements.start if isinstance(elements, slice) else elements[maybe])
        return np.concatenate(found)

    def _blocks(self, rows: Rows | None) -> Iterator[slice | Positions]:
        """The elements of ``rows`` (None: all), at least one block."""
        if rows is not None:
            elements, _ = elements_of(self.rows.offsets, rows)
            for first in range(0, max(1, len(elements)), _BLOCK_ELEMENTS):
                yield elements[first : first + _BLOCK_ELEMENTS]
            return
        for first in range(0, max(1, len(self.indices)), _BLOCK_ELEMENTS):
            yield slice(first, first + _BLOCK_ELEMENTS)
