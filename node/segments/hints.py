"""What a caller knows of a filter beside the rows it admits, and wants to know of the search.

Hints change how fast an answer is found, never which; but ``rows`` stand for the bits they are given instead
of, so a kind of vectors that cannot use them must be given them packed.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from node.bits import Slots as Rows
from node.segments.trace import Trace
from protos.facets import FacetValue


class Hints(Struct, frozen=True, eq=False):
    """
    Attributes:
        rows: the admitted rows of the segment (n,) int64, ascending; given when they are few.
        count: how many rows the bits admit that are given instead; None: not known.
        full_scan_bytes: admitted vectors of up to this size are all scored, whatever else were faster.
        full_scan_rows: the same for up to so many sparse vectors.
        trace: told what was done.
        values: payload fields and the values that every admitted point has there.
        wanted: how many of the ``k`` best were asked for, where more are ranked so that ties are seen:
            candidates are oversampled for these alone. None: all.
    """

    rows: Rows | None = None
    count: int | None = None
    full_scan_bytes: int = 0
    full_scan_rows: int = 0
    trace: Trace | None = None
    values: tuple[tuple[str, FacetValue], ...] = ()
    wanted: int | None = None


NO_HINTS: Final = Hints()
