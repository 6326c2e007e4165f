"""What the primary of a shard owes to a resharding, by what was agreed on and what its log says. Pure.

Everything here is judged by ownership that is committed: what is only logged may be taken back.
"""

from __future__ import annotations

from msgspec import Struct

from consensus.commands import ShardCleaned, SourceReleased
from consensus.ownership import Ownership, ownership_of
from consensus.state import CollectionState, ReshardingStage
from node.replica.ownership import ShardBuckets, cleaning
from protos.filters import Filter


class Duties(Struct, frozen=True):
    """``log``: its log is to say this. ``release``: to be claimed. ``clean``: these points are to be removed;
    when there are none, ``cleaned`` is to be claimed."""

    log: Ownership | None = None
    release: SourceReleased | None = None
    clean: Filter | None = None
    cleaned: ShardCleaned | None = None


def duties(collection: CollectionState, shard_id: int, buckets: ShardBuckets) -> Duties:
    """``buckets``: as the shard's log has them, committed."""
    wanted = ownership_of(collection, shard_id)
    strangers = cleaning(buckets) if collection.shards[shard_id].strangers else None
    cleaned = ShardCleaned(collection.name, collection.uuid, shard_id, buckets.step)
    return Duties(
        log=wanted if wanted is not None and wanted.step > buckets.step else None,
        release=_release(collection, shard_id, buckets.step),
        clean=strangers,
        cleaned=None if strangers is None else cleaned,
    )


def _release(collection: CollectionState, shard_id: int, step: int) -> SourceReleased | None:
    resharding = collection.resharding
    if resharding is None or resharding.stage is not ReshardingStage.SWITCHED:
        return None
    due = any(move.source == shard_id and not move.released for move in resharding.moves)
    if not due or step < resharding.switched_step:
        return None
    return SourceReleased(collection.name, collection.uuid, resharding.uuid, shard_id, step)
