"""What the cluster is: peers, collections, shards and their replicas, aliases.

Lives here: the frozen structs, and questions answered from them alone.
May not live here: changes (``transitions``), clocks, sockets, files. Dicts inside the structs are never
changed in place; a new state shares what did not change.

Invariants:
  I1  no name is both a collection and an alias, and every alias names a collection;
  I2  every shard has at least one replica, its primary is one of them, and all are known peers;
  I3  a shard group's buckets name only that group's shards;
  I4  ``config_version`` of a collection grows by one with every change of its configuration, vector
      names or payload indexes, and never otherwise; ``version`` with every change of the state.
"""

from __future__ import annotations

import enum
from typing import Any

import msgspec
from msgspec import Struct

from protos.collections import CollectionConfig, PayloadSchema

ShardKey = str | int

FEATURE_LEVEL = 1  # of this program: the commands and formats it understands


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


class Peer(Struct, frozen=True, omit_defaults=True):
    """A member. ``incarnation`` grows with each process that runs under this id."""

    id: int
    uri: str = ""
    zone: str = ""
    version: str = ""
    incarnation: int = 0


class ShardState(Struct, frozen=True, omit_defaults=True):
    """One shard. ``term`` grows with each change of ``primary``."""

    id: int
    replicas: dict[int, ReplicaState]
    primary: int
    term: int = 1
    key: ShardKey | None = None


class ShardGroup(Struct, frozen=True, omit_defaults=True):
    """The shards that divide the points of one shard key (None: of the whole collection).

    ``buckets`` holds, for each bucket, its shard id as a little-endian uint32 (``consensus.buckets``).
    """

    shards: tuple[int, ...]
    buckets: bytes
    key: ShardKey | None = None


class CollectionState(Struct, frozen=True, omit_defaults=True):
    """``uuid`` tells a collection from a later one of the same name; files are kept under it."""

    name: str
    uuid: str
    config: CollectionConfig
    shards: dict[int, ShardState]
    groups: tuple[ShardGroup, ...]
    config_version: int = 1
    payload_schema: dict[str, PayloadSchema] = {}
    created_ms: int = 0

    @property
    def custom_sharding(self) -> bool:
        return self.config.params.sharding_method == "custom"


class ClusterState(Struct, frozen=True, omit_defaults=True):
    """``feature_level`` is what every member understands; a state without it is of level 1.

    Defaults are left out of snapshots, so a default given here can never change.
    """

    peers: dict[int, Peer] = {}
    collections: dict[str, CollectionState] = {}
    aliases: dict[str, str] = {}
    metadata: dict[str, Any] = {}
    feature_level: int = 1
    version: int = 0

    def find(self, name: str) -> CollectionState | None:
        """The collection of this name or alias."""
        return self.collections.get(self.aliases.get(name, name))


def founding_state(peer: Peer) -> ClusterState:
    """The state of a cluster that has just one peer and nothing in it."""
    return ClusterState(peers={peer.id: peer}, feature_level=FEATURE_LEVEL)


def encode_state(state: ClusterState) -> bytes:
    return msgspec.msgpack.encode(state)


def decode_state(data: bytes) -> ClusterState:
    """Raises: msgspec.MsgspecError if the bytes are not a state this program knows."""
    return msgspec.msgpack.decode(data, type=ClusterState)
