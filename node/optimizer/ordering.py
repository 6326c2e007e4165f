"""By which payload fields a compaction orders the rows of a segment, and the keys it goes by.

May not live here: what the order means for the rows (``node.segments.building.order``).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from node.filter.columns import ColumnsView
from node.filter.columns.ranks import Ranks, ranks
from node.replica.view import View
from node.segments import SegmentView
from node.segments.building import Source
from node.segments.building.order import row_order
from protos.json_path import parse_path


def ordered(view: View, sources: Iterable[Source]) -> tuple[Source, ...]:
    """``sources`` with the order that their rows shall have. Not for the writer: reads whole columns."""
    segments = {segment.id: segment for segment in view.segments}
    return tuple(
        msgspec.structs.replace(source, order=_order_of(view.columns, segment))
        if (segment := segments.get(Path(source.directory).name)) is not None
        else source
        for source in sources
    )


def _order_of(columns: ColumnsView, segment: SegmentView) -> bytes | None:
    fields = [*_marked(columns, "is_tenant"), *_marked(columns, "is_principal")]
    order = row_order([_ranks(columns, field, segment) for field in fields])
    return None if order is None else order.astype("<u4").tobytes()


def _marked(columns: ColumnsView, mark: str) -> list[str]:
    return sorted(field for field, params in columns.fields.items() if getattr(params, mark, None))


def _ranks(columns: ColumnsView, field: str, segment: SegmentView) -> Ranks:
    column = columns.column(parse_path(field))
    assert column is not None, "a field of the view's own"
    return ranks(column, segment.start, segment.rows)
