"""What a read asks for, whatever protocol it came by."""

from __future__ import annotations

import enum

from msgspec import Struct

from protos.collections import UNNAMED
from protos.filters import Filter
from protos.formulas import Formula
from protos.fusion import Dbsf, Rrf
from protos.ids import PointId
from protos.shard import AnyVector, OrderBy, Projection, Record, SearchParams
from router.auth.access import FULL, Access
from router.inference.objects import InferenceObject
from router.replicas.consistency import ReadConsistency
from router.shards import ShardSelector
from router.tokens import Positions
from router.vectors import VectorValues

WINDOW_MAX = 2**31 - 1  # points asked of one shard; no answer is longer, and arrays keep to 32 bits
IDS_ONLY = Projection()


class ReadOptions(Struct, frozen=True):
    """``consistency``: how many replicas must agree; a number, or a share of them (reference 14.6).

    Reads with the same ``affinity`` meet the same replicas (reference 2.1); empty: the nearest and idlest.
    ``at_least``: replicas that are behind these positions do not answer. ``admitted``: it is part of a
    request that strict mode has let in. ``access``: the caller's.
    """

    timeout_ms: int | None = None
    consistency: ReadConsistency | None = None
    affinity: bytes = b""
    at_least: Positions = {}
    admitted: bool = False
    access: Access = FULL


class NearestVector(Struct, frozen=True):
    """An object is embedded before the query is answered."""

    vector: VectorValues | AnyVector | InferenceObject


class NearestPoint(Struct, frozen=True):
    """Nearest to a stored point, which is itself left out unless looked up elsewhere.

    ``lookup_vector`` None: the vector there has the name that is searched by. ``lookup_keys``: where
    the point is looked up, in a collection that has shard keys.
    """

    id: PointId
    lookup_collection: str | None = None
    lookup_vector: str | None = None
    lookup_keys: ShardSelector | None = None


Example = NearestVector | NearestPoint


class RandomSample(Struct, frozen=True):
    """Points at random, each as likely as any other; an offset means nothing."""


class DiverseNearest(Struct, frozen=True):
    """The nearest points that differ most (reference 9.10). ``candidates`` None: as many as the limit."""

    nearest: Example
    diversity: float
    candidates: int | None = None


class Strategy(enum.Enum):
    """What is made of positive and negative examples (reference 9.6)."""

    AVERAGE_VECTOR = "average_vector"
    BEST_SCORE = "best_score"
    SUM_SCORES = "sum_scores"


class Recommend(Struct, frozen=True):
    positive: tuple[Example, ...]
    negative: tuple[Example, ...] = ()
    strategy: Strategy = Strategy.AVERAGE_VECTOR


class Discover(Struct, frozen=True):
    """``context``: pairs of a positive and a negative example (reference 9.7)."""

    target: Example
    context: tuple[tuple[Example, Example], ...] = ()


class ContextPairs(Struct, frozen=True):
    """As ``Discover``, without a target."""

    context: tuple[tuple[Example, Example], ...]


class Feedback(Struct, frozen=True):
    """Similarity to ``target``, corrected by how examples were judged: ``scores[i]`` of ``examples[i]``.

    ``a``, ``b``, ``c`` are those of reference 9.8.
    """

    target: Example
    examples: tuple[Example, ...]
    scores: tuple[float, ...]
    a: float
    b: float
    c: float


ByExamples = Recommend | Discover | ContextPairs | Feedback
Query = (
    NearestVector | NearestPoint | DiverseNearest | OrderBy | RandomSample | Rrf | Dbsf | Formula | ByExamples
)


class Prefetch(Struct, frozen=True):
    """A query whose points another one ranks (reference 9.4). ``query`` None: points by ascending id."""

    query: Query | None = None
    using: str = UNNAMED
    limit: int = 10
    filter: Filter | None = None
    params: SearchParams = SearchParams()
    score_threshold: float | None = None
    prefetch: tuple[Prefetch, ...] = ()


class QueryRequest(Struct, frozen=True):
    """``query`` None: points by ascending id with score 1.0 (reference 9.4).

    With ``prefetch`` it ranks their points and no others. ``filter`` holds for prefetches, too.
    """

    query: Query | None = None
    using: str = UNNAMED
    limit: int = 10
    offset: int = 0
    filter: Filter | None = None
    params: SearchParams = SearchParams()
    score_threshold: float | None = None
    projection: Projection = Projection()
    shard_keys: ShardSelector | None = None
    prefetch: tuple[Prefetch, ...] = ()


class Page(Struct, frozen=True):
    records: list[Record]
    next_offset: PointId | None
