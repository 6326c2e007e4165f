"""How much a collection may hold, and how seldom its shards are asked."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from consensus.state import CollectionState, ReplicaState, ShardState
from protos.collections import CollectionConfig, CollectionParams
from protos.collections.strict_mode import StrictModeConfig
from protos.errors import BadRequest
from protos.operations import DeletePayload, DeletePoints, PointChange, SetPayload, Upsert, VectorBatch
from router.strict.sizes import MIB, Holding, SizeLimits

STATE = CollectionState(
    "c",
    "uuid",
    CollectionConfig(CollectionParams(vectors={})),
    {0: ShardState(0, {1: ReplicaState.ACTIVE}, 1)},
    (),
)


class Shards:
    """Hold what was let in, and count how often they are asked."""

    def __init__(self) -> None:
        self.holding, self.asked = Holding(), 0
        self.limits = SizeLimits(self._measure)

    async def _measure(self, _: CollectionState) -> Holding:
        self.asked += 1
        return self.holding

    async def admit(self, change: PointChange, strict: StrictModeConfig) -> None:
        await self.limits.admit(change, STATE, strict)


def upsert(points: int, payload: bytes = b"{}") -> Upsert:
    vectors = VectorBatch("", 1, b"\0" * 4 * points)
    return Upsert(list(range(points)), (vectors,), [payload] * points)


async def test_the_shards_are_asked_only_when_the_limit_may_be_reached() -> None:
    shards, strict = Shards(), StrictModeConfig(max_points_count=100)
    for _ in range(9):
        await shards.admit(upsert(10), strict)
    assert shards.asked == 1
    shards.holding = Holding(points=30)  # most replaced others
    for _ in range(3):
        await shards.admit(upsert(10), strict)
    assert shards.asked == 2


async def test_at_the_limit_what_grows_is_refused_and_what_shrinks_is_not() -> None:
    shards, strict = Shards(), StrictModeConfig(max_points_count=10)
    shards.holding = Holding(points=10)
    with pytest.raises(BadRequest, match="Max points count limit of 10 reached!"):
        await shards.admit(upsert(1), strict)
    for change in (DeletePoints(ids=[1]), DeletePayload(("a",), ids=[1]), SetPayload(b"{}", ids=[1])):
        await shards.admit(change, strict)
    shards.holding = Holding(points=9)
    await shards.admit(upsert(1), strict)


@pytest.mark.parametrize(
    ("strict", "holding", "text"),
    [
        (
            StrictModeConfig(max_collection_vector_size_bytes=2 * MIB),
            Holding(vector_bytes=2 * MIB),
            "Max vector storage size limit of 2MB reached!",
        ),
        (
            StrictModeConfig(max_collection_payload_size_bytes=MIB),
            Holding(payload_bytes=MIB),
            "Max payload storage size limit of 1MB reached!",
        ),
    ],
)
async def test_bytes_have_limits_too(strict: StrictModeConfig, holding: Holding, text: str) -> None:
    shards = Shards()
    shards.holding = holding
    with pytest.raises(BadRequest, match=text):
        await shards.admit(upsert(1), strict)


async def test_without_a_limit_nobody_is_asked() -> None:
    shards = Shards()
    await shards.admit(upsert(1), StrictModeConfig())
    assert not shards.asked


async def test_what_is_remembered_is_each_collections_own() -> None:
    shards, strict = Shards(), StrictModeConfig(max_points_count=10)
    await shards.admit(upsert(9), strict)
    await shards.limits.admit(upsert(9), replace(STATE, uuid="other"), strict)
    assert shards.asked == 2
