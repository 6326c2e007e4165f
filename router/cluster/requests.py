"""What a user asks of a collection's replica sets, as values (reference 14.7, 14.8).

JSON bodies decode straight into most of these. ``check`` holds the constraints that need no state.
"""

from __future__ import annotations

import enum
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, Struct

from consensus.state import ReplicaState, ShardKey, TransferMethod
from consensus.transitions.shard_keys import INITIAL_STATES
from protos.collections.rules import SHARDS_MAX
from protos.errors import BadRequest, InvalidField

ShardId = Annotated[int, Meta(ge=0, le=2**32 - 1)]
PeerId = Annotated[int, Meta(ge=0)]
Key = Annotated[int, Meta(ge=0)] | str


class ChangeReplicas(Struct, frozen=True, kw_only=True):
    """``to_shard_id`` may only repeat ``shard_id``: other shards hold other points."""

    shard_id: ShardId
    from_peer_id: PeerId
    to_peer_id: PeerId
    method: TransferMethod | None = None
    to_shard_id: ShardId | None = None


class MoveShard(ChangeReplicas, frozen=True, kw_only=True):
    """The source's replica goes when the target's is complete."""


class ReplicateShard(ChangeReplicas, frozen=True, kw_only=True):
    pass


class AbortShardTransfer(Struct, frozen=True, kw_only=True):
    shard_id: ShardId
    from_peer_id: PeerId
    to_peer_id: PeerId
    to_shard_id: ShardId | None = None


class RestartShardTransfer(Struct, frozen=True, kw_only=True):
    """``method`` must differ from that of the transfer that runs."""

    shard_id: ShardId
    from_peer_id: PeerId
    to_peer_id: PeerId
    method: TransferMethod
    to_shard_id: ShardId | None = None


class DropShardReplica(Struct, frozen=True, kw_only=True):
    shard_id: ShardId
    peer_id: PeerId


class CreateShardingKey(Struct, frozen=True, kw_only=True):
    """None: the collection's default; ``placement`` None: any peers."""

    shard_key: ShardKey
    shards_number: int | None = None
    replication_factor: int | None = None
    placement: tuple[int, ...] | None = None
    initial_state: ReplicaState | None = None


class DropShardingKey(Struct, frozen=True, kw_only=True):
    shard_key: Key


class ReplicatePoints(Struct, frozen=True, kw_only=True):
    """Copy points of one shard key into another. ``filter``: which, as a JSON filter; None: all."""

    from_shard_key: ShardKey
    to_shard_key: ShardKey
    filter: bytes | None = None


class StartResharding(Struct, frozen=True, kw_only=True):
    """``uuid`` names the operation: asked for again under the same one, it is still one."""

    direction: Literal["up", "down"]
    uuid: UUID | None = None
    peer_id: PeerId | None = None
    shard_key: Key | None = None


class AbortReshardingOf(Struct, frozen=True, kw_only=True):
    """The one that runs."""


class Drive(enum.Enum):
    """The end of a stage, as drivers of reshardings ask for it."""

    FINISH_MIGRATING_POINTS = "finish_migrating_points"
    COMMIT_READ_HASH_RING = "commit_read_hash_ring"
    COMMIT_WRITE_HASH_RING = "commit_write_hash_ring"
    FINISH_RESHARDING = "finish_resharding"


class DriveResharding(Struct, frozen=True, kw_only=True):
    """Wait for the end of a stage: a resharding goes on by itself."""

    drive: Drive


ReplicaChange = (
    MoveShard
    | ReplicateShard
    | AbortShardTransfer
    | RestartShardTransfer
    | DropShardReplica
    | ReplicatePoints
    | StartResharding
    | AbortReshardingOf
)
ClusterChange = ReplicaChange | CreateShardingKey | DropShardingKey | DriveResharding


def check(change: ClusterChange) -> None:
    """Raises: InvalidField, BadRequest if no state could make the change right."""
    if isinstance(change, ChangeReplicas):
        to_itself = change.to_shard_id in (None, change.shard_id)
        if to_itself and change.from_peer_id == change.to_peer_id:
            text = 'cannot transfer shard to itself, "to_peer_id" must be different than "from_peer_id"'
            raise InvalidField("to_peer_id", text)
    if isinstance(change, ReplicatePoints) and change.from_shard_key == change.to_shard_key:
        text = 'cannot replicate points to the same shard key, "to_shard_key" must be different than'
        raise InvalidField("to_shard_key", f'{text} "from_shard_key"')
    if isinstance(change, CreateShardingKey):
        _check_new_key(change)


def _check_new_key(change: CreateShardingKey) -> None:
    for name in ("shards_number", "replication_factor"):
        value = getattr(change, name)
        if value is not None and value < 1:
            raise InvalidField(name, f"value {value} invalid, must be 1 or larger")
    if change.shards_number is not None and change.shards_number > SHARDS_MAX:
        text = f"value {change.shards_number} invalid, must be {SHARDS_MAX} or smaller"
        raise InvalidField("shards_number", text)
    if change.placement is not None and not change.placement:
        raise BadRequest("Shard key placement must not be empty")
    if change.initial_state not in (None, *INITIAL_STATES):
        shown = change.initial_state.value if change.initial_state else ""
        raise BadRequest(f"Initial state cannot be {shown}, only Active or Partial")
