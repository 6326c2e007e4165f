"""The slots that examples rate best: recommendations, discoveries, feedback (reference 9.6–9.8).

Two ways. *Exact*: every allowed row is scored. *Walked*: graphs are walked from the examples whose
neighbourhood must hold the best (docs/decisions/0010-scoring-by-examples.md), what they find is scored on the
original vectors, and the answer stands only if no row outside can be better; otherwise the walks get wider,
until scoring every row is cheaper.

Invariants: scores are those of the original vectors; a walked answer lacks no row that the walks have found,
and none that could be better than its last if the walks were exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from node.bits import Slots
from node.query.allowed import Allowed, allow_slots
from node.query.combining import best_unseen, combine
from node.query.matching import Candidates
from node.query.nearest import Nearest
from node.query.schema import DenseVector, MultiVector, QueriedVector, Queries, pick
from node.query.scoring import score_slots
from node.segments import planner
from node.segments.trace import Trace
from protos.collections import Distance
from protos.examples import BestScore, Discovery, Examples, WeightedSum, vectors_of
from protos.shard import FloatArray, SearchParams

if TYPE_CHECKING:
    from node.query.view_port import View

# As in ``search``: so many points of one score are put in order; past it, which are returned is arbitrary.
_TIES_MAX = 4096
_CHECK_FIRST_MAX = 512  # up to this many candidates, all payloads are checked before anything is scored
_AHEAD, _GROWTH = 4, 4  # a first walk's width for each point wanted; how much wider the next one is
_AHEAD_MIN = 32
_SURE_SHARE = 2  # of what a walk finds, one in so many is trusted to be the nearest without gaps
_SUM_WIDENING = 4  # a sum of examples is far from any row, so walks to it find less

Doubles = npt.NDArray[np.float64]
Ranked = tuple[Slots, FloatArray]


class Rating(Struct, frozen=True, eq=False):
    """Which points are rated, and how many are wanted; by which examples is told for each request."""

    view: View
    vector: QueriedVector
    limit: int
    params: SearchParams
    candidates: Candidates
    trace: Trace | None = None

    def rank(self, examples: Examples) -> Ranked:
        """Slots and scores, best first: ``limit`` and those that equal the last of them.

        Raises: BadInput for an example of another kind or dimension.
        """
        queries = self.vector.prepare(vectors_of(examples))
        candidates = self.candidates
        allowed = candidates.allowed
        checked = candidates.exact
        if not checked and allowed.count <= max(_CHECK_FIRST_MAX, self.limit):
            allowed, checked = allow_slots(candidates.matching()), True
        found = self._walked(examples, queries, allowed, checked=checked)
        if found is not None:
            return found
        slots, scores = self._score(examples, queries, allowed)
        return best(slots, scores, self.limit) if checked else self._best_matching(slots, scores)

    def _score(self, examples: Examples, queries: Queries, allowed: Allowed) -> Ranked:
        def reduce(table: FloatArray) -> FloatArray:
            return combine(examples, table)

        return score_slots(self.view, self.vector, queries, allowed, self.params, reduce, self.trace)

    def _best_matching(self, slots: Slots, scores: FloatArray) -> Ranked:
        """Check payloads in the order of scores until the limit and its ties are found."""
        order = np.argsort(-scores, kind="stable")
        kept, first, step = [order[:0]], 0, max(_CHECK_FIRST_MAX, self.limit)
        while first < len(order):
            part = order[first : first + step]
            kept.append(part[self.candidates.check(slots[part])])
            first += step
            passing = np.concatenate(kept)
            if len(passing) >= self.limit and scores[passing[self.limit - 1]] > scores[part[-1]]:
                break
        passing = np.concatenate(kept)
        return best(slots[passing], scores[passing], self.limit)

    def _walked(
        self, examples: Examples, queries: Queries, allowed: Allowed, *, checked: bool
    ) -> Ranked | None:
        """None: there is no such way, or it would cost more than scoring every row."""
        walk = None if self.params.exact else _walk_of(self.vector, examples, queries)
        if walk is None:
            return None
        filtered = self.candidates.filtered
        nearest = Nearest(self.view, self.vector, allowed, self.params, filtered=filtered, trace=self.trace)
        width = max(self.limit * _AHEAD, _AHEAD_MIN)
        while not planner.exact_is_cheaper(width * len(walk.queries), nearest.count * len(queries)):
            found, similarities = nearest.rank(walk.queries, width, widening=walk.widening)
            near = np.unique(found[found >= 0])
            if not checked:
                near = near[self.candidates.check(near)]
            slots, scores = best(*self._score(examples, queries, allow_slots(near)), self.limit)
            unseen = walk.best_unseen(examples, _edges(found, similarities, width))
            if len(slots) >= self.limit and scores[self.limit - 1] > unseen:
                return slots, scores
            width *= _GROWTH
        return None


class _Walk(Struct, frozen=True, eq=False):
    """Where graphs are walked from, and how many times the usual width they keep. ``slope`` and ``height``:
    of the score over the one walk's similarity, if the score is a function of it; None: it is
    ``combining.best_unseen`` that knows."""

    queries: Queries
    widening: int = 1
    slope: float | None = None
    height: float = 0.0

    def best_unseen(self, examples: Examples, edges: FloatArray) -> float:
        if self.slope is None:
            return best_unseen(examples, edges)
        return self.slope * float(edges[0]) + self.height


def _walk_of(vector: QueriedVector, examples: Examples, queries: Queries) -> _Walk | None:
    """None: the best may be anywhere, so that no walk finds them."""
    if not isinstance(vector, DenseVector | MultiVector):
        return None  # points that share no index with an example are rated too
    match examples:
        case BestScore(positive=positive) if positive:
            return _Walk(pick(queries, range(len(positive))))
        case Discovery():
            return _Walk(pick(queries, [0]))
        case WeightedSum(weights=weights):
            if isinstance(vector, DenseVector) and isinstance(queries, np.ndarray):
                return _walk_of_sum(vector.schema.distance, np.array(weights), queries.astype(np.float64))
    return None


def _walk_of_sum(distance: Distance, weights: Doubles, vectors: Doubles) -> _Walk | None:
    """A sum of products is the product with the sum; one of squared distances is that to the centre."""
    total = weights @ vectors
    if distance is Distance.DOT or distance is Distance.COSINE:
        length = float(np.linalg.norm(total))
        return _Walk(_query(total / length), _SUM_WIDENING, slope=length) if 0 < length < np.inf else None
    weight = float(weights.sum())
    if distance is not Distance.EUCLID or weight <= 0:
        return None
    centre = total / weight
    height = weight * float(centre @ centre) - float(weights @ np.vecdot(vectors, vectors))
    return _Walk(_query(centre), _SUM_WIDENING, slope=weight, height=height) if np.isfinite(height) else None


def _query(vector: Doubles) -> FloatArray:
    return vector.astype(np.float32)[np.newaxis]


def _edges(slots: Slots, similarities: FloatArray, width: int) -> FloatArray:
    """Per walk the similarity below which rows may have been missed; none, if it found all there are."""
    if slots.shape[1] < width:
        return np.full(len(slots), -np.inf, dtype=np.float32)
    return np.where(slots[:, -1] < 0, np.float32(-np.inf), similarities[:, width // _SURE_SHARE - 1])


def best(slots: Slots, scores: FloatArray, limit: int) -> Ranked:
    """The ``limit`` best and their ties (not all, where there are very many), best first, then by slot."""
    if len(scores) > limit:
        edge = np.partition(scores, len(scores) - limit)[len(scores) - limit]
        above = np.flatnonzero(scores > edge)
        ties = np.flatnonzero(scores == edge)[: max(limit - len(above), _TIES_MAX)]
        kept = np.sort(np.concatenate((above, ties)))
        slots, scores = slots[kept], scores[kept]
    order = np.argsort(-scores, kind="stable")
    return slots[order], scores[order]
