"""What a router asks of one shard, and what it gets back.

Arrays until the end: scores stay numpy, payloads stay the JSON bytes they are stored as, so that
nothing here costs a Python object per candidate, only per returned point.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from msgspec import Struct

from protos.examples import Examples
from protos.filters import Filter
from protos.idf import Weighing
from protos.ids import PointId
from protos.operations import PointChange, WriteOrdering
from protos.vectors import AnyVector as AnyVector
from protos.vectors import FloatArray as FloatArray
from protos.vectors import PointVectors as PointVectors
from protos.vectors import SparseVector as SparseVector

if TYPE_CHECKING:
    pass


class PayloadSelector(Struct, frozen=True):
    """Paths to keep (``include``) or to leave out (``exclude``); exactly one of them is not None."""

    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None


class Projection(Struct, frozen=True):
    """Which parts of a point to return."""

    payload: bool | PayloadSelector = False
    vectors: bool | tuple[str, ...] = False


class QuantizationSearchParams(Struct, frozen=True):
    """What a search does with a quantized collection's codes (reference 9.15).

    ``ignore``: as if there were none. ``rescore``: None: as the kind of quantization has it.
    ``oversampling``: at least 1; so many times the limit are scored again.
    """

    ignore: bool = False
    rescore: bool | None = None
    oversampling: float | None = None


class SearchParams(Struct, frozen=True):
    """``idf``: how sparse queries are weighed; None: as is usual for the vector. For routers: shards are told
    by ``SearchRequest.weighing``."""

    hnsw_ef: int | None = None
    exact: bool = False
    indexed_only: bool = False
    quantization: QuantizationSearchParams | None = None
    idf: Weighing | None = None


class Way(enum.Enum):
    """How the vectors of a segment were searched."""

    ROWS = "exact_rows"
    CODES = "code_scan"
    GRAPH = "graph"
    WIDENED = "widened_graph"
    VALUE_GRAPH = "value_graph"
    INVERTED = "inverted_index"


class SegmentPlan(Struct, frozen=True):
    """One way taken in one segment for ``queries`` requests that share a filter.

    ``estimated`` rows were expected to match before the segment was looked at, ``matching`` do. ``scored``:
    rows whose original vectors were compared, over all queries. ``width``: nodes the widest walk kept.
    """

    segment: str
    way: Way
    queries: int
    estimated: int
    matching: int
    scored: int
    width: int
    micros: float


class SearchPlan(Struct, frozen=True):
    """What a shard did for one request. ``estimated``: points expected to match its filter, ``candidates``:
    those that its payload indexes admit, ``checked``: payloads that had to be read to decide.

    ``micros``: of all, ``filter_micros`` of them until the payload indexes had been asked.
    """

    estimated: int
    candidates: int
    checked: int
    steps: list[SegmentPlan]
    micros: float
    filter_micros: float = 0.0


class SearchRequest(Struct, frozen=True):
    """The ``limit`` nearest points to ``vector``, as the client sent it, or those rated best by ``examples``.

    Exactly one of the two is not None. ``score_threshold`` is in the client's scale (reference 9.5) and
    strict (9.4). ``explain``: tell the plan. ``weighing``: weigh the sparse vectors given by this shard's
    own statistics; None: they are to be taken as they are.
    """

    using: str
    vector: AnyVector | None
    limit: int
    filter: Filter | None = None
    params: SearchParams = SearchParams()
    score_threshold: float | None = None
    projection: Projection = Projection()
    explain: bool = False
    examples: Examples | None = None
    weighing: Weighing | None = None


class Record(Struct, frozen=True, gc=False):
    """A stored point. ``payload`` is a JSON object's bytes, None when not asked for.

    ``shard_key`` is filled in by the reader of a custom-sharded collection; shards leave it None.
    """

    id: PointId
    version: int
    payload: bytes | None = None
    vectors: PointVectors | None = None
    order_value: int | float | None = None
    shard_key: str | int | None = None


class Hits(Struct, frozen=True, gc=False):
    """Best first. ``scores`` (n,) float32 in the client's scale; ``records`` one per score.

    ``plan``: how they were found, if the request asked to ``explain``.
    """

    records: list[Record]
    scores: FloatArray
    plan: SearchPlan | None = None


class Direction(enum.Enum):
    ASC = "asc"
    DESC = "desc"


class OrderBy(Struct, frozen=True):
    """``start_from`` is inclusive; for datetime keys it is microseconds since the epoch."""

    key: str
    direction: Direction = Direction.ASC
    start_from: int | float | None = None


class ScrollRequest(Struct, frozen=True):
    """``limit`` points by ascending id from ``offset`` (inclusive), or by ``order_by``, or at random.

    With a ``sample_seed`` every matching point gets a random number in [0, 1) and those with the smallest
    are returned, ascending, the number as their ``order_value``. The seeds of a sample's shards differ.
    """

    limit: int
    offset: PointId | None = None
    filter: Filter | None = None
    order_by: OrderBy | None = None
    projection: Projection = Projection(payload=True)
    sample_seed: int | None = None


class UpdateRequest(Struct, frozen=True):
    change: PointChange
    wait: bool = False
    ordering: WriteOrdering = WriteOrdering.WEAK
    timeout_ms: int | None = None
    operation_id: bytes = b""  # same id, same first result; empty: the shard makes one
    answers_since: int = 0  # of the shard, as the router knows it (``consensus.ownership``)
    former_ids: list[bytes] = []  # of a larger part that this is one of, whose points have parted since


class Intake(Struct, frozen=True):
    """Copies of points that come in from another shard: a session's beginning, or one change within it.

    ``known``: operations that the source had carried out. Nothing but the session: it begins.
    """

    source: int
    session: tuple[int, int]  # term of the source's primary, number
    change: PointChange | None = None
    known: list[bytes] = []
    operation_id: bytes = b""


class ShardStatus(enum.Enum):
    """Ordered from best to worst; a collection shows its worst shard."""

    GREEN = "green"
    YELLOW = "yellow"
    GREY = "grey"
    RED = "red"


class SegmentInfo(Struct, frozen=True):
    """One segment of a shard. ``points`` are live ones, ``rows`` all that it holds; vectors are those of
    live points, by name. ``id`` is hexadecimal."""

    id: str
    rows: int
    points: int
    vectors: dict[str, int]
    indexed_vectors: dict[str, int]
    vector_bytes: int
    disk_bytes: int
    appendable: bool


class FollowerInfo(Struct, frozen=True):
    """A follower as its primary has heard of it: the last operation durable there, and applied; -1: none."""

    peer_id: int
    in_sync: bool
    durable: int
    applied: int


class ReplicationInfo(Struct, frozen=True):
    """Where a replica's log stands, as seqs; -1: nothing yet. ``followers``: None unless it leads."""

    term: int
    logged: int
    committed: int
    applied: int
    followers: list[FollowerInfo] | None = None


class OptimizedSegment(Struct, frozen=True):
    id: str
    points: int


class Optimization(Struct, frozen=True):
    """Segments that are, or were, made into one. ``id`` is the new one's, hexadecimal; ``ended_ms`` None: it
    runs. Ended without ``error`` and without a reason why it was ``cancelled``, it is done."""

    id: str
    optimizer: str
    segments: list[OptimizedSegment]
    started_ms: int
    ended_ms: int | None = None
    error: str | None = None
    cancelled: str | None = None


class ShardInfo(Struct, frozen=True):
    """``replication`` None: the shard's only replica, on a node alone.

    ``optimizations``: those that run, then those that ended, the last of them first.
    """

    status: ShardStatus
    points: int
    vectors: dict[str, int]  # by name
    indexed_vectors: int
    segments: int
    index_points: dict[str, int]  # payload field -> points with an indexed value
    operations_applied: int
    update_queue_length: int = 0
    optimizer_error: str | None = None
    segment_infos: list[SegmentInfo] = []
    replication: ReplicationInfo | None = None
    optimizations: list[Optimization] = []


def unreachable_shard(reason: str) -> ShardInfo:
    """What stands for a shard that gave no report: red, with nothing in it."""
    return ShardInfo(
        status=ShardStatus.RED,
        points=0,
        vectors={},
        indexed_vectors=0,
        segments=0,
        index_points={},
        operations_applied=0,
        optimizer_error=reason,
    )


class Position(Struct, frozen=True, order=True):
    """A place in a shard's log; positions of one shard are ordered by term, then seq."""

    term: int
    seq: int


class ReadSession(Struct):
    """One request to one replica.

    ``strong``: to be answered only under a lease. ``at_least``: answer as of this position or later.
    ``answers_since``: of the shard, as the asker knows it; None: whatever it answers for.
    ``everything``: also points that are not the shard's own.
    ``position`` is filled in by the replica's client: as of when it answered, or where a write was logged;
    None if it does not tell.
    """

    strong: bool = False
    at_least: Position | None = None
    position: Position | None = None
    answers_since: int | None = None
    everything: bool = False
