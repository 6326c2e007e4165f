"""How much a collection may hold under strict mode.

Lives here: when its shards are asked how much they hold, and what is made of the answer. Between two
questions what was let in is added up, so that they are asked only when a limit may have been reached.
May not live here: asking them (``router.collections.reporting``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

from consensus.state import CollectionState
from protos.collections.strict_mode import StrictModeConfig
from protos.operations import OverwritePayload, PointChange, SetPayload, UpdateVectors, Upsert
from router.strict.violations import violated

COLLECTIONS_MAX = 1024  # remembered; the one that was asked first makes room
MIB = 1024 * 1024


class Holding(Struct):
    """What a collection holds, or a change may add to it, counted once however many replicas there are."""

    points: int = 0
    vector_bytes: int = 0
    payload_bytes: int = 0

    def __add__(self, other: Holding) -> Holding:
        return Holding(
            self.points + other.points,
            self.vector_bytes + other.vector_bytes,
            self.payload_bytes + other.payload_bytes,
        )


Measure = Callable[[CollectionState], Awaitable[Holding]]


class SizeLimits:
    """``measure`` asks the shards."""

    def __init__(self, measure: Measure) -> None:
        self._measure = measure
        self._known: dict[str, Holding] = {}

    async def admit(self, change: PointChange, state: CollectionState, strict: StrictModeConfig) -> None:
        """Raises: BadRequest if the collection is full already and ``change`` may add to it."""
        added = growth(change)
        if added == Holding() or not _limited(strict):
            return
        known = self._known.get(state.uuid)
        if known is None or _full(known, added, strict):
            known = await self._measure(state)
            if refusal := _full(known, added, strict):
                self._known.pop(state.uuid, None)
                raise violated(refusal, "Delete what is not needed, or raise the limit.")
        self._remember(state.uuid, known + added)

    def _remember(self, uuid: str, holding: Holding) -> None:
        if uuid not in self._known and len(self._known) >= COLLECTIONS_MAX:
            del self._known[next(iter(self._known))]
        self._known[uuid] = holding


def growth(change: PointChange) -> Holding:
    """The most that ``change`` can add."""
    match change:
        case Upsert():
            vectors = sum(batch.size_bytes for batch in change.vectors)
            return Holding(len(change.ids), vectors, sum(map(len, change.payloads)))
        case UpdateVectors():
            return Holding(0, sum(batch.size_bytes for batch in change.vectors), 0)
        case SetPayload() | OverwritePayload():
            return Holding(0, 0, len(change.payload) * max(1, len(change.ids or ())))
        case _:
            return Holding()


def _limited(strict: StrictModeConfig) -> bool:
    limits = (
        strict.max_points_count,
        strict.max_collection_vector_size_bytes,
        strict.max_collection_payload_size_bytes,
    )
    return any(limit is not None for limit in limits)


def _full(held: Holding, added: Holding, strict: StrictModeConfig) -> str | None:
    """Which limit has been reached, of those that ``added`` counts towards."""
    points, vectors = strict.max_points_count, strict.max_collection_vector_size_bytes
    payload = strict.max_collection_payload_size_bytes
    if points is not None and added.points and held.points >= points:
        return f"Max points count limit of {points} reached!"
    if vectors is not None and added.vector_bytes and held.vector_bytes >= vectors:
        return f"Max vector storage size limit of {vectors / MIB:g}MB reached!"
    if payload is not None and added.payload_bytes and held.payload_bytes >= payload:
        return f"Max payload storage size limit of {payload / MIB:g}MB reached!"
    return None
