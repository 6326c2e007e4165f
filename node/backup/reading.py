"""A backup as it is brought back: each collection as if it came from a snapshot."""

from __future__ import annotations

from consensus.buckets import owned_buckets
from consensus.state import CollectionState, ShardKey
from node.backup.repository import BackedCollection, BackedShard, Manifest, Repository
from node.client.backups import BackedUp, Backup
from node.client.snapshots import SNAPSHOT_FORMAT, ContentFile, ShardDescription, SnapshotDescription


def read_backup(repository: Repository, name: str) -> Backup:
    """Blocking. Raises: NotFound, BadInput."""
    manifest: Manifest = repository.manifest(name)
    return Backup(
        name=name,
        raft_index=manifest.raft_index,
        created_ms=manifest.created_ms,
        collections=[_backed_up(repository, one, manifest.created_ms) for one in manifest.collections],
        aliases=manifest.aliases,
    )


def _backed_up(repository: Repository, backed: BackedCollection, created_ms: int) -> BackedUp:
    whole = CollectionState(backed.name, "", backed.config, {}, backed.groups)
    keys = {shard_id: group.key for group in backed.groups for shard_id in group.shards}
    description = SnapshotDescription(
        format=SNAPSHOT_FORMAT,
        kind="collection",
        collection=backed.name,
        config=backed.config,
        payload_schema=backed.payload_schema,
        groups=backed.groups,
        shards=tuple(_described(whole, shard, keys.get(shard.id)) for shard in backed.shards),
        created_ms=created_ms,
    )
    return BackedUp(description, {shard.id: _contents(repository, shard) for shard in backed.shards})


def _described(whole: CollectionState, shard: BackedShard, key: ShardKey | None) -> ShardDescription:
    return ShardDescription(
        shard.id, shard.seq, shard.term, shard.points, owned_buckets(whole, shard.id), key
    )


def _contents(repository: Repository, shard: BackedShard) -> list[ContentFile]:
    return [ContentFile(file.path, repository.content(file.sha256), file.sha256) for file in shard.files]
