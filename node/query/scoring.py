"""Exact similarities of several queries to given slots, over all segments of a view.

Lives here: the walk over segments and blocks of rows, whatever the kind of vectors. What is made of the
similarities is the caller's business.

Invariant: memory is bounded: a block's table of similarities holds ``_TABLE_MAX`` numbers at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from node.bits import Slots
from node.query.allowed import Allowed
from node.query.nearest import searched_parts
from node.query.schema import QueriedVector, Queries
from node.segments.trace import Trace, tell
from protos.shard import FloatArray, SearchParams, Way

if TYPE_CHECKING:
    from node.query.view_port import View

_TABLE_MAX = 1 << 20
_BLOCK_MIN = 256  # rows


def score_slots(
    view: View,
    vector: QueriedVector,
    queries: Queries,
    allowed: Allowed,
    params: SearchParams,
    reduce: Callable[[FloatArray], FloatArray],
    trace: Trace | None = None,
) -> tuple[Slots, FloatArray]:
    """The slots of ``allowed`` that have the vector, ascending, and one score for each.

    Args:
        queries: as ``vector.prepare`` gives them.
        params: only ``indexed_only`` matters here.
        reduce: a table of internal similarities (queries, n) into n scores.
    """
    slots, scores = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.float32)]
    for segment, part in searched_parts(view, vector, allowed, params):
        rows = segment.rows_having(vector.name, part.packed, part.rows)
        if trace is not None:
            trace.enter(segment.id, part.count)
        vectors = segment.vectors(vector.name)
        for block in _blocks(rows, len(queries)):
            slots.append(block + segment.start)
            scores.append(reduce(vectors.similarities(queries, block)))
        scored = len(rows) * len(queries)
        stored = vectors.rows
        row_bytes = stored.nbytes / max(1, len(stored))
        tell(trace, Way.ROWS, queries=len(queries), matching=len(rows), scored=scored, row_bytes=row_bytes)
    return np.concatenate(slots), np.concatenate(scores)


def _blocks(rows: Slots, queries: int) -> Iterator[Slots]:
    size = max(_BLOCK_MIN, _TABLE_MAX // max(1, queries))
    for first in range(0, len(rows), size):
        yield rows[first : first + size]
