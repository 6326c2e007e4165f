"""What the cluster is: peers, collections, shards and their replicas, aliases.

Lives here: the frozen structs, and questions answered from them alone.
May not live here: changes (``transitions``), clocks, sockets, files. Dicts inside the structs are never
changed in place; a new state shares what did not change.

Invariants:
  I1  no name is both a collection and an alias, and every alias names a collection;
  I2  every shard has at least one replica, its primary is one of them, and all are known peers;
  I3  a shard group's buckets name only that group's shards;
  I4  ``config_version`` of a collection grows by one with every change of its configuration, vector
      names or payload indexes, and never otherwise; ``version`` with every change of the state;
  I5  a shard's primary is in sync; only a shard that is still being filled for the first time (its
      shard key was created as Partial) has no replica in sync;
  I6  a transfer's source holds a replica in sync, its target holds one that is not readable yet (or is
      another shard), and the target's replica has the transfer's epoch;
  I7  the term of a shard grows by one with each promotion (of another replica, or of its primary anew),
      and never otherwise; epochs and shard ids are never used twice;
  I8  ``buckets_step`` of a collection grows by one with every change of what its shards hold, answer and
      take, and never otherwise; every bucket has one owner; only the shard that a resharding makes, or has
      emptied, owns none, and is in no group.

``consensus.invariants`` checks them.
"""

from __future__ import annotations

import enum
from typing import Any, Literal

import msgspec
from msgspec import Struct

from protos.collections import CollectionConfig, PayloadSchema
from protos.errors import collection_not_found
from protos.quotas import QuotaConfig

ShardKey = str | int

NodeType = Literal["Normal", "Listener"]

FEATURE_LEVEL = 7  # of this program: the commands and formats it understands
LEVEL_OF_RESTORING = 3  # snapshots are restored; 2: replica sets
LEVEL_OF_KEYS = 3  # keys can be revoked, and callers bound to tenants
LEVEL_OF_QUOTAS = 3
LEVEL_OF_REPLACING = 4  # a collection takes the place of its namesake in one step
LEVEL_OF_REPLICA_FILES = 7  # a replica's files as this program writes them, segments of format 6 among them
LEVEL_OF_RESHARDING = 4
LEVEL_OF_ROUTERS = 5  # peers answer nodes that are none, and let them follow the state
REMOVED_PEERS_MAX = 256  # remembered; a registration older than that would have to be 256 removals late


class ReplicaState(enum.Enum):
    """Texts as in Qdrant's API (reference 14.4)."""

    ACTIVE = "Active"
    DEAD = "Dead"
    PARTIAL = "Partial"
    INITIALIZING = "Initializing"
    LISTENER = "Listener"
    PARTIAL_SNAPSHOT = "PartialSnapshot"
    RECOVERY = "Recovery"
    RESHARDING = "Resharding"
    RESHARDING_SCALE_DOWN = "ReshardingScaleDown"
    ACTIVE_READ = "ActiveRead"
    MANUAL_RECOVERY = "ManualRecovery"


class TransferMethod(enum.Enum):
    """Texts as in Qdrant's API (reference 14.9)."""

    STREAM_RECORDS = "stream_records"
    SNAPSHOT = "snapshot"
    WAL_DELTA = "wal_delta"
    RESHARDING_STREAM_RECORDS = "resharding_stream_records"


class Peer(Struct, frozen=True, omit_defaults=True):
    """A member. ``incarnation`` grows with each process that runs under this id.

    A ``draining`` peer gives its replicas away and gets no new ones. ``feature_level`` is its program's.
    """

    id: int
    uri: str = ""
    zone: str = ""
    version: str = ""
    incarnation: int = 0
    node_type: NodeType = "Normal"
    draining: bool = False
    feature_level: int = 1


class RevokedKey(Struct, frozen=True, omit_defaults=True):
    """Tokens of this id are refused. ``note``: an operator's own words."""

    revoked_ms: int
    note: str = ""


class Transfer(Struct, frozen=True, omit_defaults=True):
    """A replica being filled from another one of its shard, or (``to_shard_id``) from another shard.

    ``epoch`` is the target replica's since the transfer began, so reports about an earlier transfer
    between the same peers are told apart. Without ``sync`` the source's replica goes when it is done (a
    move). ``filter``: which points, as a JSON filter; None: all.
    """

    shard_id: int
    source: int
    target: int
    epoch: int
    method: TransferMethod
    sync: bool = True
    to_shard_id: int | None = None
    filter: bytes | None = None

    @property
    def target_shard_id(self) -> int:
        return self.shard_id if self.to_shard_id is None else self.to_shard_id


class ReshardingStage(enum.Enum):
    """Where a resharding stands; each stage ends by a claim of every move's source (``commands``).

    MOVING: points are copied, everything is asked of the former owners. FENCED: no owner takes writes of
    points that move, until the copies are complete. SWITCHED: the new owners answer, and take writes of a
    move as soon as its source has logged that it does not answer any more.
    """

    MOVING = "moving"
    FENCED = "fenced"
    SWITCHED = "switched"


class Move(Struct, frozen=True, omit_defaults=True):
    """Buckets on their way between two shards: packed bits, little bit order.

    ``session``: who copies now (term of the source's primary, number); a later one begins from nothing.
    ``ready``: nearly all was copied. ``whole``: the target has all that the source took before the fence.
    ``released``: the source answers for them no more.
    """

    source: int
    target: int
    buckets: bytes
    session: tuple[int, int] = (0, 0)
    ready: bool = False
    whole: bool = False
    released: bool = False


class Resharding(Struct, frozen=True, omit_defaults=True):
    """A group gets a shard more (``up``: ``shard_id`` is new) or one less (``down``: it goes).

    ``uuid`` names this operation. ``switched_step``: the step at which the new owners began to answer.
    """

    uuid: str
    direction: Literal["up", "down"]
    shard_id: int
    peer_id: int
    moves: tuple[Move, ...]
    key: ShardKey | None = None
    stage: ReshardingStage = ReshardingStage.MOVING
    switched_step: int = 0


class ShardState(Struct, frozen=True, omit_defaults=True):
    """One shard. ``term`` grows with each promotion of a primary.

    ``epochs`` tells the lives of one peer's replica apart (absent: 0): a replica begins a new one when it
    is added, declared dead, or filled by a transfer. ``last_epoch`` is the highest given out so far.
    ``wanted`` is the number of replicas set by hand (None: the collection's replication factor).
    ``failed`` holds, by peer, the method of a transfer that could not fill its replica. ``restored`` names,
    by peer, the files that its replica was made of in this life, when they came from a snapshot.
    ``answers_since``: the step (``CollectionState.buckets_step``) that last changed which buckets it answers
    for. ``strangers``: the step since which it may hold points that are not its own; 0: it holds none.
    """

    id: int
    replicas: dict[int, ReplicaState]
    primary: int
    term: int = 1
    key: ShardKey | None = None
    epochs: dict[int, int] = {}
    last_epoch: int = 0
    wanted: int | None = None
    failed: dict[int, TransferMethod] = {}
    restored: dict[int, str] = {}
    answers_since: int = 0
    strangers: int = 0

    def epoch_of(self, peer_id: int) -> int:
        return self.epochs.get(peer_id, 0)


class ShardGroup(Struct, frozen=True, omit_defaults=True):
    """The shards that divide the points of one shard key (None: of the whole collection).

    ``buckets`` holds, for each bucket, its shard id as a little-endian uint32 (``consensus.buckets``).
    """

    shards: tuple[int, ...]
    buckets: bytes
    key: ShardKey | None = None


class CollectionState(Struct, frozen=True, omit_defaults=True):
    """``uuid`` tells a collection from a later one of the same name; files are kept under it.

    ``next_shard_id`` is at least the next id to give out; ids of dropped shards do not come back.
    ``buckets_step`` counts the steps of reshardings.
    """

    name: str
    uuid: str
    config: CollectionConfig
    shards: dict[int, ShardState]
    groups: tuple[ShardGroup, ...]
    config_version: int = 1
    payload_schema: dict[str, PayloadSchema] = {}
    created_ms: int = 0
    transfers: tuple[Transfer, ...] = ()
    next_shard_id: int = 0
    buckets_step: int = 0
    resharding: Resharding | None = None

    @property
    def custom_sharding(self) -> bool:
        return self.config.params.sharding_method == "custom"


class ClusterState(Struct, frozen=True, omit_defaults=True):
    """``feature_level`` is what every member understands; a state without it is of level 1.

    ``removed_peers``: the last incarnation of peers that were removed, oldest removal first. ``quotas``
    None: each node's own configuration counts.
    Defaults are left out of snapshots, so a default given here can never change.
    """

    peers: dict[int, Peer] = {}
    collections: dict[str, CollectionState] = {}
    aliases: dict[str, str] = {}
    metadata: dict[str, Any] = {}
    feature_level: int = 1
    version: int = 0
    removed_peers: dict[int, int] = {}
    revoked_keys: dict[str, RevokedKey] = {}
    quotas: QuotaConfig | None = None

    def find(self, name: str) -> CollectionState | None:
        """The collection of this name or alias."""
        return self.collections.get(self.aliases.get(name, name))

    def named(self, name: str) -> CollectionState:
        """As ``find``. Raises: NotFound."""
        found = self.find(name)
        if found is None:
            raise collection_not_found(name)
        return found


def founding_state(peer: Peer) -> ClusterState:
    """The state of a cluster that has just one peer and nothing in it."""
    founder = msgspec.structs.replace(peer, feature_level=FEATURE_LEVEL)
    return ClusterState(peers={peer.id: founder}, feature_level=FEATURE_LEVEL)


def encode_state(state: ClusterState) -> bytes:
    return msgspec.msgpack.encode(state)


_decoder = msgspec.msgpack.Decoder(ClusterState)


def decode_state(data: bytes) -> ClusterState:
    """Raises: msgspec.MsgspecError if the bytes are not a state this program knows."""
    return _decoder.decode(data)
