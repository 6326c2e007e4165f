"""From what an archive holds to the commands that bring it back. Pure.

Invariant: points are never restored into a shard whose buckets they do not belong to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from consensus.buckets import owned_buckets
from consensus.commands import AddCollection, PlacedShard, RestoreShards, Restoring
from consensus.placement import place_shards
from consensus.replica_sets import in_sync
from consensus.state import ClusterState, CollectionState, ShardState
from consensus.transitions import apply, rejection
from node.client.snapshots import ShardDescription, SnapshotDescription
from protos.collections import AnyVectorParams, SparseVectorParams
from protos.errors import BadInput
from router.snapshots.naming import show_key
from router.snapshots.requests import Priority

COLLECTION, SHARD = "collection", "shard"


def check_kind(description: SnapshotDescription, kind: str) -> None:
    """Raises: BadInput."""
    if description.kind != kind:
        raise BadInput(f"This is the snapshot of a {description.kind}, that of a {kind} is expected")
    if kind != COLLECTION and len(description.shards) != 1:
        raise BadInput(f"This snapshot of a shard holds {len(description.shards)} shards")


def check_shard(
    description: SnapshotDescription, kind: str, collection: CollectionState, target: int
) -> None:
    """May the archive's only shard take the place of shard ``target``? Raises: BadInput."""
    check_kind(description, kind)
    check_compatible(description, collection)
    check_points_of(description.shards[0], collection, target)


def check_compatible(description: SnapshotDescription, collection: CollectionState) -> None:
    """What cannot differ (reference 13.4). Raises: BadInput."""
    mine, theirs = collection.config.params, description.config.params
    found, wanted = _shapes(theirs.named), _shapes(mine.named)
    prefix = "Snapshot is not compatible with existing collection:"
    if found != wanted:
        raise BadInput(f"{prefix} Collection vectors: {wanted} Snapshot Vectors: {found}")
    if description.kind == COLLECTION and mine.shard_number != theirs.shard_number:
        raise BadInput(
            f"{prefix} Collection shard number: {mine.shard_number}"
            f" Snapshot shard number: {theirs.shard_number}"
        )


def _shapes(vectors: dict[str, AnyVectorParams]) -> dict[str, str]:
    """What the stored vectors are, by name; how they are indexed may differ."""
    return {name: _shape(params) for name, params in sorted(vectors.items())}


def _shape(params: AnyVectorParams) -> str:
    if isinstance(params, SparseVectorParams):
        return "sparse"
    multi = "" if params.multivector_config is None else " multivectors"
    datatype = "float32" if params.datatype is None else params.datatype.value
    return f"{params.size} {params.distance.value} {datatype}{multi}"


def check_points_of(shard: ShardDescription, collection: CollectionState, target: int) -> None:
    """Do the archive's points belong to shard ``target``? Raises: BadInput."""
    if target not in collection.shards:
        text = f"The snapshot holds shard {shard.id}{show_key(shard.key)}, which the collection does not have"
        raise BadInput(text)
    if shard.buckets != owned_buckets(collection, target):
        raise BadInput(
            f"The points of the snapshot's shard {shard.id} belong to other shards of `{collection.name}`"
            f" than {target}: the two were sharded differently"
        )


def restored_shards(
    shard_ids: Iterable[int], collection: CollectionState, priority: Priority, peer_id: int
) -> list[int]:
    """Which shards the snapshot counts for: not those that other replicas know better (reference 13.5)."""
    if priority is not Priority.REPLICA:
        return list(shard_ids)
    return [shard_id for shard_id in shard_ids if not _known_elsewhere(collection.shards[shard_id], peer_id)]


def _known_elsewhere(shard: ShardState, peer_id: int) -> bool:
    return any(peer != peer_id for peer in in_sync(shard))


def restore_command(collection: CollectionState, restoring: Restoring, *, trim: bool) -> RestoreShards:
    terms = {shard_id: collection.shards[shard_id].term for shard_id in restoring.files}
    return RestoreShards(collection.name, collection.uuid, terms, restoring, trim)


def new_collection(
    state: ClusterState,
    description: SnapshotDescription,
    name: str,
    *,
    peer_id: int,
    peers: Sequence[int],
    uuid: str,
    created_ms: int,
    max_collections: int | None,
    replaces: str = "",
) -> AddCollection:
    """The collection as the snapshot has it, its shards dealt out to ``peers``; this peer is the first
    holder of those whose points the archive has. Raises: BadInput if the description contradicts itself.
    """
    keys = {shard_id: group.key for group in description.groups for shard_id in group.shards}
    held = {shard.id for shard in description.shards}
    if not held <= keys.keys():
        raise BadInput(
            f"The snapshot holds shards {sorted(held - keys.keys())}, which its groups do not name"
        )
    factor = description.config.params.replication_factor
    places = place_shards(state, count=len(keys), replication_factor=factor, peers=peers)
    shards = tuple(
        PlacedShard(shard_id, _holders(place.peers, peer_id if shard_id in held else None), keys[shard_id])
        for shard_id, place in zip(sorted(keys), places)
    )
    return AddCollection(
        name=name,
        uuid=uuid,
        config=description.config,
        shards=shards,
        created_ms=created_ms,
        max_collections=max_collections,
        payload_schema=description.payload_schema,
        groups=description.groups,
        replaces=replaces,
    )


def _holders(peers: tuple[int, ...], first: int | None) -> tuple[int, ...]:
    if first is None:
        return peers
    others = tuple(peer for peer in peers if peer != first)
    return (first, *others)[: len(peers)]


def preview(state: ClusterState, command: AddCollection) -> CollectionState:
    """The collection that ``command`` would make. Raises: what it would be refused with."""
    after, events = apply(state, command)
    refused = rejection(events)
    if refused is not None:
        raise refused.error
    return after.collections[command.name]
