"""Points by id, and the fetching of records by slot that every read ends with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from node.bits import Slots
from node.hardware import counting
from node.query.projection import Projector
from node.storage.records import RecordCorrupted, StoredRecord
from protos.errors import ServiceError
from protos.ids import PointId, id_key
from protos.shard import Projection, Record

if TYPE_CHECKING:
    from node.query.view_port import View


def retrieve(view: View, ids: Sequence[PointId], projection: Projection) -> list[Record]:
    """The points that exist, in the order asked, without repeats (reference 9.2)."""
    projector = Projector(view, projection)
    slots = view.points.slots_of([id_key(point_id) for point_id in dict.fromkeys(ids)])
    found = slots[slots >= 0]
    return projector.records(found, stored_records(view, found))


def stored_records(view: View, slots: Slots) -> list[StoredRecord]:
    """One record per slot of this view. Raises: ServiceError when one is damaged or missing."""
    try:
        found = view.points.records(slots)
    except RecordCorrupted as error:
        raise ServiceError(f"a stored point is damaged: {error}") from error
    kept = [stored for stored in found if stored is not None]
    usage = counting()
    if usage is not None:
        usage.payload_io_read += sum(len(stored.payload) for stored in kept)
    if len(kept) != len(found):
        raise ServiceError(f"{len(found) - len(kept)} live slots hold no record")
    return kept
