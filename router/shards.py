"""Which shards a request concerns, and the part of a change that goes to each.

Pure. Ids go to the shard that owns their bucket; a filter goes to every shard of the selected keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from consensus.buckets import group_of, shards_of
from consensus.state import CollectionState, ShardKey
from protos.ids import PointId, id_key
from protos.operations import PointChange, UpdateVectors, Upsert, VectorBatch
from router.vectors import take_rows

ShardKeys = tuple[ShardKey, ...]
Indices = npt.NDArray[np.int64]


def selected_shards(state: CollectionState, keys: ShardKeys | None) -> list[int]:
    """The shards of the given keys, all shards if None. Raises: BadInput on an unknown key."""
    if keys is None:
        return sorted(state.shards)
    return sorted({shard for key in keys for shard in group_of(state, key).shards})


def split_ids(state: CollectionState, ids: Sequence[PointId], key: ShardKey | None) -> dict[int, Indices]:
    """Indices into ``ids``, ascending, by owning shard. Raises: BadInput as ``group_of``."""
    owners = shards_of(state, [id_key(point_id) for point_id in ids], key)
    return {int(shard): np.flatnonzero(owners == shard) for shard in np.unique(owners)}


def split_change(
    state: CollectionState, change: PointChange, keys: ShardKeys | None
) -> dict[int, PointChange]:
    """Each shard's part of ``change``; shards that have nothing to do are left out.

    Raises: BadInput if ids need a shard key that is missing, or a key is unknown.
    """
    if not state.custom_sharding and len(state.shards) == 1 and keys is None:
        return {next(iter(state.shards)): change}
    parts: dict[int, PointChange] = {}
    if change.ids is not None:
        for key in keys or (None,):
            for shard, indices in split_ids(state, change.ids, key).items():
                parts[shard] = _part(change, indices)
    if _by_filter(change):
        for shard in selected_shards(state, keys):
            parts.setdefault(shard, msgspec.structs.replace(change, ids=None))
    return parts


def _by_filter(change: PointChange) -> bool:
    return not isinstance(change, Upsert | UpdateVectors) and change.filter is not None


def _part(change: PointChange, indices: Indices) -> PointChange:
    assert change.ids is not None
    ids = [change.ids[index] for index in indices.tolist()]
    fields: dict[str, Any] = {"ids": ids}
    if isinstance(change, Upsert | UpdateVectors):
        fields["vectors"] = _part_vectors(change.vectors, indices, len(change.ids))
    if isinstance(change, Upsert):
        fields["payloads"] = [change.payloads[index] for index in indices.tolist()]
    return msgspec.structs.replace(change, **fields)


def _part_vectors(batches: tuple[VectorBatch, ...], indices: Indices, points: int) -> tuple[VectorBatch, ...]:
    parts = (take_rows(batch, indices, points) for batch in batches)
    return tuple(part for part in parts if part is not None)
