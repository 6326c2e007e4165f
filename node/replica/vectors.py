"""Vectors of an operation as the rows that segments store, and vectors of slots gathered from segments.

Lives here: scattering a batch's rows over its points, normalising for Cosine, merging by name.
May not live here: where rows are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from node import bits
from node.bits import Slots
from node.segments import SegmentView, VectorSchema
from node.segments.encoding import blank, encoded
from node.segments.rows import Block, Ragged, Rows
from protos.operations import VectorBatch, VectorKind
from protos.ragged import Positions, elements_of, offsets_of

Vectors = dict[str, Block]


def of_batches(batches: Iterable[VectorBatch], points: int, schemas: Mapping[str, VectorSchema]) -> Vectors:
    """Vectors by name. A batch of a name or shape that the shard does not have (any more) is left out."""
    found: Vectors = {}
    for batch in batches:
        schema = schemas.get(batch.name)
        if schema is None or (schema.kind, schema.dim) != (batch.kind, batch.dim):
            continue
        rows = _rows_of(batch, schema)
        table = batch.row_of_point(points)
        if batch.rows != b"" or len(rows) != points:
            rows = scattered(rows, table, schema)
        block = Block(rows, table >= 0)
        found[batch.name] = block.over(found[batch.name]) if batch.name in found else block
    return found


def _rows_of(batch: VectorBatch, schema: VectorSchema) -> Rows:
    match batch.kind:
        case VectorKind.DENSE:
            return encoded(batch.matrix(), schema)
        case VectorKind.MULTI:
            return Ragged(batch.offsets(), (encoded(batch.matrix(), schema),))
        case VectorKind.SPARSE:
            return Ragged(batch.offsets(), (batch.index_numbers(), batch.values()))


def scattered(rows: Rows, table: Positions, schema: VectorSchema) -> Rows:
    """Rows whose i-th is ``rows[table[i]]``, or blank where that is -1."""
    present = table >= 0
    if isinstance(rows, Ragged):
        elements, packed = elements_of(rows.offsets, table[present])
        counts = np.zeros(len(table), dtype=np.int64)
        counts[present] = np.diff(packed)
        return Ragged(offsets_of(counts), tuple(part[elements] for part in rows.parts))
    whole = blank(schema, len(table))
    assert not isinstance(whole, Ragged)
    whole[present] = rows[table[present]]
    return whole


def gather(segments: Sequence[SegmentView], slots: Slots, schemas: Mapping[str, VectorSchema]) -> Vectors:
    """The vectors that ``slots`` hold, every name of ``schemas`` included."""
    return {name: _gathered(segments, slots, schema) for name, schema in schemas.items()}


def _gathered(segments: Sequence[SegmentView], slots: Slots, schema: VectorSchema) -> Block:
    block = Block(blank(schema, len(slots)), np.zeros(len(slots), dtype=np.bool_))
    for segment in segments:
        inside = _inside(segment, slots)
        if not len(inside) or schema.name not in segment.names:
            continue
        vectors = segment.vectors(schema.name)
        rows = slots[inside] - segment.start
        if vectors.present is not None:
            has = bits.contains(vectors.present, rows)
            inside, rows = inside[has], rows[has]
        table = np.full(len(slots), -1, dtype=np.int64)
        table[inside] = np.arange(len(inside), dtype=np.int64)
        block = Block(scattered(vectors.rows[rows], table, schema), table >= 0).over(block)
    return block


def _inside(segment: SegmentView, slots: Slots) -> Positions:
    """Positions of the ``slots`` that lie in the segment."""
    return np.flatnonzero((slots >= segment.start) & (slots < segment.start + segment.rows))


def ragged_bytes(segments: Sequence[SegmentView], slots: Slots) -> Positions:
    """(len(slots),): what the multivectors and sparse vectors of each slot take, all names together."""
    sizes = np.zeros(len(slots), dtype=np.int64)
    for segment in segments:
        inside = _inside(segment, slots)
        rows = slots[inside] - segment.start
        for name in segment.names:
            stored = segment.vectors(name).rows
            if isinstance(stored, Ragged):
                counts = stored.offsets[rows + 1] - stored.offsets[rows]
                sizes[inside] += counts * stored.element_bytes
    return sizes


def merged(old: Vectors, new: Vectors) -> Vectors:
    """``new`` where it has vectors, ``old`` elsewhere; both for the same points."""
    return {name: new[name].over(block) if name in new else block for name, block in old.items()}


def without(vectors: Vectors, names: Iterable[str]) -> Vectors:
    return {name: block for name, block in vectors.items() if name not in names}
