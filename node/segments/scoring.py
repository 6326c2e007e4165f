"""What a search makes of a graph's candidates: how many there are, and whether originals score them.

Pure arithmetic over a graph's codes and the request's ``quantization`` parameters (reference 9.15).
"""

from __future__ import annotations

import math
from typing import Final

from msgspec import Struct

from node.index import HnswGraph
from node.segments import planner
from protos.shard import QuantizationSearchParams

_IGNORING = 2  # how much wider a walk over codes is that is to be as good as one over original vectors


class Scoring(Struct, frozen=True):
    """
    Attributes:
        rescore: similarities are those of the original vectors; else those that the codes tell.
        oversampling: at least this many times ``k`` candidates.
        widening: of every walk. ``whole``: all that a walk kept are candidates.
    """

    rescore: bool = True
    oversampling: float = 1.0
    widening: int = 1
    whole: bool = False

    def width(self, width: int, k: int, nodes: int) -> int:
        """Nodes that a walk keeps, where ``width`` would do for codes that lose nothing."""
        return max(width * self.widening, self._oversampled(k, nodes))

    def count(self, k: int, ef: int) -> int:
        """Candidates of a walk that kept ``ef``."""
        if not self.rescore:
            return min(k, ef)
        return ef if self.whole else min(ef, max(planner.rescored(k, ef), self._oversampled(k, ef)))

    def _oversampled(self, k: int, most: int) -> int:
        return min(most, math.ceil(k * min(self.oversampling, most)))


_RESCORED: Final = Scoring()


def scoring_of(graph: HnswGraph, asked: QuantizationSearchParams | None) -> Scoring:
    """Collections without quantization are always rescored: their codes are nobody's wish."""
    quantization = graph.params.quantization
    if quantization is None:
        return _RESCORED
    asked = asked or QuantizationSearchParams()
    if asked.ignore:
        return Scoring(widening=_IGNORING, whole=True)
    rescore = quantization.rescores if asked.rescore is None else asked.rescore
    return Scoring(rescore, asked.oversampling or 1.0, whole=graph.encoding.coarse)
