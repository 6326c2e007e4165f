"""What a write asks for, and what the log holds.

Two vocabularies on purpose. A *change* (``Upsert``, ``DeletePoints`` ...) is what a client asks and
may depend on state: filters, conditions, update modes. A *log operation* (``PutPoints`` ...) is what
the primary resolved it into: addressed by id alone, so applying it twice or elsewhere gives the
same result. Only log operations are written to a WAL or sent to a replica.

Log operations travel as ``bytes([FORMAT]) + msgpack``. Tags and field order never change; new
fields go to the end, with a default.
"""

from __future__ import annotations

import enum
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from protos.errors import multi_conversion, sparse_conversion, wrong_dimension
from protos.filters import Filter
from protos.ids import PointId
from protos.ragged import Positions, elements_of, offsets_of

FORMAT = 1
OPERATION_ID_BYTES = 16

FloatMatrix = npt.NDArray[np.float32]


class VectorKind(enum.Enum):
    """DENSE: one row of ``dim`` numbers; MULTI: several such rows; SPARSE: pairs of index and value."""

    DENSE = "dense"
    MULTI = "multi"
    SPARSE = "sparse"


class VectorShape(NamedTuple):
    """What vectors of one name must be like; ``dim`` is 0 for sparse ones."""

    kind: VectorKind
    dim: int


class VectorBatch(Struct, frozen=True, array_like=True):
    """Vectors of one name and kind for n of an operation's points.

    Everything is little-endian and as the client sent it (Cosine vectors are normalised when stored).

    Attributes:
        dim: numbers in a row; 0 for sparse vectors.
        data: float32 in C order: dense (n, dim), multi (sum of counts, dim), sparse (sum of counts,).
        rows: uint32 (n,), indices into the operation's ``ids``, strictly ascending; empty: one per id.
        counts: uint32 (n,), the sub-vectors or the pairs of each point; empty for dense vectors.
        indices: uint32 (sum of counts,), of sparse vectors, strictly ascending within each.
    """

    name: str
    dim: int
    data: bytes
    rows: bytes = b""
    counts: bytes = b""
    indices: bytes = b""

    @property
    def kind(self) -> VectorKind:
        if not self.dim:
            return VectorKind.SPARSE
        return VectorKind.MULTI if self.counts else VectorKind.DENSE

    @property
    def shape(self) -> VectorShape:
        return VectorShape(self.kind, self.dim)

    @property
    def size_bytes(self) -> int:
        return len(self.data) + len(self.rows) + len(self.counts) + len(self.indices)

    def matrix(self) -> FloatMatrix:
        """Shape (rows of all points, dim), read-only, no copy; of sparse vectors the values, one a row."""
        return np.frombuffer(self.data, dtype="<f4").reshape(-1, self.dim or 1)

    def values(self) -> FloatMatrix:
        """Shape (sum of counts,), of sparse vectors."""
        return np.frombuffer(self.data, dtype="<f4")

    def offsets(self) -> Positions:
        """Shape (n + 1,): where the elements of each multivector or sparse vector begin and end."""
        return offsets_of(np.frombuffer(self.counts, dtype="<u4"))

    def index_numbers(self) -> npt.NDArray[np.uint32]:
        return np.frombuffer(self.indices, dtype="<u4")

    def select(self, rows: Positions, owners: Positions, points: int) -> VectorBatch:
        """Only ``rows``, as the vectors of the points at ``owners`` (ascending) of ``points``."""
        given = b"" if len(owners) == points else owners.astype("<u4").tobytes()
        if self.kind is VectorKind.DENSE:
            return VectorBatch(self.name, self.dim, self.matrix()[rows].tobytes(), given)
        elements, offsets = elements_of(self.offsets(), rows)
        counts = np.diff(offsets).astype("<u4").tobytes()
        indices = self.index_numbers()[elements].tobytes() if self.indices else b""
        return VectorBatch(self.name, self.dim, self.matrix()[elements].tobytes(), given, counts, indices)

    def row_of_point(self, points: int) -> npt.NDArray[np.int64]:
        """Shape (points,): each point's row in ``matrix()``, or -1 where it has none."""
        if not self.rows:
            return np.arange(points, dtype=np.int64)
        table = np.full(points, -1, dtype=np.int64)
        owners = np.frombuffer(self.rows, dtype="<u4")
        table[owners] = np.arange(len(owners), dtype=np.int64)
        return table


def check_shape(given: VectorShape, expected: VectorShape) -> None:
    """Raises: BadInput if a vector of one shape cannot be of a name that has the other."""
    if given.kind is not expected.kind:
        sparse = VectorKind.SPARSE in (given.kind, expected.kind)
        raise sparse_conversion() if sparse else multi_conversion()
    if given.dim != expected.dim:
        raise wrong_dimension(expected.dim, given.dim)


class UpdateMode(enum.Enum):
    UPSERT = "upsert"
    INSERT_ONLY = "insert_only"
    UPDATE_ONLY = "update_only"


# --- changes: what a client asks (tagged, for they also travel to the primary of a shard) ------------
#
# ``at_versions``: for each id the version that the point must have (None: it must not be there), or it is
# left as it is. Asked by nodes only; members of 0.3 and older do not look at it.
# ``within``: other points than those that match it are, to whoever asks, not there (``router.tenants``). One
# that an upsert would replace is a refusal of the whole.


class Upsert(Struct, frozen=True, tag=True):
    """Put whole points. Duplicate ids in one change: the last wins. Payloads are JSON objects."""

    ids: list[PointId]
    vectors: tuple[VectorBatch, ...]
    payloads: list[bytes]
    mode: UpdateMode = UpdateMode.UPSERT
    condition: Filter | None = None  # existing points that do not match stay as they are
    within: Filter | None = None
    at_versions: list[int | None] | None = None


class DeletePoints(Struct, frozen=True, tag=True):
    """``at_versions``: of ``ids``, each of them once."""

    ids: list[PointId] | None = None
    filter: Filter | None = None
    within: Filter | None = None
    at_versions: list[int | None] | None = None


class UpdateVectors(Struct, frozen=True, tag=True):
    """Merge vectors by name into existing points; a repeated id merges. Missing id: NotFound."""

    ids: list[PointId]
    vectors: tuple[VectorBatch, ...]
    condition: Filter | None = None
    within: Filter | None = None


class DeleteVectors(Struct, frozen=True, tag=True):
    """Both selectors given: both are executed, filter first."""

    names: tuple[str, ...]
    ids: list[PointId] | None = None
    filter: Filter | None = None
    within: Filter | None = None


class SetPayload(Struct, frozen=True, tag=True):
    """Merge ``payload`` at ``path`` (None: top level); ``ids`` wins over ``filter``."""

    payload: bytes
    path: str | None = None
    ids: list[PointId] | None = None
    filter: Filter | None = None
    within: Filter | None = None


class OverwritePayload(Struct, frozen=True, tag=True):
    payload: bytes
    ids: list[PointId] | None = None
    filter: Filter | None = None
    within: Filter | None = None


class DeletePayload(Struct, frozen=True, tag=True):
    paths: tuple[str, ...]
    ids: list[PointId] | None = None
    filter: Filter | None = None
    within: Filter | None = None


class ClearPayload(Struct, frozen=True, tag=True):
    ids: list[PointId] | None = None
    filter: Filter | None = None
    within: Filter | None = None


PointChange = (
    Upsert
    | DeletePoints
    | UpdateVectors
    | DeleteVectors
    | SetPayload
    | OverwritePayload
    | DeletePayload
    | ClearPayload
)


# --- log operations: what the WAL holds ----------------------------------------------------------


class LogOperation(Struct, frozen=True, array_like=True, tag=True):
    """Base; every log operation is id-addressed and deterministic."""


class PutPoints(LogOperation, frozen=True, tag="put"):
    """Replace whole points; ids are distinct."""

    ids: list[PointId]
    vectors: tuple[VectorBatch, ...]
    payloads: list[bytes]


class RemovePoints(LogOperation, frozen=True, tag="del"):
    ids: list[PointId]


class PutVectors(LogOperation, frozen=True, tag="put_vec"):
    """Replace the named vectors of existing points, keep the rest; ids are distinct."""

    ids: list[PointId]
    vectors: tuple[VectorBatch, ...]


class RemoveVectors(LogOperation, frozen=True, tag="del_vec"):
    ids: list[PointId]
    names: tuple[str, ...]


class MergePayload(LogOperation, frozen=True, tag="set_pl"):
    ids: list[PointId]
    payload: bytes
    path: str | None = None


class ReplacePayload(LogOperation, frozen=True, tag="put_pl"):
    ids: list[PointId]
    payload: bytes


class DropPayloadKeys(LogOperation, frozen=True, tag="del_pl"):
    ids: list[PointId]
    paths: tuple[str, ...]


class EmptyPayload(LogOperation, frozen=True, tag="clear_pl"):
    ids: list[PointId]


class CreateIndex(LogOperation, frozen=True, tag="mk_idx"):
    """``schema`` is the JSON of a ``protos.collections.PayloadIndexParams``."""

    field: str
    schema: bytes


class DropIndex(LogOperation, frozen=True, tag="rm_idx"):
    field: str


class AddVectorName(LogOperation, frozen=True, tag="mk_vec"):
    """``params``: as ``protos.collections.encode_vector_params`` makes it, of dense and sparse vectors."""

    name: str
    params: bytes


class RemoveVectorName(LogOperation, frozen=True, tag="rm_vec"):
    name: str


class SetOwnership(LogOperation, frozen=True, tag="own"):
    """What the shard does from here on: a ``consensus.ownership.Ownership`` as msgpack."""

    ownership: bytes


class BeginIntake(LogOperation, frozen=True, tag="intake"):
    """From here on copies of points come in from the shard ``source`` in this session alone: (term of the
    source, number), the later the greater."""

    source: int
    term: int
    number: int


class KnowOperations(LogOperation, frozen=True, tag="known"):
    """Operations that another shard had carried out on points that are now here."""

    ids: list[bytes]


class Noop(LogOperation, frozen=True, tag="noop"):
    """Takes a sequence number and changes nothing (a change that resolved to nothing)."""


AnyLogOperation = (
    PutPoints
    | RemovePoints
    | PutVectors
    | RemoveVectors
    | MergePayload
    | ReplacePayload
    | DropPayloadKeys
    | EmptyPayload
    | CreateIndex
    | DropIndex
    | AddVectorName
    | RemoveVectorName
    | SetOwnership
    | BeginIntake
    | KnowOperations
    | Noop
)


class LogEntry(Struct, frozen=True, array_like=True):
    """One WAL record's body: the operation, the id that makes a repeat harmless, and the version
    of the collection's configuration that gives it its meaning."""

    operation: AnyLogOperation
    operation_id: bytes = b""
    config_version: int = 0


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(LogEntry)


def encode_entry(entry: LogEntry) -> bytes:
    return bytes([FORMAT]) + _encoder.encode(entry)


def decode_entry(data: bytes | memoryview) -> LogEntry:
    """Raises: ValueError if the format is newer than this program or the bytes are not an entry."""
    version = data[0]
    if version != FORMAT:
        raise ValueError(f"log format {version} is not known here (this program knows {FORMAT})")
    try:
        return _decoder.decode(data[1:])
    except msgspec.DecodeError as error:
        raise ValueError(f"not a log entry: {error}") from error


# --- outcomes --------------------------------------------------------------------------------------


class WriteOrdering(enum.Enum):
    WEAK = "weak"
    MEDIUM = "medium"
    STRONG = "strong"


class UpdateStatus(enum.Enum):
    ACKNOWLEDGED = "acknowledged"
    COMPLETED = "completed"
    WAIT_TIMEOUT = "wait_timeout"


class UpdateResult(Struct, frozen=True, omit_defaults=True):
    status: UpdateStatus
    operation_id: int | None = None


Payload = dict[str, Any]
