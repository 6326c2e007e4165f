"""Pages of points, by ascending id, in the order of a payload field, or at random (reference 9.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from node.bits import Slots
from node.query.matching import Candidates
from node.query.ordered import ordered_slots
from node.query.projection import Projector
from node.query.retrieve import stored_records
from node.query.sampled import sampled_slots
from protos.errors import BadInput
from protos.ids import id_key
from protos.shard import Record, ScrollRequest

if TYPE_CHECKING:
    from node.query.view_port import View

_CHUNK_MAX = 8192  # ids walked at a time
_GROWTH = 4


def scroll(view: View, request: ScrollRequest) -> list[Record]:
    """One page.

    Raises: BadInput for ``offset`` together with ``order_by``, for an ``order_by`` key without a range
    index, for an unknown vector name in the projection.
    """
    projector = Projector(view, request.projection)
    slots, values = listed_slots(view, request)
    return projector.records(slots, stored_records(view, slots), values)


def listed_slots(
    view: View, request: ScrollRequest, among: Slots | None = None
) -> tuple[Slots, list[int | float] | None]:
    """The points of a page in its order, and the values that order them if ids do not.

    ``among``: all that it may hold, ascending; None: every point. Raises: as ``scroll``.
    """
    candidates = Candidates(view, request.filter, among)
    if request.order_by is not None:
        if request.offset is not None:
            raise BadInput(
                "Cannot use an `offset` when using `order_by`. The alternative for paging is to use "
                "`order_by.start_from` and a filter to exclude the IDs that you've already seen for the "
                "`order_by.start_from` value"
            )
        return ordered_slots(view, candidates, request.order_by, request.limit)
    if request.sample_seed is not None:
        return sampled_slots(candidates, request.limit, request.sample_seed)
    start = None if request.offset is None else id_key(request.offset)
    return _page(view, candidates, start, request.limit), None


def _page(view: View, candidates: Candidates, start: bytes | None, limit: int) -> Slots:
    few, every = candidates.allowed.count, view.points.count
    # Walking meets a candidate every ``every / few`` ids; sorting touches each candidate once.
    if few < every and few * few <= limit * every:
        return _sorted_page(view, candidates, start, limit)
    return _walked_page(view, candidates, start, limit)


def _sorted_page(view: View, candidates: Candidates, start: bytes | None, limit: int) -> Slots:
    """Fetch the ids of all candidates and sort them; payloads are checked in that order."""
    slots = candidates.slots()
    keys = [stored.key for stored in stored_records(view, slots)]
    order = sorted((i for i, key in enumerate(keys) if start is None or key >= start), key=keys.__getitem__)
    slots = slots[order]
    return _first_matching(candidates, (slots[at : at + limit] for at in range(0, len(slots), limit)), limit)


def _walked_page(view: View, candidates: Candidates, start: bytes | None, limit: int) -> Slots:
    return _first_matching(candidates, _id_order(view, start, limit), limit)


def _id_order(view: View, start: bytes | None, size: int) -> Iterator[Slots]:
    """All slots by ascending id, in growing chunks."""
    pairs = view.points.iter_ids(start)
    while True:
        chunk = np.fromiter((slot for _, slot in islice(pairs, size)), dtype=np.int64)
        if not len(chunk):
            return
        yield chunk
        size = min(size * _GROWTH, _CHUNK_MAX)


def _first_matching(candidates: Candidates, chunks: Iterable[Slots], limit: int) -> Slots:
    found: list[Slots] = []
    missing = limit
    for chunk in chunks:
        matching = candidates.matching(chunk)[:missing]
        found.append(matching)
        missing -= len(matching)
        if missing == 0:
            break
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)
