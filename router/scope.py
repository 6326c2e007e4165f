"""One request's view of a collection: the shards it concerns, and points fetched by id.

Lives here: what every read needs of ``router.shards`` and ``router.replicas``, tied to one state of the
collection and one choice of replicas. May not live here: what is read (``router.queries``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from consensus.state import CollectionState
from protos.ids import PointId
from protos.shard import Position, Projection, Record
from router.auth.access import Tenant
from router.merge import in_order
from router.replicas.consistency import ReadConsistency
from router.replicas.readers import ShardReader, ShardReaders
from router.shards import ShardSelector, shards_to_read, split_ids
from router.tenants import of_tenant
from router.tokens import Place

T = TypeVar("T")


class Scope:
    """``state`` stays the same during the request, so its trips agree on where points are. ``tenant``: whose
    points are all that it shows."""

    __slots__ = ("_affinity", "_at_least", "_consistency", "_readers", "_tenant", "state")

    def __init__(
        self,
        state: CollectionState,
        readers: ShardReaders,
        consistency: ReadConsistency = 1,
        affinity: bytes = b"",
        at_least: Mapping[Place, Position] | None = None,
        tenant: Tenant | None = None,
    ) -> None:
        self.state = state
        self._readers = readers
        self._consistency = consistency
        self._affinity = affinity
        self._at_least = at_least or {}
        self._tenant = tenant

    def of(self, state: CollectionState, tenant: Tenant | None) -> Scope:
        """Another collection, read in the same way."""
        return Scope(state, self._readers, self._consistency, self._affinity, self._at_least, tenant)

    @property
    def plain(self) -> bool:
        """Is one replica's word enough?"""
        return self._consistency == 1

    def nearest_replicas(self) -> Scope:
        """The same, with one replica's word being enough."""
        return Scope(
            self.state,
            self._readers,
            affinity=self._affinity,
            at_least=self._at_least,
            tenant=self._tenant,
        )

    def shards(self, selector: ShardSelector | None) -> list[ShardReader]:
        """Raises: as ``shards_to_read``, ``ShardReaders.open``."""
        ids = shards_to_read(self.state, selector)
        return [self._open(one) for one in ids]

    def _open(self, shard_id: int) -> ShardReader:
        at_least = self._at_least.get((self.state.uuid, shard_id)) if self._at_least else None
        reader = self._readers.open(
            self.state, shard_id, self._consistency, self._affinity, at_least=at_least
        )
        return of_tenant(reader, self._tenant)

    async def retrieve(
        self, ids: list[PointId], projection: Projection, selector: ShardSelector | None
    ) -> list[Record]:
        """The points that exist, in the order asked, without repeats."""
        shards = self.shards(selector)
        if len(shards) == 1:
            return await shards[0].retrieve(ids, projection)
        if self.state.custom_sharding:  # the key of each id is not known: ask them all
            asked = [shard.retrieve(ids, projection) for shard in shards]
        else:
            parts = split_ids(self.state, ids, None)
            asked = [
                self._open(shard_id).retrieve([ids[index] for index in indices], projection)
                for shard_id, indices in parts.items()
            ]
        return in_order(await gather(asked), ids)


async def gather(calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """All results; when one call fails the others end, since nobody waits for them any more."""
    if len(calls) == 1:
        return [await calls[0]]
    tasks = [asyncio.create_task(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
