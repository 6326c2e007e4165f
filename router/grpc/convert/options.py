"""What a call is about, and how it is to be carried out: waiting, ordering, time, replicas."""

from __future__ import annotations

from typing import Any

from protos.collections import check_collection_name
from protos.errors import InvalidField
from protos.operations import WriteOrdering
from protos.qdrant import points_pb2
from router.collections import SchemaOptions
from router.grpc.convert.words import known
from router.grpc.errors import Unconvertible
from router.grpc.methods import Call
from router.points import WriteOptions
from router.queries.requests import ReadOptions
from router.replicas.consistency import Consistency, ReadConsistency
from router.tokens import HEADER, Positions, decode_tokens

SECONDS_MAX = 2**32  # keeps a timeout in milliseconds far from any overflow
AFFINITY = "x-qdrant-route-affinity"
IDEMPOTENCY = "idempotency-key"

_ORDERINGS = {
    points_pb2.Weak: WriteOrdering.WEAK,
    points_pb2.Medium: WriteOrdering.MEDIUM,
    points_pb2.Strong: WriteOrdering.STRONG,
}
_CONSISTENCIES = {
    points_pb2.All: Consistency.ALL,
    points_pb2.Majority: Consistency.MAJORITY,
    points_pb2.Quorum: Consistency.QUORUM,
}


def target(request: Any) -> str:
    """Of any message that has ``collection_name``. Raises: InvalidField if no collection can be called so."""
    name: str = request.collection_name
    check_collection_name(name)
    return name


def read_options(request: Any, call: Call) -> ReadOptions:
    """Of any message that has ``timeout`` and ``read_consistency``. Raises: InvalidField, Unconvertible."""
    affinity = call.metadata.get(AFFINITY, b"")
    return ReadOptions(
        timeout_ms=timeout_ms(request),
        consistency=_consistency(request.read_consistency) if request.HasField("read_consistency") else None,
        affinity=affinity if isinstance(affinity, bytes) else affinity.encode("utf-8", "surrogateescape"),
        at_least=_known(call),
        access=call.access,
    )


def write_options(request: Any, call: Call) -> WriteOptions:
    """Of any message that has ``wait``, ``ordering`` and ``timeout``. Raises: InvalidField, Unconvertible."""
    key = call.metadata.get(IDEMPOTENCY, "")
    ordering = request.ordering.type if request.HasField("ordering") else points_pb2.Weak
    call.write = WriteOptions(
        wait=request.wait,
        ordering=known(_ORDERINGS, ordering, "WriteOrderingType"),
        timeout_ms=timeout_ms(request, minimum=0),
        idempotency_key=key if isinstance(key, str) else key.decode("utf-8", "surrogateescape"),
        known=_known(call),
        access=call.access,
    )
    return call.write


def _known(call: Call) -> Positions:
    """Positions of the writes that the caller wants to see. Raises: BadInput."""
    tokens = call.metadata.get(HEADER)
    if tokens is None:
        return {}
    return decode_tokens(tokens if isinstance(tokens, str) else tokens.decode("latin-1"))


def schema_options(request: Any, call: Call) -> SchemaOptions:
    options = write_options(request, call)
    return SchemaOptions(wait=options.wait, timeout_ms=options.timeout_ms)


def timeout_ms(request: Any, *, minimum: int = 1) -> int | None:
    """``timeout`` is in seconds; None if it is unset. Raises: InvalidField."""
    if not request.HasField("timeout"):
        return None
    seconds = int(request.timeout)
    if seconds < minimum:
        raise InvalidField("timeout", f"value {seconds} invalid, must be {minimum} or larger")
    if seconds > SECONDS_MAX:
        raise InvalidField("timeout", f"value {seconds} invalid, must be {SECONDS_MAX} or smaller")
    return seconds * 1000


def _consistency(message: points_pb2.ReadConsistency) -> ReadConsistency:
    kind = message.WhichOneof("value")
    if kind is None:
        raise Unconvertible("Read consistency is expected to be a type or a factor")
    if kind == "type":
        return known(_CONSISTENCIES, message.type, "ReadConsistencyType")
    if message.factor == 0:
        raise Unconvertible("Read consistency factor can't be zero")
    return message.factor
