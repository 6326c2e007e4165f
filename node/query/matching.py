"""Which slots a filter admits: by payload indexes first, by the payloads where those do not decide.

Lives here: the bridge to ``node.filter`` and the payload check every read shares.

Invariant: ``Candidates.allowed`` holds every matching live slot and perhaps others; only slots that pass
``check`` match.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from node import bits
from node.bits import Mask, Slots
from node.filter.equalities import equalities
from node.filter.evaluate import Context, Residue, Selection, evaluate
from node.query.allowed import Allowed, allow_slots, live_of
from node.query.counters import present_bits
from node.query.retrieve import stored_records
from node.query.selections import selected
from protos.facets import FacetValue
from protos.filters import Filter
from protos.ids import id_from_key

if TYPE_CHECKING:
    from node.query.view_port import View

_CHUNK = 1024  # records decoded at a time: bounds what a check of everything holds in memory

_decode = msgspec.json.Decoder(dict).decode


class Candidates:
    """The slots a filter may admit under one view, and the check it still owes them.

    ``among``: all that it may admit, ascending and distinct; None: every point.
    """

    def __init__(self, view: View, filter: Filter | None, among: Slots | None = None) -> None:
        self._view = view
        self._filter = filter
        self.filtered = filter is not None or among is not None
        self._selection = _select(view, filter)
        self.allowed = _allowed(view, self._selection)
        if among is not None:
            self.allowed = allow_slots(among[self.allowed.contains(among)])
        self.checked = 0
        """Payloads that were read to decide."""
        self._matching: Slots | None = None

    @property
    def values(self) -> tuple[tuple[str, FacetValue], ...]:
        """Payload fields and the values that every match has there."""
        return equalities(self._filter)

    @property
    def exact(self) -> bool:
        """Are all candidates matches, so that nothing need be checked?"""
        return self._selection is None or self._selection.residue is None

    def slots(self) -> Slots:
        """All candidates, ascending."""
        return self.allowed.to_slots()

    def check(self, slots: Slots) -> Mask:
        """Which of these candidates match, by their stored payloads where the indexes do not tell."""
        selection = self._selection
        if selection is None or selection.residue is None:
            return np.ones(len(slots), dtype=np.bool_)
        if selection.definite is None:
            return self._check_payloads(slots, selection.residue)
        passing = bits.contains(selection.definite, slots)
        unsure = np.flatnonzero(~passing)
        if len(unsure):
            passing[unsure] = self._check_payloads(slots[unsure], selection.residue)
        return passing

    def _check_payloads(self, slots: Slots, residue: Residue) -> Mask:
        self.checked += len(slots)
        return np.fromiter(
            (
                residue(id_from_key(stored.key), _decode(stored.payload))
                for stored in stored_records(self._view, slots)
            ),
            dtype=np.bool_,
            count=len(slots),
        )

    def matching(self, slots: Slots | None = None) -> Slots:
        """The matches among ``slots`` (all candidates when None), in their order."""
        if slots is not None:
            return self._matches(slots[self.allowed.contains(slots)])
        if self._matching is None:
            self._matching = self._matches(self.slots())
        return self._matching

    def _matches(self, among: Slots) -> Slots:
        if self.exact:
            return among
        chunks = [among[at : at + _CHUNK] for at in range(0, len(among), _CHUNK)]
        return np.concatenate([chunk[self.check(chunk)] for chunk in chunks] or [among])


def matching_slots(view: View, filter: Filter | None, slots: Slots | None = None) -> Slots:
    """The live slots that match ``filter``: those among ``slots`` in their order, or all, ascending."""
    return Candidates(view, filter).matching(slots)


def _select(view: View, filter: Filter | None) -> Selection | None:
    if filter is None:
        return None
    return selected(view, filter, lambda: evaluate(filter, context_of(view)))


def context_of(view: View) -> Context:
    """The view as filters see it."""
    return Context(
        columns=view.columns,
        points=view.points,
        live=view.live,
        has_vector=lambda name: present_bits(view, name),
        in_buckets=lambda buckets: view.slot_buckets.select(view.points, view.segments, view.live, buckets),
    )


def _allowed(view: View, selection: Selection | None) -> Allowed:
    if selection is None:
        return live_of(view)
    return Allowed(selection.count, packed=selection.bits, slots=selection.slots)
