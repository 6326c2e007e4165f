"""Commands change the cluster state; events say what a command did.

Commands are what the metadata log holds: their tags, field names and types never change, and new
fields get defaults. Whoever proposes a command stamps ids, times and choices into it, so that applying
it is the same everywhere. Both are plain values; ``consensus.transitions`` gives them meaning.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from consensus.state import ShardKey
from protos.collections import AliasAction, CollectionConfig, PayloadSchema, UpdateCollection, VectorParams
from protos.errors import AlreadyExists, BadInput, BadRequest, NotFound, ServiceError, VecraftError


class PlacedShard(Struct, frozen=True, omit_defaults=True):
    """A shard to create: the peers that hold it, its primary first."""

    id: int
    peers: tuple[int, ...]
    key: ShardKey | None = None


class AddCollection(Struct, frozen=True, tag="add_collection"):
    """``max_collections`` is the proposer's limit, None: unlimited."""

    name: str
    uuid: str
    config: CollectionConfig
    shards: tuple[PlacedShard, ...]
    created_ms: int
    max_collections: int | None = None


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
    collection: str
    name: str
    params: VectorParams


class DropVectorName(Struct, frozen=True, tag="drop_vector"):
    collection: str
    name: str


class SetClusterMetadata(Struct, frozen=True, tag="set_metadata"):
    """None removes the key."""

    key: str
    value: Any = None


Command = (
    AddCollection
    | ChangeCollection
    | DropCollection
    | ChangeAliases
    | SetPayloadIndex
    | DropPayloadIndex
    | SetVectorName
    | DropVectorName
    | SetClusterMetadata
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


# --- events ----------------------------------------------------------------------------------------


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
    | Rejected
)

_REJECTIONS: dict[str, type[VecraftError]] = {
    kind.__name__: kind for kind in (AlreadyExists, BadInput, BadRequest, NotFound)
}


def rejected(error: VecraftError) -> Rejected:
    return Rejected(type(error).__name__, error.message)
