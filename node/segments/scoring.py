"""What a search makes of a graph's candidates: how many there are, and whether originals score them.

Pure arithmetic over a graph's codes and the request's ``quantization`` parameters (reference 9.15).
"""

from __future__ import annotations

import math
from typing import Final

from msgspec import Struct

from node.index import Code, Encoding, HnswGraph
from node.segments import planner
from protos.shard import QuantizationSearchParams

_SIGNS_COMPONENTS = 1536  # of so many, the first four times as many as are wanted hold all that are best
_IGNORING = 2  # how much wider a walk over codes is that is to be as good as one over original vectors


class Scoring(Struct, frozen=True):
    """
    Attributes:
        rescore: similarities are those of the original vectors; else those that the codes tell.
        oversampling: at least this many candidates for each that is wanted.
        widening: of every walk. ``per_wanted``: so many candidates for each hold what is best.
        wanted: of the ``k`` that are to be ranked; None: all.
    """

    rescore: bool = True
    oversampling: float = 1.0
    widening: int = 1
    per_wanted: float = 1.0
    wanted: int | None = None

    def width(self, width: int, k: int, nodes: int) -> int:
        """Nodes that a walk keeps, where ``width`` would do for codes that lose nothing."""
        return max(width * self.widening, self._oversampled(k, nodes))

    def count(self, k: int, ef: int) -> int:
        """Candidates of a walk that kept ``ef``."""
        if not self.rescore:
            return min(k, ef)
        needed = self._times(self.per_wanted, k, ef)
        return min(ef, max(needed, planner.rescored(k, ef), self._oversampled(k, ef)))

    def whole(self, k: int, ef: int) -> int:
        """Nodes of a walk that kept ``ef`` which are compared by whole codes where these are split."""
        return max(min(k, ef), planner.rescored(self._wanted(k), ef))

    def _oversampled(self, k: int, most: int) -> int:
        return self._times(self.oversampling, k, most)

    def _times(self, factor: float, k: int, most: int) -> int:
        return min(most, math.ceil(self._wanted(k) * min(factor, most)))

    def _wanted(self, k: int) -> int:
        return k if self.wanted is None else min(k, self.wanted)


_RESCORED: Final = Scoring()


def scoring_of(
    graph: HnswGraph, asked: QuantizationSearchParams | None, wanted: int | None = None
) -> Scoring:
    """Collections without quantization are always rescored: their codes are nobody's wish."""
    quantization = graph.params.quantization
    if quantization is None:
        return _RESCORED
    asked = asked or QuantizationSearchParams()
    if asked.ignore:
        return Scoring(widening=_IGNORING, per_wanted=math.inf)
    rescore = quantization.rescores if asked.rescore is None else asked.rescore
    per_wanted = _per_wanted(graph.encoding)
    return Scoring(rescore, asked.oversampling or 1.0, per_wanted=per_wanted, wanted=wanted)


def _per_wanted(encoding: Encoding) -> float:
    """What signs tell is the surer the more there are (docs/decisions/0003-quantization.md)."""
    if encoding.code is Code.SIGNS:
        return 4 * _SIGNS_COMPONENTS / encoding.width
    return math.inf if encoding.coarse else 1.0
