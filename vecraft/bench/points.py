"""The point store of engines that are measured from inside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from node.storage.points import PointStore
from node.storage.records import pack_record
from protos.ids import id_key


def stored_points(payloads: Sequence[bytes], folder: Path) -> PointStore:
    """A store of one point a payload, its number for id and slot; one that is there is only opened."""
    known = (folder / "points.mdb").exists()
    store = PointStore.open(folder / "points.mdb", readers=4)
    if known:
        return store
    with store.change() as batch:
        for slot, payload in enumerate(payloads):
            key = id_key(slot)
            batch.put(key, slot, pack_record(slot, key, payload))
    store.freeze()
    store.checkpoint(b"")
    return store
