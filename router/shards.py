"""Which shards a request concerns, and the part of a change that goes to each.

Pure. Ids go to the shard that owns their bucket; a filter goes to every shard of the selected keys. A
selector is a choice of shard keys as clients make it; which keys it means depends on the states of the
replicas when it names a fallback (reference 14.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from consensus.buckets import (
    group_of,
    owned_buckets,
    pack_buckets,
    shards_of,
    show_shard_key,
    unpack_buckets,
)
from consensus.replica_sets import readable
from consensus.state import CollectionState, ReplicaState, ShardKey, ShardState
from protos.errors import NotFound, ShardUnavailable
from protos.filters import Filter, InBuckets, both
from protos.ids import PointId, id_key
from protos.operations import PointChange, UpdateVectors, Upsert, VectorBatch
from router.vectors import take_rows

ShardKeys = tuple[ShardKey, ...]


class KeyWithFallback(Struct, frozen=True):
    """``target`` once its shards can serve, ``fallback`` until then: how a tenant gets a key of its own."""

    target: ShardKey
    fallback: ShardKey


ShardSelector = ShardKeys | KeyWithFallback
Indices = npt.NDArray[np.int64]


def owning_shards(state: CollectionState) -> list[int]:
    """All shards that points belong to: without one that a resharding is still filling, or has emptied."""
    return sorted(shard_id for group in state.groups for shard_id in group.shards)


def selected_shards(state: CollectionState, keys: ShardKeys | None) -> list[int]:
    """The shards of the given keys, all shards if None. Raises: BadInput on an unknown key."""
    if keys is None:
        return owning_shards(state)
    return sorted({shard for key in keys for shard in group_of(state, key).shards})


def split_ids(state: CollectionState, ids: Sequence[PointId], key: ShardKey | None) -> dict[int, Indices]:
    """Indices into ``ids``, ascending, by owning shard. Raises: BadInput as ``group_of``."""
    owners = shards_of(state, [id_key(point_id) for point_id in ids], key)
    return {int(shard): np.flatnonzero(owners == shard) for shard in np.unique(owners)}


def shards_to_read(state: CollectionState, selector: ShardSelector | None) -> list[int]:
    """The shards that a read asks.

    Without a selector those of all keys, less shards of a key that no replica can serve yet.
    Raises: BadInput on an unknown key; NotFound, ShardUnavailable if neither key of a fallback serves.
    """
    if selector is None:
        shards = owning_shards(state)
        if state.custom_sharding:
            shards = [shard_id for shard_id in shards if readable(state.shards[shard_id])]
        return shards
    if isinstance(selector, KeyWithFallback):
        selector = (_key_to_read(state, selector),)
    return selected_shards(state, selector)


def split_change(
    state: CollectionState, change: PointChange, selector: ShardSelector | None
) -> dict[int, PointChange]:
    """Each shard's part of ``change``; shards that have nothing to do are left out.

    Raises: BadInput if ids need a shard key that is missing, or a key is unknown; NotFound,
        ShardUnavailable if neither key of a fallback can take it.
    """
    if not state.custom_sharding and len(state.shards) == 1 and selector is None:
        return {next(iter(state.shards)): change}
    keys = _keys_to_write(state, selector) if isinstance(selector, KeyWithFallback) else selector
    parts: dict[int, PointChange] = {}
    if change.ids is not None:
        for key in keys or (None,):
            for shard, indices in split_ids(state, change.ids, key).items():
                parts[shard] = _part(change, indices)
    if _by_filter(change):
        for shard in selected_shards(state, keys):
            parts.setdefault(shard, msgspec.structs.replace(change, ids=None))
    return parts


def moved_parts(
    then: CollectionState, now: CollectionState, shard_id: int, part: PointChange
) -> dict[int, PointChange]:
    """A shard's part of a change, split over those that own its points by now.

    What goes by a filter goes, to each, for the points alone that were the shard's ``then``: others have a
    part of their own. Raises: BadInput if the shard's key is gone.
    """
    key = then.shards[shard_id].key
    parts: dict[int, PointChange] = {}
    if part.ids is not None:
        parts = {shard: _part(part, indices) for shard, indices in split_ids(now, part.ids, key).items()}
    if isinstance(part, Upsert | UpdateVectors) or part.filter is None:
        return parts
    was = unpack_buckets(owned_buckets(then, shard_id))
    for shard in group_of(now, key).shards:
        owned = unpack_buckets(owned_buckets(now, shard))
        common = owned & was
        mine = parts.get(shard, msgspec.structs.replace(part, ids=None))
        if common.any():
            of_these = Filter(must=(InBuckets(pack_buckets(common)),))
            restricted = part.filter if (common == owned).all() else both(part.filter, of_these)
            parts[shard] = msgspec.structs.replace(mine, filter=restricted)
    return parts


# --- fallbacks -------------------------------------------------------------------------------------


def _key_to_read(state: CollectionState, selector: KeyWithFallback) -> ShardKey:
    """The target if each of its shards can be read, else the fallback under the same condition."""
    target, fallback = _shards_of_both(state, selector)
    if target and all(map(readable, target)):
        return selector.target
    if fallback and all(map(readable, fallback)):
        return selector.fallback
    raise _neither_serves(selector)


def _keys_to_write(state: CollectionState, selector: KeyWithFallback) -> ShardKeys:
    """The target once it is Active, both while it is only ActiveRead, else the fallback."""
    target, fallback = _shards_of_both(state, selector)
    if target and all(_has(shard, ReplicaState.ACTIVE) for shard in target):
        return (selector.target,)
    if any(_only_active_read(shard) for shard in target):
        return (selector.target, selector.fallback) if fallback else (selector.target,)
    if fallback and all(map(readable, fallback)):
        return (selector.fallback,)
    raise _neither_serves(selector)


def _shards_of_both(
    state: CollectionState, selector: KeyWithFallback
) -> tuple[list[ShardState], list[ShardState]]:
    """The shards of the target and of the fallback, none for a key that does not exist.

    Raises: BadInput if the collection has no keys at all, NotFound if it has neither of these.
    """
    if not state.custom_sharding:
        group_of(state, selector.target)
    target, fallback = (
        [state.shards[shard_id] for group in state.groups if group.key == key for shard_id in group.shards]
        for key in (selector.target, selector.fallback)
    )
    if not target and not fallback:
        raise NotFound(f"{_neither(selector)} exist")
    return target, fallback


def _only_active_read(shard: ShardState) -> bool:
    return _has(shard, ReplicaState.ACTIVE_READ) and not _has(shard, ReplicaState.ACTIVE)


def _has(shard: ShardState, state: ReplicaState) -> bool:
    return state in shard.replicas.values()


def _neither_serves(selector: KeyWithFallback) -> ShardUnavailable:
    return ShardUnavailable(f"{_neither(selector)} have active replicas")


def _neither(selector: KeyWithFallback) -> str:
    target, fallback = show_shard_key(selector.target), show_shard_key(selector.fallback)
    return f"Neither target shard key {target} nor fallback shard key {fallback}"


# --- parts -----------------------------------------------------------------------------------------


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
