"""What a command did to the cluster state: told to the proposer and to every subscriber of the log.

Plain values. A subscriber that acts on the state itself needs them only to be woken; ``Rejected`` is what
a proposer gets instead of a change. Logs may keep events for proposers that ask again, so names, field
names and types never change, and new fields get defaults.
"""

from __future__ import annotations

from msgspec import Struct

from consensus.state import Transfer
from protos.errors import AlreadyExists, BadInput, BadRequest, NotFound, ServiceError, VecraftError


class CollectionAdded(Struct, frozen=True):
    name: str


class CollectionChanged(Struct, frozen=True):
    name: str


class CollectionDropped(Struct, frozen=True):
    name: str
    uuid: str


class AliasesChanged(Struct, frozen=True):
    pass


class ClusterMetadataChanged(Struct, frozen=True):
    key: str


class RevokedKeysChanged(Struct, frozen=True):
    pass


class PeerChanged(Struct, frozen=True):
    peer_id: int


class PeerRemoved(Struct, frozen=True):
    peer_id: int


class ReplicaSetChanged(Struct, frozen=True):
    """Replicas, their states, or the primary and with it the term."""

    collection: str
    shard_id: int


class TransferStarted(Struct, frozen=True):
    collection: str
    transfer: Transfer


class TransferFinished(Struct, frozen=True):
    collection: str
    transfer: Transfer


class TransferAborted(Struct, frozen=True):
    collection: str
    transfer: Transfer
    reason: str


class ShardKeysChanged(Struct, frozen=True):
    collection: str


class ReshardingChanged(Struct, frozen=True):
    """A resharding began, came further, or ended; or a shard was cleaned up after one."""

    collection: str


class DataLost(Struct, frozen=True):
    """A forced removal took the last replica in sync; its acknowledged writes may be gone."""

    collection: str
    shard_id: int


class QuotasChanged(Struct, frozen=True):
    pass


class Outdated(ServiceError):
    """The command rests on a term or epoch that has moved on; look at the state again."""


class Rejected(Struct, frozen=True):
    """The command, or the rest of it, broke a rule; ``kind`` is the name of an error class."""

    kind: str
    message: str

    @property
    def error(self) -> VecraftError:
        return _REJECTIONS.get(self.kind, ServiceError)(self.message)


Event = (
    CollectionAdded
    | CollectionChanged
    | CollectionDropped
    | AliasesChanged
    | ClusterMetadataChanged
    | RevokedKeysChanged
    | PeerChanged
    | PeerRemoved
    | ReplicaSetChanged
    | TransferStarted
    | TransferFinished
    | TransferAborted
    | ShardKeysChanged
    | DataLost
    | QuotasChanged
    | ReshardingChanged
    | Rejected
)

_REJECTIONS: dict[str, type[VecraftError]] = {
    kind.__name__: kind for kind in (AlreadyExists, BadInput, BadRequest, NotFound, Outdated)
}


def rejected(error: VecraftError) -> Rejected:
    return Rejected(type(error).__name__, error.message)
