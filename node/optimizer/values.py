"""Which rows share a value of a payload field, told to a build that makes graphs of them.

Lives here: reading a view's payload indexes into the groups of a job. Payloads may change while the build
runs: searches compare what they may return with what a graph holds.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from node.bits import PackedBits
from node.filter.columns import ColumnsView
from node.replica.view import View
from node.segments import SegmentView
from node.segments.values import ValueGraphParams, ValueGroup


def groups_of(
    view: View, segments: Iterable[str], wanted: Iterable[ValueGraphParams]
) -> tuple[ValueGroup, ...]:
    """Groups of live slots in ``segments`` that may get graphs. Not for the writer: reads whole columns."""
    names = frozenset(segments)
    among = _live_in(view, [segment for segment in view.segments if segment.id in names])
    return groups_within(view.columns, among, wanted)


def groups_within(
    columns: ColumnsView, among: PackedBits, wanted: Iterable[ValueGraphParams]
) -> tuple[ValueGroup, ...]:
    """Likewise, of the slots ``among``."""
    params = tuple(wanted)
    least = min((each.rows_min for each in params), default=0)
    return tuple(
        ValueGroup(field, value, slots.astype("<u4").tobytes())
        for field in sorted({field for each in params for field in each.fields})
        for value, slots in columns.groups(field, among, least)
    )


def _live_in(view: View, segments: list[SegmentView]) -> PackedBits:
    within = np.zeros_like(view.live)
    for segment in segments:
        part = slice(segment.start >> 3, (segment.start + segment.rows + 7) >> 3)
        within[part] = view.live[part]
    return within
