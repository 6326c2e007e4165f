"""Codes of which walks compare half a byte for each component, and whether that serves the rows of a graph.

They are compared with queries of seven bits, and what a walk finds is scored again on the vectors, or by the
other half: so they cost nothing as long as the best rows are among the first. Rows whose components are not
alike (a few that are much greater than the others) have finer codes.
``docs/decisions/0002-graphs-over-codes.md``.
"""

from __future__ import annotations

from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from node.index.codes import (
    HALF_STEPS,
    HALVES,
    LINE_BYTES,
    Code,
    Encoding,
    packed_halves,
    split_bytes,
    unpacked_halves,
)
from node.index.exact import best_of
from node.index.narrow import Originals
from node.index.samples import sample_of
from protos.collections import Distance

FloatArray = npt.NDArray[np.float32]
GraphRows = npt.NDArray[np.uint32]

RESCORED_MIN: Final = 14
"""So many more candidates than are wanted have to be scored again."""

_STEP_DEVIATIONS = 0.335  # where sixteen even levels of a normal distribution lose least
_SAMPLE_ROWS = 16_384
_QUERY_MOST, _MIDDLE = 127, 3.75  # of seven bits; of what an upper half of a byte stands for
_NEAR = 64  # rows that are ordered by their codes
_PROBE_QUERIES, _PROBE_K, _PROBE_RECALL_MIN = 96, 10, 0.998
_PROBE_COMPONENTS = 1 << 25  # of the rows among which the nearest are looked for


def halves_for(matrix: Originals, rows: GraphRows | None) -> Encoding:
    """The codes of ``matrix[rows]`` (None: all), whether they serve or not."""
    sample = sample_of(matrix, rows, _SAMPLE_ROWS)
    step = max(_STEP_DEVIATIONS * float(sample.std()), float(np.finfo(np.float32).tiny) * HALF_STEPS)
    return Encoding(
        Code.INTEGER_4BIT,
        low=float(sample.mean()) - step * HALVES / 2,
        step=step / HALF_STEPS,
        width=_width(matrix.shape[1]),
    )


def split(bytes_: Encoding, dim: int) -> Encoding:
    """The same bytes in halves."""
    return Encoding(Code.SPLIT_8BIT, low=bytes_.low, step=bytes_.step, width=2 * _width(dim))


class Nearby:
    """Some of ``matrix[rows]`` (None: all), and what is nearest to them in a large part of all: in a small
    one all would lie farther apart. Looked for once, when codes are tried on it first."""

    def __init__(self, distance: Distance, matrix: Originals, rows: GraphRows | None) -> None:
        self._distance, self._matrix, self._rows = distance, matrix, rows

    def served_by(self, encoding: Encoding) -> bool:
        """Are the rows nearest to one among the first by the halves that walks compare?"""
        first = _PROBE_K + RESCORED_MIN
        found = [_found(encoding, row, near, first) for row, near in self._pairs]
        return float(np.mean(found)) >= _PROBE_RECALL_MIN

    @cached_property
    def _pairs(self) -> list[tuple[FloatArray, FloatArray]]:
        """(dim,), and what is nearest to it, (n, dim)."""
        base = sample_of(self._matrix, self._rows, _PROBE_COMPONENTS // self._matrix.shape[1])
        asked = np.unique(np.linspace(0, len(base) - 1, _PROBE_QUERIES).astype(np.int64))
        near, _ = best_of(self._distance, base[asked], base, _NEAR + 1)
        return [(base[row], base[others[others != row]]) for row, others in zip(asked, near, strict=True)]


def _found(encoding: Encoding, query: FloatArray, near: FloatArray, first: int) -> float:
    """The share of the best of ``near``, which are ordered, that are among the ``first`` by their halves."""
    levels = (query - encoding.low) / encoding.step
    if encoding.code is Code.SPLIT_8BIT:
        halves, levels = split_bytes(encoding, near)[:, : encoding.width // 2], levels / 2 - _MIDDLE
    else:
        halves = packed_halves(encoding, near)
    integers = unpacked_halves(halves)[:, : len(query)].astype(np.float32)
    levels = np.clip(np.rint(levels), 0, _QUERY_MOST)
    order = np.argsort(np.square(integers - levels).sum(axis=1), kind="stable")
    return float(np.count_nonzero(order[:first] < _PROBE_K)) / _PROBE_K


def _width(dim: int) -> int:
    """Bytes of one half of each component, in whole lines."""
    return -(-dim // (2 * LINE_BYTES)) * LINE_BYTES
