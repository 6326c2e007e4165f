"""Queries of several stages on one view (reference 9.4): prefetches first, then what ranks their points.

Lives here: the walk through the stages. May not live here: how a stage ranks (``search``, ``scroll``,
``formula``, ``protos.fusion``), which stages a request has (the router's plan).

Invariant: only slots and scores pass from stage to stage; records are projected for the last one's points.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from node.bits import Slots
from node.query.formula import evaluate_formula
from node.query.projection import gather_vectors
from node.query.retrieve import stored_records
from node.query.scroll import listed_slots
from node.query.search import Known, weighed
from node.query.search import settled as searched
from node.query.settled import Settled, settle, to_hits
from protos.diversity import diverse
from protos.fusion import fuse, passing
from protos.shard import FloatArray, Hits, ScrollRequest, SearchRequest
from protos.stages import Boosted, Diverse, Fused, Listed, Searched, Stage, StagedRequest
from protos.weighing import searches_in, with_searches

if TYPE_CHECKING:
    from node.query.view_port import View


def run_stages(view: View, requests: Sequence[StagedRequest]) -> list[Hits]:
    """Answer each request, in order; searches of all points are grouped over all of them.

    Raises: BadInput as ``search`` and ``scroll``.
    """
    requests = [_weighed(view, request) for request in requests]
    leaves = [stage for request in requests for stage in _first_searches(request.stage)]
    found = iter(searched(view, [leaf.search for leaf in leaves]))
    return [to_hits(view, _run(view, request.stage, found), request.projection) for request in requests]


def _weighed(view: View, request: StagedRequest) -> StagedRequest:
    """With its searches weighed by this shard's statistics where it is asked to."""
    if all(search.weighing is None for search in searches_in(request.stage)):
        return request
    known: Known = {}
    stage = with_searches(request.stage, lambda search: weighed(view, search, known))
    return msgspec.structs.replace(request, stage=stage)


def _first_searches(stage: Stage) -> Iterator[Searched]:
    """Those without prefetches, in the order in which ``_run`` comes to them."""
    if isinstance(stage, Diverse):
        stage = stage.candidates
    if isinstance(stage, Searched) and not stage.prefetch:
        yield stage
    for earlier in stage.prefetch:
        yield from _first_searches(earlier)


def _run(view: View, stage: Stage, found: Iterator[Settled]) -> Settled:
    """``found``: what the searches without prefetches found, in their order."""
    if isinstance(stage, Diverse):
        return _diverse(view, stage, _run(view, stage.candidates, found))
    if isinstance(stage, Searched) and not stage.prefetch:
        return next(found)
    earlier = [_run(view, each, found) for each in stage.prefetch]
    if isinstance(stage, Fused):
        return _fused(view, stage, earlier)
    if isinstance(stage, Boosted):
        return _boosted(view, stage, earlier)
    among = _union(earlier) if stage.prefetch else None
    if isinstance(stage, Listed):
        return _listed(view, stage.scroll, among)
    return searched(view, [_exactly(stage.search)], among=among)[0]


def _exactly(search: SearchRequest) -> SearchRequest:
    """Of so few points no graph is asked."""
    return msgspec.structs.replace(search, params=msgspec.structs.replace(search.params, exact=True))


def _union(found: Sequence[Settled]) -> Slots:
    return np.unique(np.concatenate([each.slots for each in found]))


def _fused(view: View, stage: Fused, earlier: Sequence[Settled]) -> Settled:
    slots, scores = fuse(stage.by, [_once(each) for each in earlier])
    return _passing(view, stage, slots, scores)


def _boosted(view: View, stage: Boosted, earlier: Sequence[Settled]) -> Settled:
    slots = _union(earlier)
    columns = [_column(slots, *_once(each)) for each in earlier]
    scores = evaluate_formula(view, stage.formula, slots, columns)
    order = np.argsort(-scores, kind="stable")
    return _passing(view, stage, slots[order], scores[order])


def _column(slots: Slots, found: Slots, scores: FloatArray) -> FloatArray:
    """The score of each of ``slots``, which are ascending; NaN for what is not ``found`` among them."""
    column = np.full(len(slots), np.nan, dtype=np.float32)
    column[np.searchsorted(slots, found)] = scores
    return column


def _passing(view: View, stage: Fused | Boosted, slots: Slots, scores: FloatArray) -> Settled:
    """Of what is ranked, larger scores first."""
    slots, scores = passing((slots, scores), stage.score_threshold)
    return settle(view, slots, scores, stage.limit, descending=True)


def _once(found: Settled) -> tuple[Slots, FloatArray]:
    """Each point at its first place: an order by values lists a point for each of its values."""
    _, first = np.unique(found.slots, return_index=True)
    places = np.sort(first)
    return found.slots[places], found.scores[places]


def _diverse(view: View, stage: Diverse, found: Settled) -> Settled:
    search = stage.search
    assert search.vector is not None
    vectors = gather_vectors(view.segments, (search.using,), found.slots)
    chosen = diverse(
        search.vector,
        [vector[search.using] for vector in vectors],
        view.config.distance_of(search.using),
        diversity=stage.diversity,
        limit=stage.limit,
    )
    stored = [found.stored[place] for place in chosen]
    return Settled(found.slots[chosen], found.scores[chosen], stored)


def _listed(view: View, scroll: ScrollRequest, among: Slots | None) -> Settled:
    slots, values = listed_slots(view, scroll, among)
    return Settled(slots, np.ones(len(slots), dtype=np.float32), stored_records(view, slots), values)
