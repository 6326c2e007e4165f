"""Commands change the cluster state.

Commands are what the metadata log holds: their tags, field names and types never change, and new
fields get defaults. Whoever proposes a command stamps ids, times and choices into it, so that applying
it is the same everywhere. They are plain values; ``consensus.transitions`` gives them meaning, and
``consensus.events`` says what they did.

Commands about a replica set name the shard's term as their proposer saw it (``ShardRef``), and the epoch of
the replica or transfer they are about; when those have moved on they are rejected as ``Outdated``. So any
of them may be lost, repeated, late or out of order.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from consensus.state import (
    FEATURE_LEVEL,
    CollectionState,
    NodeType,
    ReplicaState,
    ShardGroup,
    ShardKey,
    ShardState,
    Transfer,
    TransferMethod,
)
from protos.collections import (
    AliasAction,
    CollectionConfig,
    PayloadSchema,
    SparseVectorParams,
    UpdateCollection,
    VectorParams,
)
from protos.errors import BadInput
from protos.quotas import QuotaConfig


class PlacedShard(Struct, frozen=True, omit_defaults=True):
    """A shard to create: the peers that hold it, its primary first."""

    id: int
    peers: tuple[int, ...]
    key: ShardKey | None = None


class Restoring(Struct, frozen=True):
    """Files of replicas that a peer has ready: their names (``node.snapshots``) by shard id.

    ``incarnation``: of the process that has them. What it has ready does not outlive it unless the state
    names it by then, so a command that comes later is refused.
    """

    peer_id: int
    incarnation: int
    files: dict[int, str]


class AddCollection(Struct, frozen=True, tag="add_collection", omit_defaults=True):
    """``max_collections`` is the proposer's limit, None: unlimited.

    The rest is of a collection that a snapshot brings back: its payload indexes, which points belong to which
    shard (empty: dealt anew), and ``restoring``, the shards' points; see ``RestoreShards``. ``replaces``: the
    uuid of a collection of this name that goes in the same step, and leaves its aliases; since feature level
    ``consensus.state.LEVEL_OF_REPLACING``.
    """

    name: str
    uuid: str
    config: CollectionConfig
    shards: tuple[PlacedShard, ...]
    created_ms: int
    max_collections: int | None = None
    payload_schema: dict[str, PayloadSchema] = {}
    groups: tuple[ShardGroup, ...] = ()
    restoring: Restoring | None = None
    replaces: str = ""


class RestoreShards(Struct, frozen=True, tag="restore_shards"):
    """Put the points of a snapshot in the place of those that shards of a collection have.

    From now on the peer's replica of each shard, added where it has none, consists of the files it has ready,
    and is primary under the next term; the others become Dead, to be filled from it. ``terms``: of the
    shards, as the proposer saw them. ``trim``: replicas in excess of the number wanted go.
    """

    collection: str
    uuid: str
    terms: dict[int, int]
    restoring: Restoring
    trim: bool = False


class ChangeCollection(Struct, frozen=True, tag="change_collection"):
    """A PATCH; merged into the configuration when applied, so that no concurrent one is lost."""

    name: str
    update: UpdateCollection


class DropCollection(Struct, frozen=True, tag="drop_collection"):
    name: str


class ChangeAliases(Struct, frozen=True, tag="change_aliases"):
    """Actions in order; one that fails ends the list and leaves those before it done."""

    actions: tuple[AliasAction, ...]


class SetPayloadIndex(Struct, frozen=True, tag="set_index"):
    collection: str
    field: str
    schema: PayloadSchema


class DropPayloadIndex(Struct, frozen=True, tag="drop_index"):
    collection: str
    field: str


class SetVectorName(Struct, frozen=True, tag="set_vector"):
    """Exactly one of ``params`` (dense vectors, multivectors) and ``sparse`` is not None."""

    collection: str
    name: str
    params: VectorParams | None = None
    sparse: SparseVectorParams | None = None


class DropVectorName(Struct, frozen=True, tag="drop_vector"):
    collection: str
    name: str


class SetClusterMetadata(Struct, frozen=True, tag="set_metadata"):
    """None removes the key."""

    key: str
    value: Any = None


class RevokeKey(Struct, frozen=True, tag="revoke_key"):
    """Refuse tokens of this id from now on; again: the note changes. ``max_keys``: the proposer's limit."""

    key_id: str
    revoked_ms: int
    note: str = ""
    max_keys: int | None = None


class RestoreKey(Struct, frozen=True, tag="restore_key"):
    key_id: str


# --- peers -----------------------------------------------------------------------------------------


class RegisterPeer(Struct, frozen=True, tag="register_peer"):
    """A process tells where it is; sent on joining and on every start, with a new incarnation.

    A new incarnation aborts the transfers of that peer and into shards that it leads, and voids what it
    vouched for there: before this is applied it leads nothing and goes on with no transfer. The cluster's
    feature level becomes the least of its peers'.
    """

    id: int
    uri: str = ""
    zone: str = ""
    version: str = ""
    incarnation: int = 0
    node_type: NodeType = "Normal"
    feature_level: int = FEATURE_LEVEL


class RemovePeer(Struct, frozen=True, tag="remove_peer"):
    """With ``force`` its replicas go too, even a shard's last one in sync.

    Then the best replica that is left becomes primary as it is, or an empty one is made (``DataLost``).
    """

    id: int
    force: bool = False


class DrainPeer(Struct, frozen=True, tag="drain_peer"):
    """Have the controller move a peer's replicas away, or stop doing so."""

    id: int
    draining: bool = True


# --- replica sets ----------------------------------------------------------------------------------


class ShardRef(Struct, frozen=True):
    """A shard as a proposer saw it."""

    collection: str
    uuid: str
    shard_id: int
    term: int


def shard_ref(collection: CollectionState, shard: ShardState) -> ShardRef:
    return ShardRef(collection.name, collection.uuid, shard.id, shard.term)


class EvictReplica(Struct, frozen=True, tag="evict_replica"):
    """The replica becomes Dead, and its transfers end.

    Proposed by the primary before it acknowledges without that replica, or for a lost peer by the
    controller. Refused for the primary and for the last replica in sync.
    """

    shard: ShardRef
    peer_id: int
    epoch: int


class PromotePrimary(Struct, frozen=True, tag="promote_primary"):
    """A replica in sync becomes primary under the next term; a ``lost`` old primary becomes Dead.

    The primary itself may be named: it was restarted, and must not go on in the term it began before.
    """

    shard: ShardRef
    peer_id: int
    lost: bool = False


class AddReplica(Struct, frozen=True, tag="add_replica"):
    """A new replica that logs live writes from now on; ``state`` is Initializing or Partial."""

    shard: ShardRef
    peer_id: int
    state: ReplicaState = ReplicaState.INITIALIZING


class ReplicaReady(Struct, frozen=True, tag="replica_ready"):
    """A replica that no transfer fills holds everything: it becomes Active, a listener's Listener.

    Rests on the shard's primary: from before this is proposed it waits for that replica with every
    write, and goes on doing so until the replica is evicted, which ends the epoch.
    """

    shard: ShardRef
    peer_id: int
    epoch: int


class ListenReplica(Struct, frozen=True, tag="listen_replica"):
    """A replica on a listener node leaves the ones in sync and becomes Listener; refused as an eviction."""

    shard: ShardRef
    peer_id: int
    epoch: int


class DropReplica(Struct, frozen=True, tag="drop_replica"):
    """A replica goes for good; if it is the primary, another one in sync takes over under the next term.

    ``by_user``: the number of replicas wanted becomes what is left.
    """

    shard: ShardRef
    peer_id: int
    epoch: int
    by_user: bool = False


# --- transfers -------------------------------------------------------------------------------------


class StartTransfer(Struct, frozen=True, tag="start_transfer"):
    """Fill ``target``'s replica, made if it has none, from ``source``'s, which is in sync.

    ``to_shard_id``, ``filter``, ``sync``: see ``Transfer``. ``by_user``: a replica more is a replica
    more wanted.
    """

    shard: ShardRef
    source: int
    target: int
    method: TransferMethod
    sync: bool = True
    to_shard_id: int | None = None
    filter: bytes | None = None
    by_user: bool = False


class FinishTransfer(Struct, frozen=True, tag="finish_transfer"):
    """The target's replica holds everything and becomes Active; the source's replica of a move goes.

    ``term`` is the target shard's. Rests on its primary as ``ReplicaReady`` does.
    """

    collection: str
    uuid: str
    transfer: Transfer
    term: int


class AbortTransfer(Struct, frozen=True, tag="abort_transfer"):
    """The target's replica becomes Dead, to be recovered; the one of a move goes."""

    collection: str
    uuid: str
    transfer: Transfer
    reason: str = ""


class RestartTransfer(Struct, frozen=True, tag="restart_transfer"):
    """Begin again, under a new epoch, with another method."""

    collection: str
    uuid: str
    transfer: Transfer
    method: TransferMethod


# --- shard keys ------------------------------------------------------------------------------------


class CreateShardKey(Struct, frozen=True, tag="create_shard_key"):
    """``placements``: for each new shard the peers that hold it, its primary first.

    ``initial_state`` is Active or Partial; ``wanted`` as in ``ShardState``. Ids are given when applied.
    """

    collection: str
    key: ShardKey
    placements: tuple[tuple[int, ...], ...]
    initial_state: ReplicaState = ReplicaState.ACTIVE
    wanted: int | None = None


class DropShardKey(Struct, frozen=True, tag="drop_shard_key"):
    collection: str
    key: ShardKey


class SetQuotas(Struct, frozen=True, tag="set_quotas"):
    """Since feature level ``consensus.state.LEVEL_OF_QUOTAS``."""

    config: QuotaConfig


# --- resharding: since feature level ``consensus.state.LEVEL_OF_RESHARDING`` -------------------------
#
# ``uuid`` is the collection's, ``operation`` the resharding's. Claims of a source's primary name the step
# that its log has reached (``consensus.ownership``); what they claim holds for good in that log.


class StartResharding(Struct, frozen=True, tag="start_resharding", omit_defaults=True):
    """``peers``, of ``up``: those that hold the new shard, its primary first. ``peer_id``: as it is shown."""

    collection: str
    uuid: str
    operation: str
    direction: Literal["up", "down"]
    peer_id: int
    peers: tuple[int, ...] = ()
    key: ShardKey | None = None


class AbortResharding(Struct, frozen=True, tag="abort_resharding"):
    """Refused once the new owners answer."""

    collection: str
    uuid: str
    operation: str


class BeginMove(Struct, frozen=True, tag="begin_move"):
    """The source's primary begins to copy, from nothing, in a later session than any before.

    What was claimed in an earlier one is void; a fence is lowered, as this will take its time.
    """

    collection: str
    uuid: str
    operation: str
    source: int
    target: int
    session: tuple[int, int]


class MoveReady(Struct, frozen=True, tag="move_ready"):
    """Nearly all was copied; when all moves are ready: FENCED."""

    collection: str
    uuid: str
    operation: str
    source: int
    target: int
    session: tuple[int, int]


class MoveWhole(Struct, frozen=True, tag="move_whole"):
    """The source's log has reached the fence, and the target has all before it; when all are: SWITCHED."""

    collection: str
    uuid: str
    operation: str
    source: int
    target: int
    session: tuple[int, int]
    step: int


class LowerFence(Struct, frozen=True, tag="lower_fence"):
    """The copies take too long to be completed: back to MOVING."""

    collection: str
    uuid: str
    operation: str
    step: int


class SourceReleased(Struct, frozen=True, tag="source_released"):
    """No replica of the source answers for what moved. When all have: done, but for cleaning up."""

    collection: str
    uuid: str
    operation: str
    source: int
    step: int


class ShardCleaned(Struct, frozen=True, tag="shard_cleaned"):
    """A shard's log has removed every point that was not its own at ``step``, and took none since."""

    collection: str
    uuid: str
    shard_id: int
    step: int


Command = (
    AddCollection
    | RestoreShards
    | ChangeCollection
    | DropCollection
    | ChangeAliases
    | SetPayloadIndex
    | DropPayloadIndex
    | SetVectorName
    | DropVectorName
    | SetClusterMetadata
    | RevokeKey
    | RestoreKey
    | RegisterPeer
    | RemovePeer
    | DrainPeer
    | EvictReplica
    | PromotePrimary
    | AddReplica
    | ReplicaReady
    | ListenReplica
    | DropReplica
    | StartTransfer
    | FinishTransfer
    | AbortTransfer
    | RestartTransfer
    | CreateShardKey
    | DropShardKey
    | SetQuotas
    | StartResharding
    | AbortResharding
    | BeginMove
    | MoveReady
    | MoveWhole
    | LowerFence
    | SourceReleased
    | ShardCleaned
)

_command_decoder: msgspec.msgpack.Decoder[Command] = msgspec.msgpack.Decoder(Command)


def encode_command(command: Command) -> bytes:
    """Raises: BadInput if the command holds a number that no log can."""
    try:
        return msgspec.msgpack.encode(command)
    except OverflowError as error:
        raise BadInput(f"number out of range: {error}") from error


def decode_command(data: bytes) -> Command:
    """Raises: msgspec.MsgspecError if this program does not know the command."""
    return _command_decoder.decode(data)
