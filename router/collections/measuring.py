"""Asking a collection's shards how much they hold, and how many points a filter selects."""

from __future__ import annotations

import asyncio

from consensus.state import CollectionState
from protos.filters import Filter
from protos.memory import memory_of_all
from router.collections.reporting import Reports
from router.replicas.readers import ShardReaders
from router.shards import owning_shards
from router.strict.sizes import Holding


class Measuring:
    def __init__(self, reports: Reports, readers: ShardReaders) -> None:
        self._reports, self._readers = reports, readers

    async def holding(self, state: CollectionState) -> Holding:
        """One replica of each shard; one that does not answer counts as empty. Raises: ShardUnavailable."""
        infos = await self._reports.of_all(state)
        strict, payload = state.config.strict_mode_config, 0
        if strict is not None and strict.max_collection_payload_size_bytes is not None:
            usage = memory_of_all(await self._reports.memory(state)).payload
            payload = usage.disk_bytes + usage.ram_bytes
        vectors = sum(segment.vector_bytes for info in infos for segment in info.segment_infos)
        return Holding(sum(info.points for info in infos), vectors, payload)

    async def selected(self, state: CollectionState, filter: Filter) -> int:
        """About. Raises: what the shards raise."""
        shards = [self._readers.open(state, shard_id, 1) for shard_id in owning_shards(state)]
        return sum(await asyncio.gather(*(shard.count(filter, exact=False) for shard in shards)))
