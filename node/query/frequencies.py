"""How often the indices of sparse vectors occur, and the weights of queries that follow (``protos.idf``).

Counts are exact: of live points, whatever has been deleted since an index was built. Those of all points are
kept with the view, so that an index is counted once per view.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from node.query.allowed import Allowed, allow_slots, live_of
from node.query.matching import Candidates
from node.query.nearest import searched_parts
from node.query.per_view import PerView
from node.query.schema import SparseNamed, queried_vector
from node.segments.sparse import SparseVectors
from protos.errors import sparse_conversion
from protos.filters import Filter
from protos.idf import Frequencies, FrequencyRequest, indices_of
from protos.shard import SearchParams, SearchRequest
from protos.weighing import vectors_to_weigh, weigh

if TYPE_CHECKING:
    from node.query.view_port import View

_KEPT_MAX = 1 << 17  # indices whose counts a view keeps

CandidatesOf = Callable[[Filter], Candidates]


def frequencies(view: View, requests: Sequence[FrequencyRequest]) -> list[Frequencies]:
    """Answer each request. Raises: BadInput: the collection has no such sparse vector."""
    return [_counted(view, request, lambda corpus: Candidates(view, corpus)) for request in requests]


def weighed_here(view: View, request: SearchRequest, candidates_of: CandidatesOf) -> SearchRequest:
    """``request`` with its vectors weighed by the view's own statistics. Raises: as ``frequencies``."""
    assert request.weighing is not None
    indices = indices_of(vectors_to_weigh(request)).tolist()
    asked = FrequencyRequest(request.using, indices, request.weighing)
    return weigh(request, indices, _counted(view, asked, candidates_of))


class _Kept:
    """Of one vector name, over all points of a view."""

    def __init__(self) -> None:
        self.points: int | None = None
        self.containing: dict[int, int] = {}


_kept: PerView[dict[str, _Kept]] = PerView(lambda _: {})


def _counted(view: View, request: FrequencyRequest, candidates_of: CandidatesOf) -> Frequencies:
    corpus = request.weighing.corpus
    if corpus is not None:
        candidates = candidates_of(corpus)
        allowed = candidates.allowed if candidates.exact else allow_slots(candidates.matching())
        return _count(view, request.using, request.indices, allowed)
    kept = _kept(view).setdefault(request.using, _Kept())
    known = kept.containing  # one object until the end: others may put another in its place
    missing = [index for index in request.indices if index not in known]
    if missing or kept.points is None:
        found = _count(view, request.using, missing, live_of(view))
        if len(known) + len(missing) > _KEPT_MAX:
            known = {index: known[index] for index in request.indices if index in known}
            kept.containing = known
        known.update(zip(missing, found.containing))
        kept.points = found.points
    return Frequencies(kept.points, [known[index] for index in request.indices])


def _count(view: View, using: str, indices: list[int], allowed: Allowed) -> Frequencies:
    vector = queried_vector(view, using)
    if not isinstance(vector, SparseNamed):
        raise sparse_conversion()
    wanted = np.array(indices, dtype=np.uint32)
    points, containing = 0, np.zeros(len(wanted), dtype=np.int64)
    for segment, part in searched_parts(view, vector, allowed, SearchParams()):
        vectors = segment.vectors(using)
        assert isinstance(vectors, SparseVectors)
        some, counts = vectors.frequencies(wanted, part.packed, part.rows)
        points += some
        containing += counts
    return Frequencies(points, containing.tolist())
