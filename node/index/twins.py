"""Rows that equal a node of a graph, and are no nodes themselves.

Equal vectors link to each other alone: where there are more of them than a node has links, a walk that
comes by one of them sees nothing else, and does not find its way out (docs/decisions/0013-equal-vectors.md).
So of many equal rows one is a node, the *head*; the others are its twins, and stand beside it in answers.

Equal means the same bytes: such rows are as similar to a query as their head, bit by bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from node import bits
from node.index.packed_rows import PackedRows

Rows = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]
Ranking = tuple[Rows, Scores]
Nodes = npt.NDArray[np.uint32]
Stored = npt.NDArray[Any] | PackedRows

_BLOCK_BYTES = 1 << 22
_LOOK_AT_MIN = 64
_WORD = np.dtype("<u4")


def equal_most(m: int) -> int:
    """Equal rows that may all be nodes of a graph with ``m`` links: they leave half of these to others."""
    return max(1, m // 2)


class Twins:
    """``heads``, ``members``: (n,) rows each, sorted by head, then by member; no row is in both."""

    __slots__ = ("_first", "_heads", "heads", "members")

    def __init__(self, heads: Nodes, members: Nodes) -> None:
        assert len(heads) == len(members)
        self.heads, self.members = heads, members
        first = np.flatnonzero(np.diff(heads, prepend=~heads[:1]))
        self._heads, self._first = (
            heads[first],
            np.append(first, len(heads)),
        )  # each once; where its members begin

    def __len__(self) -> int:
        return len(self.members)

    def admitting(self, mask: bits.PackedBits, count: int) -> tuple[bits.PackedBits, int]:
        """``mask``, of ``count`` rows, with the heads of its members, and how many nodes are in it then."""
        inside = bits.contains(mask, self.members)
        heads = self._heads[np.logical_or.reduceat(inside, self._first[:-1])]
        fresh = heads[~bits.contains(mask, heads)]
        admitted = mask.copy()
        np.bitwise_or.at(admitted, fresh >> 3, np.uint8(1) << (fresh & 7).astype(np.uint8))
        return admitted, count - int(np.count_nonzero(inside)) + len(fresh)

    def beside(self, ranking: Ranking, k: int, mask: bits.PackedBits | None = None) -> Ranking:
        """The best of a ranking of nodes, (nq, <= k), and of their twins: (nq, k), equal ones by row.

        ``mask``: the rows that may be in it; None: all.
        """
        rows, scores = ranking
        first = self._heads.searchsorted(rows)
        is_head = self._heads.take(first, mode="clip") == rows
        if rows.shape[1] == k and not is_head.any():
            return ranking  # all of them are in ``mask``: only a head may be admitted for others
        found = (
            np.full((len(rows), k), -1, dtype=np.int64),
            np.full((len(rows), k), -np.inf, dtype=np.float32),
        )
        for i, at in enumerate(is_head):
            whole = self._with_twins((rows[i], scores[i]), at, first[i, at], k=k, mask=mask)
            order = np.lexsort((whole[0], -whole[1]))[:k]
            found[0][i, : len(order)], found[1][i, : len(order)] = whole[0][order], whole[1][order]
        return found

    def _with_twins(
        self, ranking: Ranking, is_head: bits.Mask, groups: Rows, *, k: int, mask: bits.PackedBits | None
    ) -> Ranking:
        """Of one query, (n,) each; ``groups``: of the heads."""
        rows, scores = ranking
        parts, worth = [], []
        for group, score in zip(groups, scores[is_head], strict=True):
            members = self._lowest(group, k, mask)
            parts.append(members)
            worth.append(np.full(len(members), score, dtype=np.float32))
        kept = rows >= 0
        if mask is not None:
            kept &= bits.contains(mask, np.maximum(rows, 0))
        return np.concatenate([rows[kept], *parts]), np.concatenate([scores[kept], *worth])

    def _lowest(self, group: int, k: int, mask: bits.PackedBits | None) -> Rows:
        """The first ``k`` members that may be in an answer; not all of a crowd are looked at for that."""
        members = self.members[self._first[group] : self._first[group + 1]]
        if mask is None:
            return members[:k].astype(np.int64)
        found: list[Rows] = []
        step, start = _LOOK_AT_MIN + 2 * k, 0
        while start < len(members) and sum(map(len, found)) < k:
            part = members[start : start + step]
            found.append(part[bits.contains(mask, part)].astype(np.int64))
            start, step = start + step, 2 * step
        return np.concatenate(found)[:k]

    def to_bytes(self) -> bytes:
        return np.concatenate([self.heads, self.members]).astype("<u4").tobytes()

    @classmethod
    def of(cls, stored: npt.NDArray[np.uint32]) -> Twins:
        """From what ``to_bytes`` made."""
        half = len(stored) // 2
        return cls(stored[:half], stored[half:])


def set_apart(matrix: Stored, nodes: Nodes, kept: int, most: int) -> tuple[Nodes, Twins | None]:
    """The nodes without the twins among them, and these.

    Args:
        matrix: (n, width) rows as they are stored. ``nodes``: the rows that are to be in the graph.
        kept: so many of the first of them stay nodes, whatever they equal.
        most: of so many equal rows, all are nodes.
    """
    hashes = _hashes(matrix, nodes)
    order = np.argsort(hashes, kind="stable")  # of equal ones, the first node comes first
    begins = np.flatnonzero(np.diff(hashes[order], prepend=~hashes[order[:1]]))
    sizes = np.diff(begins, append=len(order))
    if sizes.max(initial=0) <= most:
        return nodes, None
    first = np.repeat(order[begins], sizes)
    extra = (np.repeat(sizes, sizes) > most) & (order != first) & (order >= kept)
    places, heads = order[extra], nodes[first[extra]]
    equal = _equal(matrix, nodes[places], heads)
    places, heads = places[equal], heads[equal]
    if not len(places):
        return nodes, None
    members = nodes[places]
    by_head = np.lexsort((members, heads))
    return np.delete(nodes, places), Twins(heads[by_head], members[by_head])


def _words(matrix: Stored, rows: Nodes) -> npt.NDArray[np.uint32]:
    """The bytes of rows, four at a time, padded with zeros."""
    picked = np.ascontiguousarray(matrix[rows]).view(np.uint8).reshape(len(rows), -1)
    missing = -picked.shape[1] % _WORD.itemsize
    if missing:
        picked = np.pad(picked, ((0, 0), (0, missing)))
    return picked.view(_WORD)


def _hashes(matrix: Stored, rows: Nodes) -> npt.NDArray[np.uint64]:
    """(len(rows),): the same for equal rows, and hardly ever for others."""
    words = -(-matrix.shape[1] * matrix.itemsize // _WORD.itemsize)
    odd = np.random.default_rng(words).integers(1 << 63, size=words, dtype=np.uint64) * np.uint64(
        2
    ) + np.uint64(1)
    found = np.empty(len(rows), dtype=np.uint64)
    for part in _blocks(len(rows), 8 * words):
        found[part] = _words(matrix, rows[part]).astype(np.uint64) @ odd
    return found


def _equal(matrix: Stored, rows: Nodes, others: Nodes) -> npt.NDArray[np.bool_]:
    found = np.empty(len(rows), dtype=np.bool_)
    for part in _blocks(len(rows), 8 * matrix.shape[1] * matrix.itemsize):
        found[part] = (_words(matrix, rows[part]) == _words(matrix, others[part])).all(axis=1)
    return found


def _blocks(count: int, row_bytes: int) -> list[slice]:
    size = max(1, _BLOCK_BYTES // max(1, row_bytes))
    return [slice(start, start + size) for start in range(0, count, size)]
