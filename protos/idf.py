"""Weighing sparse queries by how rare their indices are (reference 12): statistics, and what is made of them.

The statistics are those of all points that have such a vector with any element in it, or of a *corpus* of
them. Those of several shards add up, so a point scores the same in whatever shard it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from protos.filters import Filter
from protos.vectors import SparseVector


class Weighing(Struct, frozen=True):
    """``corpus``: the points that are counted; None: all."""

    corpus: Filter | None = None


class FrequencyRequest(Struct, frozen=True):
    """In how many of the points that ``weighing`` counts each of ``indices`` occurs (ascending, distinct)."""

    using: str
    indices: list[int]
    weighing: Weighing = Weighing()


class Frequencies(Struct, frozen=True):
    """``points``: all that are counted; ``containing``: those with each index that was asked for."""

    points: int
    containing: list[int]


def added(parts: Sequence[Frequencies]) -> Frequencies:
    """Of several shards, which were asked the same; at least one."""
    counts = zip(*(part.containing for part in parts), strict=True)
    return Frequencies(sum(part.points for part in parts), [sum(each) for each in counts])


def weighed(vector: SparseVector, indices: Sequence[int], frequencies: Frequencies) -> SparseVector:
    """Each value times ln((N - df + 0.5) / (df + 0.5) + 1). All of its indices are among ``indices``."""
    containing = np.array(frequencies.containing, dtype=np.float64)
    weights = np.log((frequencies.points - containing + 0.5) / (containing + 0.5) + 1)
    own = weights[np.searchsorted(np.array(indices, dtype=np.uint32), vector.indices)]
    return SparseVector(vector.indices, (vector.values * own).astype(np.float32))


def indices_of(vectors: Sequence[SparseVector]) -> npt.NDArray[np.uint32]:
    """All that occur, ascending."""
    return np.unique(np.concatenate([np.empty(0, dtype=np.uint32), *(each.indices for each in vectors)]))
