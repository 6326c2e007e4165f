"""What the info endpoints show of a collection, put together from its state and its shards' reports.

Pure. The structs have the JSON names of reference 7.3 and 14.3; what is unset is left out of the JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from consensus.state import CollectionState, ShardKey, Transfer
from protos.collections import echo, echo_index
from protos.shard import ShardInfo, ShardStatus
from router.cluster.resharding import reshardings, shown_state, shown_transfers

_WORST_LAST = tuple(ShardStatus)


class UpdateQueueInfo(Struct, frozen=True, omit_defaults=True):
    """``deferred_points`` is told where points may be deferred (``prevent_unoptimized``). None ever are: a
    point is found as soon as it is acknowledged, which tokens and strong reads promise."""

    length: int
    deferred_points: int | None = None


class CollectionWarning(Struct, frozen=True):
    message: str


class CollectionInfo(Struct, frozen=True, omit_defaults=True):
    """``vectors_count`` is what older clients and documents ask for; 1.19 itself has it no more."""

    status: ShardStatus
    optimizer_status: Literal["ok"] | dict[str, str]
    vectors_count: int
    indexed_vectors_count: int
    points_count: int
    segments_count: int
    config: dict[str, Any]
    payload_schema: dict[str, dict[str, Any]]
    update_queue: UpdateQueueInfo
    warnings: list[CollectionWarning] = []


class LocalShard(Struct, frozen=True, omit_defaults=True):
    shard_id: int
    points_count: int
    state: str
    shard_key: ShardKey | None = None


class RemoteShard(Struct, frozen=True, omit_defaults=True):
    shard_id: int
    peer_id: int
    state: str
    shard_key: ShardKey | None = None


class TransferInfo(
    Struct, frozen=True, omit_defaults=True, kw_only=True, rename={"source": "from", "target": "to"}
):
    """``comment`` (how far it has come) is known on the sending peer alone."""

    shard_id: int
    to_shard_id: int | None = None
    source: int
    target: int
    sync: bool
    method: str | None = None
    comment: str | None = None


class ReshardingInfo(Struct, frozen=True):
    direction: str
    shard_id: int
    peer_id: int
    shard_key: ShardKey | None = None


class ClusterInfo(Struct, frozen=True):
    peer_id: int
    shard_count: int
    local_shards: list[LocalShard]
    remote_shards: list[RemoteShard]
    shard_transfers: list[TransferInfo] = []
    resharding_operations: list[ReshardingInfo] | UnsetType = UNSET


class AliasDescription(Struct, frozen=True):
    alias_name: str
    collection_name: str


def collection_info(collection: CollectionState, shards: Sequence[ShardInfo]) -> CollectionInfo:
    """Sum the counts of one replica per shard; the status is the worst of them."""
    error = next((shard.optimizer_error for shard in shards if shard.optimizer_error), None)
    return CollectionInfo(
        status=max((shard.status for shard in shards), key=_WORST_LAST.index, default=ShardStatus.GREEN),
        optimizer_status="ok" if error is None else {"error": error},
        vectors_count=sum(sum(shard.vectors.values()) for shard in shards),
        indexed_vectors_count=sum(shard.indexed_vectors for shard in shards),
        points_count=sum(shard.points for shard in shards),
        segments_count=sum(shard.segments for shard in shards),
        config=echo(collection.config),
        payload_schema=_payload_schema(collection, shards),
        update_queue=UpdateQueueInfo(
            sum(shard.update_queue_length for shard in shards),
            0 if collection.config.optimizer_config.prevent_unoptimized else None,
        ),
        warnings=_warnings(collection),
    )


def cluster_info(
    collection: CollectionState,
    peer_id: int,
    points: Mapping[int, int],
    comment: Callable[[Transfer], str | None],
) -> ClusterInfo:
    """``points``: the number of points of each shard that this peer holds; ``comment``: of a transfer."""
    local, remote = [], []
    for shard in sorted(collection.shards.values(), key=lambda shard: shard.id):
        for peer in sorted(shard.replicas):
            state = shown_state(collection, shard, peer)
            if peer == peer_id:
                local.append(LocalShard(shard.id, points.get(shard.id, 0), state, shard.key))
            else:
                remote.append(RemoteShard(shard.id, peer, state, shard.key))
    shown = [_transfer(transfer, comment(transfer)) for transfer in shown_transfers(collection)]
    running = [ReshardingInfo(**one) for one in reshardings(collection)]
    return ClusterInfo(peer_id, len(collection.shards), local, remote, shown, running or UNSET)


def _transfer(transfer: Transfer, comment: str | None) -> TransferInfo:
    return TransferInfo(
        shard_id=transfer.shard_id,
        to_shard_id=transfer.to_shard_id,
        source=transfer.source,
        target=transfer.target,
        sync=transfer.sync,
        method=transfer.method.value,
        comment=comment,
    )


def _payload_schema(collection: CollectionState, shards: Sequence[ShardInfo]) -> dict[str, dict[str, Any]]:
    return {
        field: echo_index(schema, sum(shard.index_points.get(field, 0) for shard in shards))
        for field, schema in collection.payload_schema.items()
    }


def _warnings(collection: CollectionState) -> list[CollectionWarning]:
    """Inline storage keeps vectors in the graph, which needs one small code per node (reference 7.3)."""
    config = collection.config
    warnings = []
    if config.optimizer_config.prevent_unoptimized:
        text = (
            "prevent_unoptimized defers no points: searches with `indexed_only` leave out what has no index"
        )
        warnings.append(CollectionWarning(text))
    for name, params in config.vectors.items():
        quantized = params.quantization_config or config.quantization_config
        if not config.hnsw_of(name).inline_storage:
            continue
        if params.multivector_config is not None:
            text = f"The inline storage of vector `{name}` has no effect on multivectors"
            warnings.append(CollectionWarning(text))
        elif quantized is None:
            text = f"The inline storage of vector `{name}` has no effect without quantization"
            warnings.append(CollectionWarning(text))
    return warnings
