"""Plain searches by the shortest way: one call per segment, then records; nothing is found out anew.

Most searches are of this kind: one float32 vector, among all points or those of a filter that payload
indexes decide. What they need of a view is found out by the first of them. Whatever is not so (equal scores
at the edge of what was found, a damaged record, a threshold) is left to ``search``, which answers the same,
by ways that serve everything.

May not live here: what those ways find out and this one takes for granted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
import numpy as np
from msgspec import Struct

from node.bits import Slots
from node.hardware import counting
from node.index.distances import normalize
from node.query import ranking
from node.query.allowed import Part
from node.query.matching import Candidates
from node.query.nearest import full_scan_of, searched_parts
from node.query.per_view import PerView
from node.query.schema import DenseVector, queried_vector
from node.query.settled import settle, to_hits
from node.segments.hints import Hints
from node.segments.plain import PlainSearch, Ranking
from protos.collections import Datatype, Distance
from protos.filters import Filter
from protos.shard import FloatArray, Hits, Projection, Record, SearchParams, SearchRequest

if TYPE_CHECKING:
    from node.query.view_port import View
    from node.segments import SegmentView

TIES_AHEAD: Final = 4
"""Candidates beyond the limit that are ranked anyway, so that most ties at its edge are seen at once."""

_KEPT_MAX, _FILTERED_MAX, _FILTERED_BYTES_MAX = 64, 256, 8 << 20  # per view
_FLOAT32: Final = np.dtype(np.float32)
_QUICK_WIDTH = 512  # nodes of the walks in all segments: half a millisecond

Key = tuple[str, int, SearchParams]  # vector name, limit
FilteredKey = tuple[str, int, SearchParams, bytes]  # and the filter, encoded

_encode = msgspec.msgpack.Encoder().encode


def is_plain(request: SearchRequest) -> bool:
    """Is it a vector, as it was sent, among all points?"""
    unfiltered, as_sent = request.filter is None, request.examples is None and request.weighing is None
    return unfiltered and as_sent and not request.explain


def plain_hits(view: View, requests: Sequence[SearchRequest]) -> list[Hits | None]:
    """What each finds; None: ``search`` has to tell. Requests that are not of one kind are left to it."""
    first = requests[0]
    if counting() is not None or not _may_be_short(requests):
        return [None] * len(requests)
    found = _of_all(view, first) if first.filter is None else _of_filtered(view, first, first.filter)
    return [None] * len(requests) if found is None else found.hits(view, requests)


def quick_hits(view: View, request: SearchRequest) -> Hits | None:
    """What it finds, if that is sure to be little work: walks by our own code of known width, for which all
    was found out before, and records as they are stored. So no FAISS, and nothing that grows with the
    collection; it may be called on the event loop. None: ``search`` has to tell.
    """
    if request.filter is not None or not _as_stored(request.projection) or counting() is not None:
        return None
    found = _kept(view).get((request.using, request.limit, request.params))
    if found is None or not found.quick or not _may_be_short((request,)):
        return None
    return found.hits(view, (request,))[0]


def _may_be_short(requests: Sequence[SearchRequest]) -> bool:
    """Are they vectors, as they were sent, and are all found by one kind of call?"""
    first = requests[0]
    using, limit, wanted, params = first.using, first.limit, first.filter, first.params
    for each in requests:
        if each.using != using or each.limit != limit or each.filter is not wanted:
            return False
        if each.params is not params and each.params != params:
            return False
        as_sent = each.examples is None and each.weighing is None
        if not as_sent or each.explain or each.score_threshold is not None:
            return False
    return True


class _Walked(Struct, frozen=True):
    """One segment by one call. ``start``: its first slot."""

    walk: PlainSearch
    start: int

    @property
    def nbytes(self) -> int:
        return self.walk.nbytes

    def find(self, queries: FloatArray) -> Ranking | None:
        found = self.walk.find(queries)
        if found is not None and self.start:
            np.add(found[0], self.start, out=found[0])
        return found


class _Planned(Struct, frozen=True):
    """One segment by whatever it plans itself, such as one without a graph."""

    search: Callable[[FloatArray], Ranking]
    nbytes: int

    def find(self, queries: FloatArray) -> Ranking | None:
        slots, similarities = self.search(queries)
        return (slots, similarities) if slots.size and slots[:, -1].min() >= 0 else None


class _Short:
    """Searches of one kind in one view. ``quick``: they are walks only, and not wide.

    ``nbytes``: of what they hold on to.
    """

    __slots__ = ("_cosine", "_dim", "_limit", "_segments", "_vector", "nbytes", "quick")

    def __init__(self, vector: DenseVector, limit: int, segments: list[_Walked | _Planned]) -> None:
        self._vector, self._limit, self._segments = vector, limit, segments
        widths = [segment.walk.width for segment in segments if isinstance(segment, _Walked)]
        self.nbytes = sum(segment.nbytes for segment in segments)
        self.quick = len(widths) == len(segments) and sum(widths) <= _QUICK_WIDTH
        self._dim, self._cosine = vector.schema.dim, vector.schema.distance is Distance.COSINE

    def hits(self, view: View, requests: Sequence[SearchRequest]) -> list[Hits | None]:
        queries = self._queries(requests)
        found = None if queries is None else self._find(queries)
        if found is None:
            return [None] * len(requests)
        slots, similarities = found
        scores = similarities if self._cosine else self._vector.to_scores(similarities)
        return self._stored(view, requests, slots, scores) or self._apart(view, requests, slots, scores)

    def _stored(
        self, view: View, requests: Sequence[SearchRequest], slots: Slots, scores: FloatArray
    ) -> list[Hits | None] | None:
        """The hits by one look into the store; what was found is best first, and perhaps more than the limit.

        None: it takes more than this to tell all of them.
        """
        wanted, limit = requests[0].projection, self._limit
        if not _as_stored(wanted):
            return None
        if len(requests) > 1 and any(each.projection != wanted for each in requests):
            return None
        if not _are_distinct(scores):
            return None
        records = view.points.points(slots[:, :limit], Record, payloads=wanted.payload is True)
        return None if records is None else list(map(Hits, records, scores[:, :limit]))

    def _apart(
        self, view: View, requests: Sequence[SearchRequest], slots: Slots, scores: FloatArray
    ) -> list[Hits | None]:
        """The same, one request after the other."""
        found: list[Hits | None] = []
        for i, request in enumerate(requests):
            row = slice(i, i + 1)
            stored = self._stored(view, (request,), slots[row], scores[row]) if len(requests) > 1 else None
            found += stored or [self._settled(view, request, slots[i], scores[i])]
        return found

    def _settled(self, view: View, request: SearchRequest, slots: Slots, scores: FloatArray) -> Hits | None:
        if not np.isfinite(scores[[0, -1]]).all():
            return None
        limit, descending = self._limit, self._vector.descending
        if len(scores) > limit and scores[limit - 1] == scores[-1]:
            return None  # there may be more that are equal
        return to_hits(view, settle(view, slots, scores, limit, descending=descending), request.projection)

    def _queries(self, requests: Sequence[SearchRequest]) -> FloatArray | None:
        """(n, dim), C-contiguous; None: some have to be looked at."""
        rows, dim = list[FloatArray](), self._dim
        for request in requests:
            query = request.vector
            if not isinstance(query, np.ndarray) or query.shape != (dim,) or query.dtype != _FLOAT32:
                return None
            rows.append(query)
        queries = (rows[0] if len(rows) == 1 else np.concatenate(rows)).reshape(len(rows), dim)
        return normalize(queries) if self._cosine else np.ascontiguousarray(queries)

    def _find(self, queries: FloatArray) -> Ranking | None:
        """Slots and similarities."""
        if len(self._segments) == 1:
            return self._segments[0].find(queries)
        parts = []
        for segment in self._segments:
            found = segment.find(queries)
            if found is None:
                return None
            parts.append(found)
        return ranking.merge_segments(parts, self._limit + TIES_AHEAD)


def _are_distinct(scores: FloatArray) -> bool:
    """Of sorted rows: are all finite, and no two of a row equal?"""
    if len(scores) > 1:
        return bool(np.isfinite(scores).all() and (scores[:, 1:] != scores[:, :-1]).all())
    values = scores[0].tolist()
    return len(set(values)) == len(values) and math.isfinite(values[0]) and math.isfinite(values[-1])


def _as_stored(wanted: Projection) -> bool:
    return wanted.vectors is False and isinstance(wanted.payload, bool)


def _of_all(view: View, request: SearchRequest) -> _Short | None:
    kept, key = _kept(view), (request.using, request.limit, request.params)
    try:
        return kept[key]
    except KeyError:
        if len(kept) >= _KEPT_MAX:
            kept.clear()
        kept[key] = found = _short(view, *key, None)
        return found


def _of_filtered(view: View, request: SearchRequest, filter: Filter) -> _Short | None:
    try:
        encoded = _encode(
            filter
        )  # by encoding, not by ==: to Python the filters for 1 and for true are equal
    except OverflowError:  # an integer of more than 64 bits
        return None
    kept, key = _filtered(view), (request.using, request.limit, request.params, encoded)
    found = kept.get(key)
    if found is None:
        found = _short(view, request.using, request.limit, request.params, filter)
        kept.add(key, found)
    return found or None


def _short(view: View, using: str, limit: int, params: SearchParams, filter: Filter | None) -> _Short | None:
    vector = queried_vector(view, using)
    if not limit or not isinstance(vector, DenseVector):
        return None
    if vector.schema.datatype is not Datatype.FLOAT32:
        return None
    candidates = Candidates(view, filter)
    if not candidates.exact:
        return None
    allowed, full_scan = candidates.allowed, full_scan_of(view, vector) if candidates.filtered else (0, 0)
    parts = searched_parts(view, vector, allowed, params)
    hints = [Hints(part.rows, part.count, *full_scan, None, candidates.values, limit) for _, part in parts]
    found = [
        _found_in(*each, using, limit + TIES_AHEAD, params, hint)
        for each, hint in zip(parts, hints, strict=True)
    ]
    return _Short(vector, limit, found) if found else None


def _found_in(
    segment: SegmentView, part: Part, using: str, k: int, params: SearchParams, hints: Hints
) -> _Walked | _Planned:
    admitted: dict[str, Any] = {"allowed": part.packed, "allowed_count": part.count, "hints": hints}
    asked: dict[str, Any] = {"ef": params.hnsw_ef, "quantization": params.quantization}
    walk = None if params.exact else segment.plain_search(using, k, **admitted, **asked)
    if walk is not None:
        return _Walked(walk, segment.start)
    asked["exact"] = params.exact
    nbytes = sum(known.nbytes for known in (part.packed, part.rows) if known is not None)
    return _Planned(
        lambda queries: segment.search(using, queries, min(k, part.count), **admitted, **asked), nbytes
    )


class _Filtered:
    """Kinds of filtered searches of one view, and what they hold on to, within bounds."""

    def __init__(self) -> None:
        self._found: dict[FilteredKey, _Short | Literal[False]] = {}
        self._nbytes = 0

    def get(self, key: FilteredKey) -> _Short | Literal[False] | None:
        """False: ``search`` has to tell; None: not known."""
        return self._found.get(key)

    def add(self, key: FilteredKey, found: _Short | None) -> None:
        nbytes = len(key[-1]) + (0 if found is None else found.nbytes)
        if len(self._found) >= _FILTERED_MAX or self._nbytes + nbytes > _FILTERED_BYTES_MAX:
            self._found, self._nbytes = {}, 0
        if nbytes <= _FILTERED_BYTES_MAX:
            self._found[key] = found or False
            self._nbytes += nbytes


_kept: PerView[dict[Key, _Short | None]] = PerView(lambda _: {})
_filtered: PerView[_Filtered] = PerView(lambda _: _Filtered())
