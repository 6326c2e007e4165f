"""The order of a payload field's values: candidates with their values, ties by id in the same direction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from node.bits import Slots
from node.hardware import counting
from node.query.matching import Candidates
from node.query.retrieve import stored_records
from protos.shard import Direction, OrderBy

if TYPE_CHECKING:
    from node.query.view_port import View

Values = npt.NDArray[Any]  # int64 (microseconds for datetimes) or float64
_GROWTH = 4
_CHUNK_MIN = 1024  # index entries read at a time: whole pages cost little more than a few entries


def ordered_slots(
    view: View, candidates: Candidates, order_by: OrderBy, limit: int
) -> tuple[Slots, list[int | float]]:
    """The first ``limit`` pairs of slot and value; a point with several values has a pair for each.

    Raises: BadInput when the key has no index that can order (reference 11).
    """
    descending = order_by.direction is Direction.DESC
    entries = view.columns.order_chunks(
        order_by.key,
        order_by.direction,
        order_by.start_from,
        candidates.allowed.to_bits(len(view.live)),
        chunk=max(limit, _CHUNK_MIN),
    )
    page: list[tuple[int | float, bytes, int]] = []
    usage = counting()
    for values, slots in entries:
        if usage is not None:
            usage.payload_index_io_read += values.nbytes + slots.nbytes
        page += _matching(view, candidates, values, slots, limit - len(page), descending=descending)
        if len(page) >= limit:
            break
    page = page[:limit]
    found = np.fromiter((slot for _, _, slot in page), dtype=np.int64, count=len(page))
    return found, [value for value, _, _ in page]


def _matching(
    view: View, candidates: Candidates, values: Values, slots: Slots, missing: int, *, descending: bool
) -> list[tuple[int | float, bytes, int]]:
    """At least ``missing`` first matches among entries, if there are; as (value, key, slot), in order.

    Whole values are read, because ids decide which of the equal ones come first.
    """
    found: list[tuple[int | float, bytes, int]] = []
    start, size = 0, missing
    while start < len(slots) and len(found) < missing:
        end = _end_of_value(values, min(start + size, len(values)) - 1, descending=descending)
        some_values, some_slots = _distinct(values[start:end], slots[start:end])
        passing = candidates.check(some_slots)
        some_values, some_slots = some_values[passing], some_slots[passing]
        keys = [stored.key for stored in stored_records(view, some_slots)]
        found += sorted(zip(some_values.tolist(), keys, some_slots.tolist(), strict=True), reverse=descending)
        start, size = end, size * _GROWTH
    return found


def _end_of_value(values: Values, position: int, *, descending: bool) -> int:
    """One past the last entry that has the same value as the one at ``position``."""
    if descending:
        return len(values) - int(np.searchsorted(values[::-1], values[position], side="left"))
    return int(np.searchsorted(values, values[position], side="right"))


def _distinct(values: Values, slots: Slots) -> tuple[Values, Slots]:
    """Each entry once, in any order."""
    order = np.lexsort((slots, values))
    values, slots = values[order], slots[order]
    first = np.ones(len(slots), dtype=np.bool_)
    first[1:] = (values[1:] != values[:-1]) | (slots[1:] != slots[:-1])
    return values[first], slots[first]
