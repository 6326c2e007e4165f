"""The immutable state that one read answers from.

Lives here: the ``View`` a writer publishes after each group of operations.
May not live here: anything that changes a view or decides when to publish one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from node.bits import PackedBits
from node.filter.columns import ColumnsView
from node.query.slot_buckets import SlotBuckets
from node.replica.ownership import ShardBuckets
from node.segments import SegmentView
from node.storage.points import PointsView
from protos.collections import CollectionConfig


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class View:
    """Everything as of operation ``seq`` (-1: nothing yet). Compared by identity, may be weakly referenced.

    ``live`` holds packed bits, little bit order, of the slots that are the current version of a point; it
    covers every slot of ``segments``, which are ordered by start and do not overlap. ``buckets``: which
    points are the shard's own.
    """

    seq: int
    points: PointsView
    live: PackedBits
    segments: tuple[SegmentView, ...]
    columns: ColumnsView
    config: CollectionConfig
    buckets: ShardBuckets = field(default_factory=ShardBuckets)
    slot_buckets: SlotBuckets = field(default_factory=SlotBuckets)
