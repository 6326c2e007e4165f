"""Queries of several stages, as a router sends them to a shard (reference 9.4).

A stage without ``prefetch`` finds points among all of the shard; one with it ranks what its prefetches found,
and nothing else. A filter stands only where points are found: the router has put into it what the stages
above demand.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from protos.formulas import Formula
from protos.fusion import Dbsf, Rrf
from protos.shard import Projection, ScrollRequest, SearchRequest

DEPTH_MAX: Final = 64  # of prefetches within prefetches


class Searched(Struct, frozen=True, tag=True):
    """By vectors. ``search`` has the limit and the threshold; its projection means nothing."""

    search: SearchRequest
    prefetch: tuple[Stage, ...] = ()


class Listed(Struct, frozen=True, tag=True):
    """By id, by a payload key or at random, as ``scroll`` says; its projection means nothing."""

    scroll: ScrollRequest
    prefetch: tuple[Stage, ...] = ()


class Fused(Struct, frozen=True, tag=True):
    """By the places or scores in the lists of the prefetches. A score that is the threshold's passes."""

    by: Rrf | Dbsf
    limit: int
    prefetch: tuple[Stage, ...]
    score_threshold: float | None = None


class Boosted(Struct, frozen=True, tag=True):
    """By a formula over their scores and payloads. A score that is the threshold's passes."""

    formula: Formula
    limit: int
    prefetch: tuple[Stage, ...]
    score_threshold: float | None = None


class Diverse(Struct, frozen=True, tag=True):
    """As ``search`` finds candidates, of which ``limit`` are chosen that differ (``protos.diversity``).

    Scores are those of ``search``, whose limit is the number of candidates; the order is that of the choice.
    """

    search: SearchRequest
    diversity: float
    limit: int
    prefetch: tuple[Stage, ...] = ()

    @property
    def candidates(self) -> Searched:
        return Searched(self.search, self.prefetch)


Stage = Searched | Listed | Fused | Boosted | Diverse


class StagedRequest(Struct, frozen=True):
    """What the last stage ranks highest, best first."""

    stage: Stage
    projection: Projection = Projection()
