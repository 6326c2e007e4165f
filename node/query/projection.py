"""From slots to records: ids, versions, and the parts of a point that were asked for.

Payload bytes pass through as stored unless a selector narrows them; vectors are gathered per segment,
never per point.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from node import bits
from node.bits import Slots
from node.hardware import counting
from node.query.schema import vector_names
from node.segments.encoding import decoded
from protos import json_path
from protos.errors import vector_name_not_found
from protos.ids import id_from_key
from protos.shard import PayloadSelector, PointVectors, Projection, Record

if TYPE_CHECKING:
    from node.query.view_port import View
    from node.segments import SegmentView
    from node.storage.records import StoredRecord

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict).decode

PayloadPart = Callable[[bytes], bytes | None]


class Projector:
    """A projection made ready for one view. Raises BadInput for a vector name the collection lacks."""

    def __init__(self, view: View, projection: Projection) -> None:
        self._view = view
        self._payload = _payload_part(projection.payload)
        self._names = _wanted_names(view, projection.vectors)

    def records(
        self,
        slots: Slots,
        stored: Sequence[StoredRecord],
        order_values: Sequence[int | float] | None = None,
    ) -> list[Record]:
        """One record per slot, in order; ``stored`` and ``order_values`` are parallel to ``slots``."""
        vectors = self._vectors(slots)
        payload = self._payload
        return [
            Record(
                id_from_key(kept.key),
                kept.version,
                payload(kept.payload) if payload is not None else None,
                vectors[i] if vectors is not None else None,
                order_values[i] if order_values is not None else None,
            )
            for i, kept in enumerate(stored)
        ]

    def _vectors(self, slots: Slots) -> list[PointVectors] | None:
        if self._names is None:
            return None
        return gather_vectors(self._view.segments, self._names, slots)


def _payload_part(wanted: bool | PayloadSelector) -> PayloadPart | None:
    if wanted is True:
        return _whole
    if wanted is False:
        return None
    if wanted.include is not None:
        kept = [json_path.parse_path(path) for path in wanted.include]
        return lambda stored: _encode(json_path.include(_decode(stored), kept))
    dropped = [json_path.parse_path(path) for path in wanted.exclude or ()]
    return lambda stored: _encode(json_path.exclude(_decode(stored), dropped))


def _whole(stored: bytes) -> bytes:
    return stored


def _wanted_names(view: View, wanted: bool | tuple[str, ...]) -> tuple[str, ...] | None:
    if wanted is False:
        return None
    known = vector_names(view)
    if wanted is True:
        return known
    for name in wanted:
        if name not in known:
            raise vector_name_not_found(name)
    return wanted


def gather_vectors(segments: Sequence[SegmentView], names: Sequence[str], slots: Slots) -> list[PointVectors]:
    """Per slot, its vectors by name (those it has), as float32 and safe to keep."""
    found: list[PointVectors] = [{} for _ in range(len(slots))]
    starts = np.fromiter((segment.start for segment in segments), dtype=np.int64, count=len(segments))
    owners = np.searchsorted(starts, slots, side="right") - 1
    for owner in np.unique(owners).tolist():
        positions = np.flatnonzero(owners == owner)
        for name in names:
            _gather(segments[owner], name, slots, positions, found)
    return found


def _gather(
    segment: SegmentView, name: str, slots: Slots, positions: Slots, found: list[PointVectors]
) -> None:
    if name not in segment.names:
        return
    vectors = segment.vectors(name)
    rows = slots[positions] - segment.start
    if vectors.present is not None:
        has = bits.contains(vectors.present, rows)
        rows, positions = rows[has], positions[has]
    stored, usage = vectors.rows[rows], counting()
    if usage is not None:
        usage.vector_io_read += stored.nbytes
    for position, vector in zip(positions.tolist(), decoded(stored, vectors.schema), strict=True):
        found[position][name] = vector
