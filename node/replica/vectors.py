"""Vectors of an operation as the matrices that segments store, and vectors of slots gathered from segments.

Lives here: scattering a batch's rows over its points, normalising for Cosine, merging by name.
May not live here: where rows are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from node import bits
from node.index.distances import normalize
from node.replica.slots import Slots
from node.segments import SegmentView, VectorSchema
from protos.collections import Distance
from protos.operations import VectorBatch

FloatMatrix = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


class Dense(Struct, frozen=True):
    """Vectors of one name for n points: ``matrix`` (n, dim) as stored, ``present`` (n,)."""

    matrix: FloatMatrix
    present: Flags

    def part(self, first: int, last: int) -> tuple[FloatMatrix, Flags]:
        return self.matrix[first:last], self.present[first:last]


Vectors = dict[str, Dense]


def of_batches(batches: Iterable[VectorBatch], points: int, schemas: Mapping[str, VectorSchema]) -> Vectors:
    """Vectors by name. A batch of a name or dimension that the shard does not have (any more) is left out."""
    found: Vectors = {}
    for batch in batches:
        schema = schemas.get(batch.name)
        if schema is None or schema.dim != batch.dim:
            continue
        matrix = batch.matrix()
        if schema.distance is Distance.COSINE:
            matrix = normalize(matrix)
        table = batch.row_of_point(points)
        present = table >= 0
        if not (batch.rows == b"" and len(matrix) == points):
            whole = np.zeros((points, batch.dim), dtype=np.float32)
            whole[present] = matrix[table[present]]
            matrix = whole
        dense = Dense(matrix, present)
        found[batch.name] = _over(found[batch.name], dense) if batch.name in found else dense
    return found


def gather(segments: Sequence[SegmentView], slots: Slots, schemas: Mapping[str, VectorSchema]) -> Vectors:
    """The vectors that ``slots`` hold, every name of ``schemas`` included."""
    found: Vectors = {}
    for name, schema in schemas.items():
        matrix = np.zeros((len(slots), schema.dim), dtype=np.float32)
        present = np.zeros(len(slots), dtype=np.bool_)
        for segment in segments:
            if name in segment.names:
                _gather_from(segment, name, slots, matrix, present)
        found[name] = Dense(matrix, present)
    return found


def _gather_from(segment: SegmentView, name: str, slots: Slots, matrix: FloatMatrix, present: Flags) -> None:
    inside = np.flatnonzero((slots >= segment.start) & (slots < segment.start + segment.rows))
    if not len(inside):
        return
    rows = slots[inside] - segment.start
    stored, packed = segment.dense(name)
    matrix[inside] = stored[rows]
    if packed is None:
        present[inside] = True
    else:
        present[inside] = bits.contains(packed, rows)


def merged(old: Vectors, new: Vectors) -> Vectors:
    """``new`` where it has vectors, ``old`` elsewhere; both for the same points."""
    return {name: _over(dense, new[name]) if name in new else dense for name, dense in old.items()}


def without(vectors: Vectors, names: Iterable[str]) -> Vectors:
    return {name: dense for name, dense in vectors.items() if name not in names}


def _over(old: Dense, new: Dense) -> Dense:
    matrix = np.where(new.present[:, np.newaxis], new.matrix, old.matrix)
    return Dense(matrix, old.present | new.present)
