"""The view as this package needs it; ``node.replica.view.View`` is its one implementation.

A port of its own because the replica imports this package to answer reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from node.bits import PackedBits

if TYPE_CHECKING:
    from node.filter.columns import ColumnsView
    from node.query.slot_buckets import SlotBuckets
    from node.segments import SegmentView
    from node.storage.points import PointsView
    from protos.collections import CollectionConfig


class View(Protocol):
    """One consistent, immutable state of a shard (docs/ARCHITECTURE.md, "Slots and views")."""

    @property
    def points(self) -> PointsView: ...

    @property
    def live(self) -> PackedBits:
        """Slots that hold the current version of a point; covers every segment's rows."""

    @property
    def segments(self) -> tuple[SegmentView, ...]:
        """By ascending ``start``; ranges do not overlap."""

    @property
    def columns(self) -> ColumnsView: ...

    @property
    def config(self) -> CollectionConfig: ...

    @property
    def slot_buckets(self) -> SlotBuckets: ...
