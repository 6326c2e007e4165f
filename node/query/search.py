"""Nearest points: requests in, hits out.

Lives here: grouping requests that can share a call, the search when payloads must be checked, thresholds.
May not live here: how segments are searched and merged (``nearest``, ``ranking``), what filters mean, what
ranked slots become (``settled``).

Invariants: never fewer than min(limit, matching points that have the vector), unless a threshold cuts;
equal scores are ordered by id (reference 9.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from msgspec import Struct

from node.bits import Slots
from node.query import ranking
from node.query.allowed import Allowed, allow_slots
from node.query.examples import Rating
from node.query.explained import Watch
from node.query.frequencies import weighed_here
from node.query.matching import Candidates
from node.query.nearest import Nearest, nearest_of_all
from node.query.plain import TIES_AHEAD, is_plain, plain_hits
from node.query.schema import QueriedVector, Queries, pick, queried_vector
from node.query.settled import Settled, settle, to_hits
from node.segments.trace import Trace
from protos.filters import Filter
from protos.shard import FloatArray, Hits, SearchParams, SearchPlan, SearchRequest

if TYPE_CHECKING:
    from node.query.view_port import View

# Ties are followed no further than this: past it, which of the equal points is returned is arbitrary.
_TIES_MAX = 4096
# Up to this many candidates, checking all payloads first is cheaper than ranking more and more of them.
_CHECK_FIRST_MAX = 512
_WIDENING_MIN, _GROWTH = 2, 4


class _Kind(Struct, frozen=True):
    """Requests of one kind are answered by one call per segment."""

    using: str
    limit: int
    filter: Filter | None
    params: SearchParams
    explain: bool
    by_examples: bool


Known = dict[bytes, Candidates]
"""What was found out about filters of one view: made empty, and given along with requests that share them."""


def search(view: View, requests: Sequence[SearchRequest], known: Known | None = None) -> list[Hits]:
    """Answer each request, in order. ``known`` may be shared by threads.

    Raises: BadInput for an unknown vector name or a query of the wrong dimension.
    """
    if not requests:
        return []
    hits = plain_hits(view, requests)
    found = [each for each in hits if each is not None]
    if len(found) == len(hits):
        return found
    left = [i for i, each in enumerate(hits) if each is None]
    rest = [requests[i] for i in left] if found else requests
    for i, ranked in zip(left, settled(view, rest, known), strict=True):
        hits[i] = to_hits(view, ranked, requests[i].projection)
    return [each for each in hits if each is not None]


def settled(
    view: View,
    requests: Sequence[SearchRequest],
    known: Known | None = None,
    among: Slots | None = None,
) -> list[Settled]:
    """What each request finds, as slots. ``among``: all that it may find, ascending; None: every point.

    Raises: as ``search``.
    """
    alone = known is None and len(requests) == 1
    if alone and among is None and is_plain(requests[0]):
        return [_plainly(view, requests[0])]
    found: list[Settled | None] = [None] * len(requests)
    known = {} if known is None else known
    requests = [weighed(view, request, known, alone=alone) for request in requests]
    for kind, members in _group(requests):
        vector = queried_vector(view, kind.using)
        watch = Watch() if kind.explain else None
        admitted = _candidates(view, kind.filter, among, known, alone=alone)
        if watch is not None:
            watch.filtered()
        trace = watch.trace if watch is not None else None
        if kind.by_examples:
            rating = Rating(view, vector, kind.limit, kind.params, admitted, trace)
            ranked = [rating.rank(asked) for i in members if (asked := requests[i].examples) is not None]
        else:
            queries = vector.prepare([by for i in members if (by := requests[i].vector) is not None])
            ranked = _rank(view, vector, queries, kind, admitted, trace)
        plan = watch.plan(view, kind.filter, admitted) if watch is not None else None
        for i, (slots, similarities) in zip(members, ranked, strict=True):
            found[i] = _settled(view, vector, requests[i], slots, similarities, plan)
    return [each for each in found if each is not None]


def _plainly(view: View, request: SearchRequest) -> Settled:
    """What most searches are, without what has to be found out about the others."""
    assert request.vector is not None
    vector = queried_vector(view, request.using)
    queries = vector.prepare([request.vector])
    nearest = nearest_of_all(view, vector, request.params)
    ((slots, similarities),) = _rank_with_ties(nearest, queries, request.limit)
    return _settled(view, vector, request, slots, similarities, None)


def weighed(view: View, request: SearchRequest, known: Known, *, alone: bool = False) -> SearchRequest:
    """The request with its vectors weighed, if it asks for that. Raises: BadInput: they are not sparse."""
    if request.weighing is None:
        return request
    return weighed_here(view, request, lambda corpus: _candidates(view, corpus, None, known, alone=alone))


def _group(requests: Sequence[SearchRequest]) -> list[tuple[_Kind, list[int]]]:
    kinds = [_Kind(r.using, r.limit, r.filter, r.params, r.explain, r.examples is not None) for r in requests]
    if len(kinds) == 1:
        return [(kinds[0], [0])]
    groups: dict[bytes, tuple[_Kind, list[int]]] = {}
    for i, kind in enumerate(kinds):
        # By encoding, not by ==: to Python the filters for 1 and for true are equal.
        groups.setdefault(msgspec.msgpack.encode(kind), (kind, []))[1].append(i)
    return list(groups.values())


def _candidates(
    view: View, filter: Filter | None, among: Slots | None, known: Known, *, alone: bool
) -> Candidates:
    if alone or filter is None:
        return Candidates(view, filter, among)
    key = msgspec.msgpack.encode(filter)
    if key not in known:
        known[key] = Candidates(view, filter, among)
    return known[key]


def _rank(
    view: View,
    vector: QueriedVector,
    queries: Queries,
    kind: _Kind,
    candidates: Candidates,
    trace: Trace | None,
) -> list[tuple[Slots, FloatArray]]:
    """Per query the best matching slots, at least the limit plus its ties where there are so many."""

    def nearest(allowed: Allowed) -> Nearest:
        if not candidates.filtered and trace is None:
            return nearest_of_all(view, vector, kind.params)
        return Nearest(
            view,
            vector,
            allowed,
            kind.params,
            filtered=candidates.filtered,
            values=candidates.values,
            trace=trace,
        )

    def rank_checked(some: Queries) -> list[tuple[Slots, FloatArray]]:
        """Check every candidate's payload, then rank those that match."""
        return _rank_with_ties(nearest(allow_slots(candidates.matching())), some, kind.limit)

    if candidates.exact:
        return _rank_with_ties(nearest(candidates.allowed), queries, kind.limit)
    if candidates.allowed.count <= max(_CHECK_FIRST_MAX, kind.limit):
        return rank_checked(queries)
    ranker = nearest(candidates.allowed)
    verdicts: dict[int, bool] = {}
    found = [
        _rank_checking(ranker, queries[i : i + 1], kind.limit, candidates, verdicts)
        for i in range(len(queries))
    ]
    short = [i for i, ranked in enumerate(found) if ranked is None]
    if short:
        for i, ranked in zip(short, rank_checked(pick(queries, short)), strict=True):
            found[i] = ranked
    return [ranked for ranked in found if ranked is not None]


def _rank_with_ties(nearest: Nearest, queries: Queries, limit: int) -> list[tuple[Slots, FloatArray]]:
    k = limit + TIES_AHEAD
    slots, similarities = nearest.rank(queries, k, wanted=limit)
    ranked = [ranking.trim(*row) for row in zip(slots, similarities, strict=True)]
    for i, (_, best) in enumerate(ranked):
        wider = k
        while len(best) >= wider and best[-1] == best[limit - 1] and wider < min(nearest.count, _TIES_MAX):
            wider = min(wider * _GROWTH, nearest.count)
            again = nearest.rank(queries[i : i + 1], wider, wanted=limit)
            ranked[i] = ranking.trim(again[0][0], again[1][0])
            best = ranked[i][1]
    return ranked


def _rank_checking(
    nearest: Nearest,
    query: Queries,
    limit: int,
    candidates: Candidates,
    verdicts: dict[int, bool],
) -> tuple[Slots, FloatArray] | None:
    """Check payloads in the order of similarity until the limit and its ties are found; None: too rare.

    Ranking ever more candidates stops paying off when they are a good part of all. Graphs are walked
    wider in proportion, so that the last matches found are as sure as the first without a filter.
    """
    widening = _WIDENING_MIN
    while (k := limit * widening) * _GROWTH <= nearest.count:
        slots, similarities = nearest.rank(query, k, widening=widening)
        slots, similarities = ranking.trim(slots[0], similarities[0])
        passing = _checked(candidates, slots, verdicts)
        matching, best = slots[passing], similarities[passing]
        if len(matching) >= limit and best[limit - 1] > similarities[-1]:
            return matching, best
        widening *= _GROWTH
    return None


def _checked(candidates: Candidates, slots: Slots, verdicts: dict[int, bool]) -> Slots:
    """Positions in ``slots`` of those that match; payloads seen before are not read again."""
    numbers = slots.tolist()
    unseen = [slot for slot in numbers if slot not in verdicts]
    verdicts.update(zip(unseen, candidates.check(np.array(unseen, dtype=np.int64)).tolist(), strict=True))
    return np.flatnonzero(np.fromiter((verdicts[slot] for slot in numbers), np.bool_, len(numbers)))


def _settled(
    view: View,
    vector: QueriedVector,
    request: SearchRequest,
    slots: Slots,
    similarities: FloatArray,
    plan: SearchPlan | None,
) -> Settled:
    rated = request.examples is not None
    scores = similarities if rated else vector.to_scores(similarities)
    descending = rated or vector.descending
    if request.score_threshold is not None:
        # The metric decides what passes even where the order is not its own, as with Qdrant (reference 9.4).
        passing = ranking.within_threshold(scores, request.score_threshold, descending=vector.descending)
        slots, scores = slots[:passing], scores[:passing]
    return settle(view, slots, scores, request.limit, descending=descending, plan=plan)
