"""Counting points by their values of a payload key (reference 9.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.bits import PackedBits
from node.query.allowed import allow_slots
from node.query.matching import Candidates
from protos.facets import FacetHit, FacetRequest
from protos.filters import Filter

if TYPE_CHECKING:
    from node.query.view_port import View


def facet(view: View, request: FacetRequest) -> list[FacetHit]:
    """The values that most points have, by count and then by value; the counts are exact.

    Raises: BadInput if no payload index tells the values of the key apart.
    """
    counted = view.columns.tally(request.key, lambda: _counting(view, request.filter), request.limit)
    return [FacetHit(value, count) for value, count in counted]


def _counting(view: View, filter: Filter | None) -> PackedBits | None:
    """The slots that count; None: all."""
    if filter is None:
        return None
    candidates = Candidates(view, filter)
    allowed = candidates.allowed if candidates.exact else allow_slots(candidates.matching())
    return allowed.to_bits(len(view.live))
