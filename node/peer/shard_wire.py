"""What is asked of a replica on another node, and what it answers, as bytes.

``bytes([FORMAT]) + msgpack``: of ``Asked`` with the request, of ``Answered`` with the result, both as the
structs of ``protos``. Names of fields, tags and methods never change; new fields get a default. Arrays are an
extension: the number of dimensions (1 byte), each dimension (4 bytes), little-endian float32 in C order.
Sparse vectors are another: indices, then as many values, of 4 bytes each.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec
import numpy as np
from msgspec import Struct
from msgspec.msgpack import Ext

from protos.facets import FacetHit, FacetRequest
from protos.filters import Filter
from protos.hardware import HardwareUsage
from protos.idf import Frequencies, FrequencyRequest
from protos.ids import PointId
from protos.memory import ShardMemory
from protos.operations import UpdateResult
from protos.shard import (
    AnyVector,
    Hits,
    Intake,
    Position,
    Projection,
    ReadSession,
    Record,
    ScrollRequest,
    SearchRequest,
    ShardInfo,
    SparseVector,
    UpdateRequest,
)
from protos.stages import StagedRequest

FORMAT = 1
_ARRAY, _SPARSE = 1, 2  # the extensions' codes
_DIMENSIONS_MAX = 8

Q = TypeVar("Q")
A = TypeVar("A")


class Asked(Struct, Generic[Q], frozen=True, array_like=True):
    """All but the first two and the request: of the ``ReadSession``."""

    collection_uuid: str
    shard_id: int
    strong: bool
    at_least: Position | None
    request: Q
    answers_since: int | None = None
    everything: bool = False


class Answered(Struct, Generic[A], frozen=True, array_like=True):
    """``usage``: what it has cost that node's hardware; None: nothing that it measures."""

    position: Position | None
    result: A
    usage: HardwareUsage | None = None


class Retrieve(Struct, frozen=True):
    ids: list[PointId]
    projection: Projection


class Count(Struct, frozen=True):
    filter: Filter | None
    exact: bool


class Method(Generic[Q, A]):
    """The codec of one method."""

    def __init__(self, name: str, request: Any, result: Any) -> None:
        self.name = name
        self._asked = _decoder_of(Asked[request])
        self._answered = _decoder_of(Answered[result])

    def encode_request(self, collection_uuid: str, shard_id: int, session: ReadSession, request: Q) -> bytes:
        """Raises: OverflowError: an integer of more than 64 bits."""
        strong, at_least = session.strong, session.at_least
        since, everything = session.answers_since, session.everything
        return _encode(Asked(collection_uuid, shard_id, strong, at_least, request, since, everything))

    def decode_request(self, data: bytes) -> Asked[Q]:
        """Raises: ValueError."""
        asked: Asked[Q] = _decode(self._asked, data)
        return asked

    def encode_answer(
        self, position: Position | None, result: A, usage: HardwareUsage | None = None
    ) -> bytes:
        return _encode(Answered(position, result, usage))

    def decode_answer(self, data: bytes) -> Answered[A]:
        """Raises: ValueError."""
        answered: Answered[A] = _decode(self._answered, data)
        return answered


# --- msgpack -----------------------------------------------------------------------------------------------


def _from_numpy(value: object) -> object:
    if isinstance(value, np.ndarray):
        assert value.dtype == np.float32, f"arrays of float32 travel, not of {value.dtype}"
        head = bytes([value.ndim]) + np.array(value.shape, dtype="<u4").tobytes()
        return Ext(_ARRAY, head + value.astype("<f4", copy=False).tobytes())
    if isinstance(value, SparseVector):
        return Ext(_SPARSE, value.tobytes())
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"{type(value).__name__} does not travel")


def _from_extension(code: int, data: memoryview) -> AnyVector:
    if code == _SPARSE:
        return _sparse(data)
    if code != _ARRAY or not data or data[0] > _DIMENSIONS_MAX:
        raise ValueError(f"extension {code} is not known here")
    start = 1 + 4 * data[0]
    shape = np.frombuffer(data[1:start], dtype="<u4")
    # A copy is aligned, and does not keep the whole message alive.
    return np.frombuffer(data[start:], dtype="<f4").reshape(shape).astype(np.float32)


def _sparse(data: memoryview) -> SparseVector:
    middle = len(data) // 2
    indices, values = np.frombuffer(data[:middle], dtype="<u4"), np.frombuffer(data[middle:], dtype="<f4")
    if len(indices) != len(values):
        raise ValueError(f"{len(data)} bytes are no sparse vector")
    return SparseVector(indices.astype(np.uint32), values.astype(np.float32))


def _array(_: type, value: object) -> object:
    """An extension has been made an array or a vector already."""
    if isinstance(value, np.ndarray | SparseVector):
        return value
    raise ValueError(f"an array is expected, {type(value).__name__} was found")


def _decoder_of(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind, dec_hook=_array, ext_hook=_from_extension)


_encoder = msgspec.msgpack.Encoder(enc_hook=_from_numpy)


def _encode(value: object) -> bytes:
    return bytes([FORMAT]) + _encoder.encode(value)


def _decode(decoder: msgspec.msgpack.Decoder[Any], data: bytes) -> Any:
    if not data or data[0] != FORMAT:
        found = data[0] if data else "nothing"
        raise ValueError(f"format {FORMAT} of shard calls is expected, {found} was found")
    try:
        return decoder.decode(memoryview(data)[1:])
    except (msgspec.MsgspecError, ValueError) as error:  # ValueError: of an extension
        raise ValueError(f"not a shard call: {error}") from error


# --- the methods: after the codec, which they use ----------------------------------------------------------

UPDATE: Method[UpdateRequest, UpdateResult] = Method("shard.update", UpdateRequest, UpdateResult)
SEARCH: Method[list[SearchRequest], list[Hits]] = Method("shard.search", list[SearchRequest], list[Hits])
QUERY_STAGED: Method[list[StagedRequest], list[Hits]] = Method(
    "shard.query_staged", list[StagedRequest], list[Hits]
)
SCROLL: Method[ScrollRequest, list[Record]] = Method("shard.scroll", ScrollRequest, list[Record])
RETRIEVE: Method[Retrieve, list[Record]] = Method("shard.retrieve", Retrieve, list[Record])
COUNT: Method[Count, int] = Method("shard.count", Count, int)
FACET: Method[FacetRequest, list[FacetHit]] = Method("shard.facet", FacetRequest, list[FacetHit])
FREQUENCIES: Method[list[FrequencyRequest], list[Frequencies]] = Method(
    "shard.frequencies", list[FrequencyRequest], list[Frequencies]
)
INFO: Method[None, ShardInfo] = Method("shard.info", None, ShardInfo)
MEMORY: Method[None, ShardMemory] = Method("shard.memory", None, ShardMemory)
TAKE: Method[Intake, UpdateResult] = Method("shard.take", Intake, UpdateResult)
SETTLE_SCHEMA: Method[int, UpdateResult] = Method("shard.settle_schema", int, UpdateResult)
