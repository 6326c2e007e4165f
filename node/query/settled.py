"""Ranked slots in their final order, with the records that decide it.

Lives here: the cut at a limit, ties, and the way from slots to hits.
May not live here: how slots were ranked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from node.bits import Slots
from node.query import ranking
from node.query.projection import Projector
from node.query.retrieve import stored_records
from protos.shard import FloatArray, Hits, Projection, SearchPlan
from protos.vectors import finite

if TYPE_CHECKING:
    from node.query.view_port import View
    from node.storage.records import StoredRecord


class Settled(Struct, frozen=True):
    """Best first. ``scores`` (n,) as clients see them; ``stored``: of each slot.

    ``values``: what ordered them, if scores did not. ``plan``: how they were found, if anyone asked.
    """

    slots: Slots
    scores: FloatArray
    stored: Sequence[StoredRecord]
    values: Sequence[int | float] | None = None
    plan: SearchPlan | None = None


def settle(
    view: View,
    slots: Slots,
    scores: FloatArray,
    limit: int,
    *,
    descending: bool,
    plan: SearchPlan | None = None,
) -> Settled:
    """The first ``limit`` of ``slots``, which are sorted by score; equal ones by id (reference 9.4)."""
    considered = ranking.end_of_ties(scores, limit)
    slots, scores = slots[:considered], scores[:considered]
    stored = stored_records(view, slots)
    order = ranking.order_ties(scores, [kept.key for kept in stored], descending=descending)
    if order is not None:
        slots, scores, stored = slots[order], scores[order], [stored[i] for i in order]
    return Settled(slots[:limit], scores[:limit], stored[:limit], plan=plan)


def to_hits(view: View, settled: Settled, projection: Projection) -> Hits:
    """Raises: BadInput for a vector name that the collection lacks."""
    records = Projector(view, projection).records(settled.slots, settled.stored, settled.values)
    return Hits(records, finite(settled.scores), settled.plan)
