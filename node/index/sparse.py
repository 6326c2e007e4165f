"""An inverted index over sparse vectors, mapped from its file, and search for candidates.

Like a graph it answers with *candidates*: the true k best and a few more, to be scored again on the vectors
themselves. It never misses one: scores are summed in 32 bits from codes, and whatever lies within the
possible error of the edge is a candidate.

Weights may be negative, and so may values. Points that share no index with the query are no candidates.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from node import bits
from node.bits import PackedBits
from node.bits import Slots as Rows
from node.index.sparse_file import (
    UINT8_STEPS,
    Block,
    Header,
    SparseIndexCorrupted,
    map_block,
    read_header,
)
from node.index.summing import add_postings
from protos.collections import Datatype

FloatArray = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.uint32]
Weights = npt.NDArray[np.float64]

_ROUNDING = 2.0**-24  # of one operation in 32 bits, relative
_WEIGHT_MAX = 1e30  # of a scaled weight: stored values may be so small that scores of 1 would need more
_TINY = 1e-300
_GROUP = 64  # scores that share a maximum
_MINUS_INFINITY = np.int32(np.float32(-np.inf).view(np.int32))

_GROUPS_PER_RESULT = 4
# Looking at all scores costs like summing two thirds as many postings, scoring a candidate like this many:
_RESCORED = 600
# So an early end is looked for if so many postings are left for each row, and before terms of this share.
_WORTH_PRUNING, _HEAVY = 2, 16
_LOOK_POSTINGS = 20_000  # and if so many are left: looking takes as long as summing these, whatever the rows


class Found(Struct, frozen=True, eq=False):
    """Rows of a block that begins at row ``first``, counted from there and ascending, with bounds of their
    scores (without the margin of error)."""

    first: int
    rows: Rows
    least: Weights
    most: Weights


class _Tolerance(Struct, frozen=True):
    """``margin``: how far a sum may be off its score; ``largest``: beyond it scores are infinite."""

    margin: float
    largest: float

    def reach(self, edge: float) -> float:
        """What a row must be summed to if its score may be no less than that of a sum of ``edge``."""
        if edge - 2 * self.margin <= -self.largest:
            return -np.inf
        return min(edge, self.largest) - 2 * self.margin


class _Term(Struct, frozen=True):
    """What one index of the query can add to the scores of a block: between ``least`` and ``most``."""

    place: int
    start: int
    postings: int
    weight: float
    least: float
    most: float


class SparseIndex:
    """Attributes:
    rows: of the matrix that was indexed; ``count``: how many of them were.
    datatype: of the codes.
    """

    def __init__(self, header: Header, blocks: tuple[Block, ...]) -> None:
        self.rows, self.count, self.datatype = header.rows, header.count, header.datatype
        self._blocks = blocks

    @classmethod
    def open(cls, path: Path) -> SparseIndex:
        """Map it; nothing but the header is read. Raises: OSError, SparseIndexCorrupted."""
        header = read_header(path)
        return cls(header, tuple(map_block(path, entry, header.datatype) for entry in header.blocks))

    def postings(self, indices: Numbers) -> npt.NDArray[np.int64]:
        """How many indexed rows have each of ``indices``; (len(indices),)."""
        total = np.zeros(len(indices), dtype=np.int64)
        for block in self._blocks:
            places, known = _places(block, indices)
            total[known] += block.starts[places + 1] - block.starts[places]
        return total

    def frequencies(self, indices: Numbers, allowed: PackedBits) -> npt.NDArray[np.int64]:
        """How many ``allowed`` rows have each of ``indices``; (len(indices),)."""
        total = np.zeros(len(indices), dtype=np.int64)
        for block in self._blocks:
            part = _part(allowed, block)
            places, known = _places(block, indices)
            for position, place in zip(known.tolist(), places.tolist(), strict=True):
                rows = _rows(block, int(block.starts[place]), int(block.starts[place + 1]))
                total[position] += int(np.count_nonzero(bits.contains(part, rows)))
        return total

    def candidates(self, indices: Numbers, weights: FloatArray, k: int, allowed: PackedBits | None) -> Rows:
        """Rows, ascending, that hold the k best allowed ones by dot product, ties at the edge included.

        Args:
            indices, weights: of the query, indices ascending.
            allowed: packed bits of rows; None: all that were indexed.
        """
        scaled, tolerance = self._scale(indices, weights.astype(np.float64))
        found: list[Found] = []
        edge = -np.inf  # at least k rows of the blocks so far score that much
        for block in self._blocks:
            terms = list(_terms(block, indices, scaled))
            if not terms or k == 0:
                continue
            part = None if allowed is None else _part(allowed, block)
            if part is not None and not part.any():
                continue
            found.append(_search(block, terms, k, part, edge, tolerance))
            edge = max(edge, kth_largest(np.concatenate([one.least for one in found]), k))
        if not found:
            return np.empty(0, dtype=np.int64)
        near = [(one.rows[one.most >= tolerance.reach(edge)], one.first) for one in found]
        return np.concatenate([rows + first for rows, first in near])

    def _scale(self, indices: Numbers, weights: Weights) -> tuple[Weights, _Tolerance]:
        """Weights so that no sum exceeds 1 (nothing can overflow), and what that does to scores."""
        size, error = np.zeros(len(indices)), np.zeros(len(indices))
        for block in self._blocks:
            places, known = _places(block, indices)
            largest = np.maximum(np.abs(block.low[places]), np.abs(block.high[places]))
            size[known] = np.maximum(size[known], largest)
            error[known] = np.maximum(error[known], block.error[places])
        bound = float(np.abs(weights) @ size)
        scale = 1 / max(bound, float(np.abs(weights).max(initial=0.0)) / _WEIGHT_MAX, _TINY)
        scaled = weights * scale
        margin = float(np.abs(scaled) @ error) + (len(indices) + 8) * 2 * _ROUNDING
        return scaled, _Tolerance(margin, float(np.finfo(np.float32).max) * scale)


def _places(block: Block, indices: Numbers) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where the indices that occur are in the block's list, and which of ``indices`` those are."""
    places = np.searchsorted(block.indices, indices)
    known = np.flatnonzero(places < len(block.indices))
    known = known[block.indices[places[known]] == indices[known]]
    return places[known], known


def _terms(block: Block, indices: Numbers, weights: Weights) -> Iterator[_Term]:
    places, known = _places(block, indices)
    own = weights[known]
    ends = own * block.low[places], own * block.high[places]
    least = np.minimum(np.minimum(*ends), 0.0).tolist()
    most = np.maximum(np.maximum(*ends), 0.0).tolist()
    starts = block.starts[places]
    postings = (block.starts[places + 1] - starts).tolist()
    for fields in zip(places.tolist(), starts.tolist(), postings, own.tolist(), least, most, strict=True):
        yield _Term(*fields)


def _rows(block: Block, start: int, stop: int) -> npt.NDArray[np.int32]:
    """The rows of postings [start, stop), looked at: sums are written where they say, whatever it is.

    Raises: SparseIndexCorrupted.
    """
    rows = block.rows[start:stop]
    if len(rows) and int(rows.view(np.uint32).max()) >= block.length:
        raise SparseIndexCorrupted(f"postings [{start}, {stop}) name rows that are none of {block.length}")
    return rows


def _part(allowed: PackedBits, block: Block) -> PackedBits:
    assert block.first % 8 == 0
    return bits.fit(allowed[block.first >> 3 :], bits.bytes_for(block.length))


def _search(
    block: Block,
    terms: list[_Term],
    k: int,
    allowed: PackedBits | None,
    edge: float,
    tolerance: _Tolerance,
) -> Found:
    """The block's rows that may be among the k best, given that k rows elsewhere score ``edge`` or more.

    Postings are summed term after term, those first that can add most per posting. Once the rest cannot
    lift an unseen row over the edge and few seen ones, these are the answer.
    """
    terms = sorted(terms, key=lambda term: (term.most - term.least) / term.postings, reverse=True)
    scores = _Scores(block, allowed, k)
    postings, least, most = (sum(values) for values in zip(*((t.postings, t.least, t.most) for t in terms)))
    waiting: list[_Term] = []
    for term in terms:
        worth = postings > max(block.length * _WORTH_PRUNING, _LOOK_POSTINGS)
        if worth and term.postings > block.length // _HEAVY:
            _add(block, waiting, scores.rows)
            waiting = []
            found = scores.above(edge, least, most, tolerance, rows_max=postings // _RESCORED)
            if found is not None:
                return found
        waiting.append(term)
        postings, least, most = postings - term.postings, least - term.least, most - term.most
    _add(block, waiting, scores.rows)
    found = scores.above(edge, 0.0, 0.0, tolerance, rows_max=block.length)
    return found or _touched(block, terms, scores.rows, k, tolerance)


class _Scores:
    """Scores of a block's rows while they are summed, minus infinity where a row is not allowed.

    They are kept in a buffer of the thread, so there is one at a time.
    """

    def __init__(self, block: Block, allowed: PackedBits | None, k: int) -> None:
        length = block.length
        padded = (length + _GROUP - 1) // _GROUP * _GROUP
        self._padded = _buffer(padded)
        self._padded[length:] = -np.inf
        self._first, self._k = block.first, k
        self._group = _GROUP
        while self._group > 1 and padded < self._group * k * _GROUPS_PER_RESULT:
            self._group //= 4
        self.rows = self._padded[:length]
        if allowed is None:
            self.rows.fill(0.0)
        else:
            flags = np.unpackbits(allowed, count=length, bitorder="little")
            numbers = self.rows.view(np.int32)
            np.subtract(flags, 1, out=numbers, dtype=np.int32)
            numbers &= _MINUS_INFINITY  # 0 stays 0.0, -1 becomes minus infinity

    def above(
        self, edge: float, least: float, most: float, tolerance: _Tolerance, rows_max: int
    ) -> Found | None:
        """The rows that may reach the edge if each gains from ``least`` to ``most``.

        None: they are more than ``rows_max``, or rows that share nothing with the query would be among them.
        """
        groups = self._padded.reshape(self._group, -1)
        maxima = groups.max(axis=0)
        edge = max(edge, kth_largest(maxima, self._k) + least)  # k groups hold k rows at least
        cut = tolerance.reach(edge) - most
        if not cut > 0:
            return None
        near = np.flatnonzero(maxima >= np.float32(cut))
        if len(near) > rows_max:
            return None
        picked = groups[:, near]
        members, columns = np.nonzero(picked >= np.float32(cut))
        if len(members) > rows_max:
            return None
        rows = np.sort(members * groups.shape[1] + near[columns])
        scores = self.rows[rows].astype(np.float64)
        return Found(self._first, rows, scores + least, scores + most)


def _touched(block: Block, terms: list[_Term], scores: FloatArray, k: int, tolerance: _Tolerance) -> Found:
    """Rows among those that have a posting: needed if the k best are not all above 0."""
    flags = np.zeros(block.length, dtype=np.bool_)
    for term in terms:
        flags[_rows(block, term.start, term.start + term.postings)] = True
    flags &= scores > -np.inf
    rows = np.flatnonzero(flags)
    own = scores[rows].astype(np.float64)
    near = own >= tolerance.reach(kth_largest(own, k))
    return Found(block.first, rows[near], own[near], own[near])


def _add(block: Block, terms: list[_Term], scores: FloatArray) -> None:
    """Raises: SparseIndexCorrupted."""
    if not terms:
        return
    starts = np.array([term.start for term in terms], dtype=np.int64)
    ends = starts + np.array([term.postings for term in terms], dtype=np.int64)
    factors, bases = np.array([term.weight for term in terms]), np.zeros(len(terms))
    if block.datatype is Datatype.UINT8:
        places = [term.place for term in terms]
        low, high = block.low[places].astype(np.float64), block.high[places].astype(np.float64)
        factors, bases = factors * (high - low) / UINT8_STEPS, factors * low
    told = factors.astype(np.float32), bases.astype(np.float32)
    if not add_postings(scores, block.rows, block.codes, starts, ends, *told):
        raise SparseIndexCorrupted(f"postings name rows that are none of {block.length}")


def kth_largest(values: npt.NDArray[np.floating], k: int) -> float:
    """Minus infinity if there are fewer."""
    if len(values) < k:
        return -np.inf
    return float(np.partition(values, len(values) - k)[len(values) - k])


def _buffer(size: int) -> FloatArray:
    kept: FloatArray | None = getattr(_local, "buffer", None)
    if kept is None or len(kept) < size:
        kept = _local.buffer = np.empty(size, dtype=np.float32)
    return kept[:size]


_local = threading.local()
