"""The nearest slots to a batch of queries, over all segments of a view.

Lives here: which segments are searched, with which part of the bitmap, and the merge of their answers.
Which way a segment is searched (rows or graph) is the segment's own choice.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace

from node.bits import Slots
from node.query import ranking
from node.query.allowed import Allowed, Part, live_of
from node.query.per_view import PerView
from node.query.schema import QueriedVector, Queries
from node.segments.hints import Hints
from node.segments.kinds import is_indexed
from node.segments.trace import Trace
from protos.collections import HnswConfig
from protos.facets import FacetValue
from protos.operations import VectorKind
from protos.shard import FloatArray, SearchParams

if TYPE_CHECKING:
    from node.query.view_port import View
    from node.segments import SegmentView

_KIB = 1024
_KEPT_MAX = 64
_INDEXING_THRESHOLD_KB = 10_000  # what null stands for (reference 7.2)


class Nearest:
    """Ranks slots by similarity to queries under one vector, set of slots and search parameters."""

    def __init__(
        self,
        view: View,
        vector: QueriedVector,
        allowed: Allowed,
        params: SearchParams,
        *,
        filtered: bool = False,
        values: tuple[tuple[str, FacetValue], ...] = (),
        trace: Trace | None = None,
    ) -> None:
        """``filtered``: ``allowed`` comes from a filter, which demands ``values``.

        ``trace``: told what is done.
        """
        self._vector, self._params = vector, params
        self._config = view.config
        self._parts = searched_parts(view, vector, allowed, params)
        full_scan = full_scan_of(view, vector) if filtered else (0, 0)
        self._hints = [Hints(part.rows, part.count, *full_scan, trace, values) for _, part in self._parts]
        self.count = sum(part.count for _, part in self._parts)

    def rank(
        self, queries: Queries, k: int, *, widening: int = 1, wanted: int | None = None
    ) -> tuple[Slots, FloatArray]:
        """The k best: slots and similarities, both (nq, <= k), best first, padded with slot -1.

        ``widening``: how many times the usual width graphs are walked with. ``wanted``: as of ``Hints``.
        """
        ef = self._params.hnsw_ef  # None: the segment's choice, which is its graph's ``ef_construct``
        if widening > 1 and self._vector.name in self._config.vectors:
            ef = (ef or self._config.hnsw_of(self._vector.name).ef_construct) * widening
        found = [
            segment.search(
                self._vector.name,
                queries,
                min(k, part.count),
                allowed=part.packed,
                allowed_count=part.count,
                ef=ef,
                exact=self._params.exact,
                hints=hints if wanted is None else replace(hints, wanted=wanted),
                quantization=self._params.quantization,
            )
            for (segment, part), hints in zip(self._parts, self._hints, strict=True)
        ]
        if not found:
            return np.empty((len(queries), 0), dtype=np.int64), np.empty((len(queries), 0), dtype=np.float32)
        return ranking.merge_segments(found, k)


def nearest_of_all(view: View, vector: QueriedVector, params: SearchParams) -> Nearest:
    """Among every point of the view; one that was made before, if there is one."""
    kept = _kept(view)
    key = (vector.name, params)
    nearest = kept.get(key)
    if nearest is None:
        if len(kept) >= _KEPT_MAX:
            kept.clear()
        nearest = kept[key] = Nearest(view, vector, live_of(view), params)
    return nearest


_kept: PerView[dict[tuple[str, SearchParams], Nearest]] = PerView(lambda _: {})


def searched_parts(
    view: View, vector: QueriedVector, allowed: Allowed, params: SearchParams
) -> list[tuple[SegmentView, Part]]:
    """The segments that a search looks into, each with its part of what is allowed, which is not empty."""
    return [
        (segment, part)
        for segment in _searched_segments(view, vector, params)
        for part in [allowed.part(segment)]
        if part.count
    ]


def _searched_segments(view: View, vector: QueriedVector, params: SearchParams) -> list[SegmentView]:
    having = [segment for segment in view.segments if segment.rows and _has(segment, vector)]
    if not params.indexed_only:
        return having
    threshold = _indexing_threshold_bytes(view)
    return [segment for segment in having if _is_quick(segment, vector, threshold)]


def _is_quick(segment: SegmentView, vector: QueriedVector, threshold: float) -> bool:
    """Is there an index, or so little that none is needed? (What sparse vectors take tells nothing.)"""
    vectors = segment.vectors(vector.name)
    sparse = vector.shape.kind is VectorKind.SPARSE
    return sparse or is_indexed(vectors) or vectors.rows.nbytes <= threshold


def _has(segment: SegmentView, vector: QueriedVector) -> bool:
    """Not those of a removed vector that was made again with another shape."""
    return vector.name in segment.names and segment.vectors(vector.name).schema.shape == vector.shape


def full_scan_of(view: View, vector: QueriedVector) -> tuple[int, int]:
    """Size of filtered vectors up to which all are scored, and how many sparse ones."""
    return _full_scan_bytes(view, vector), _full_scan_rows(view, vector)


def _full_scan_bytes(view: View, vector: QueriedVector) -> int:
    """Size of filtered vectors up to which all are scored (reference 12).

    What is not set otherwise stays with the planner: the default is meant to be what is fastest.
    """
    if vector.name not in view.config.vectors:
        return 0
    threshold = view.config.hnsw_of(vector.name).full_scan_threshold
    return 0 if threshold == HnswConfig().full_scan_threshold else threshold * _KIB


def _full_scan_rows(view: View, vector: QueriedVector) -> int:
    """How many filtered sparse vectors are all scored if that is set (reference 12)."""
    params = view.config.sparse_vectors.get(vector.name)
    return (params.index.full_scan_threshold or 0) if params and params.index else 0


def _indexing_threshold_bytes(view: View) -> float:
    """Size up to which a segment needs no index (reference 9.15); 0 in the configuration: any size."""
    threshold = view.config.optimizer_config.indexing_threshold
    if threshold == 0:
        return math.inf
    return max(threshold or _INDEXING_THRESHOLD_KB, view.config.hnsw_config.full_scan_threshold) * _KIB
