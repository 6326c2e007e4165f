"""A collection's shards as a reader of one request sees each: a plain client, or several replicas as one.

Lives here: which shards need choosing at all, what is kept of a shard between reads, making a new plan when
the old one rested on a state that has moved on, telling points of custom-sharded collections by their key.
May not live here: choosing (``consistency``), asking (``asking``), which shards a request concerns.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from msgspec.structs import replace

from consensus.state import CollectionState, ReplicaState, ShardKey, ShardState
from node.client import NodeClient, ReplicaClient
from protos.errors import PointsMoved, ShardUnavailable, Timeout, VecraftError
from protos.facets import FacetHit, FacetRequest
from protos.filters import Filter
from protos.idf import Frequencies, FrequencyRequest
from protos.ids import PointId
from protos.shard import Hits, Position, Projection, Record, ScrollRequest, SearchRequest
from protos.stages import StagedRequest
from router.replicas.asking import ReplicaReads
from router.replicas.consistency import ReadConsistency, choose
from router.replicas.reads import ShardReads
from router.vectors import is_ascending
from router.watch import StateWatch

T = TypeVar("T")

REPLAN_S = 0.3  # a failed read waits this long for news of the shard's replicas
# A read of several replicas needs leases, which a new primary gives only when it is ready: so long it is
# tried again, as writes are, while the state says that there are replicas enough.
FAIL_OVER_S = 5.0


class ShardReader(Protocol):
    """The reads of ``protos.shard_client.ShardClient``."""

    async def search(self, requests: list[SearchRequest]) -> list[Hits]: ...

    async def query_staged(self, requests: list[StagedRequest]) -> list[Hits]: ...

    async def scroll(self, request: ScrollRequest) -> list[Record]: ...

    async def retrieve(self, ids: list[PointId], projection: Projection) -> list[Record]: ...

    async def count(self, filter: Filter | None, *, exact: bool) -> int: ...

    async def facet(self, request: FacetRequest) -> list[FacetHit]: ...

    async def frequencies(self, requests: list[FrequencyRequest]) -> list[Frequencies]: ...


class ShardReaders:
    """One per process of readers: what is learnt from one read serves the next."""

    def __init__(self, watch: StateWatch, node: NodeClient) -> None:
        self._watch, self._node = watch, node
        self._local_peer = watch.peer_id
        self._known: dict[tuple[str, int], ReplicaReads] = {}
        self._load: Counter[int] = Counter()
        self._turns = itertools.count()

    def open(
        self,
        collection: CollectionState,
        shard_id: int,
        consistency: ReadConsistency = 1,
        affinity: bytes = b"",
        *,
        at_least: Position | None = None,
    ) -> ShardReader:
        """The shard's reads at ``consistency``; ``affinity`` as in ``consistency.choose``. ``at_least``: by
        replicas that have come so far.

        Raises: ShardUnavailable if the only replica is this node's and it does not hold it (yet).
        """
        shard = collection.shards[shard_id]
        reader: ShardReader
        if self._is_alone(shard) and consistency == 1 and at_least is None:
            reader = self._node.shard(collection.name, shard_id, answers_since=shard.answers_since)
        else:
            reader = _Replicated(self, collection, shard_id, consistency, affinity, at_least)
        return reader if shard.key is None else _Keyed(reader, shard.key)

    def search_soon(
        self, collection: CollectionState, shard_id: int, request: SearchRequest
    ) -> Hits | asyncio.Future[Hits] | None:
        """As ``NodeClient.search_soon``, of ``open(collection, shard_id)``."""
        shard = collection.shards[shard_id]
        if shard.key is not None or not self._is_alone(shard):
            return None
        return self._node.search_soon(collection.name, shard_id, request)

    def _is_alone(self, shard: ShardState) -> bool:
        """Is its only replica this node's, and may that be read?"""
        replicas = shard.replicas
        return len(replicas) == 1 and replicas.get(self._local_peer) is ReplicaState.ACTIVE

    def plan(
        self,
        collection: CollectionState,
        shard_id: int,
        consistency: ReadConsistency,
        affinity: bytes,
        at_least: Position | None = None,
    ) -> ShardReads:
        """Raises: ServiceError if too few replicas can be read."""
        params, vectors = collection.config.params, collection.config.all_vectors
        plan = choose(
            collection.shards[shard_id].replicas,
            consistency,
            shard_id=shard_id,
            local_peer=self._local_peer,
            load=self._load,
            affinity=affinity,
            extra=params.read_fan_out_factor or 0,
            turn=next(self._turns),
        )
        replicas: dict[int, ReplicaClient] = {}
        for peer in (*plan.ask, *plan.spare):
            with contextlib.suppress(ShardUnavailable):  # an unknown peer; asking it fails
                replicas[peer] = self._node.replica(collection, shard_id, peer)
        return ShardReads(
            self._reads(collection, shard_id),
            plan,
            replicas,
            ascending=lambda name: is_ascending(vectors[name]),
            hedge_delay_ms=params.read_fan_out_delay_ms,
            at_least=at_least,
            answers_since=collection.shards[shard_id].answers_since,
        )

    async def changed(self, collection: CollectionState, shard_id: int) -> CollectionState | None:
        """The collection with other replicas of the shard than it has in ``collection``, if that is so.

        Waits a little for it, as this node may be the last to hear. Raises: PointsMoved if the shard is gone,
        or answers for other points.
        """
        old = collection.shards[shard_id]

        def moved_on() -> bool:
            now = self._watch.same(collection)
            return now is not None and now.shards.get(shard_id) != old

        if not await self._watch.until(moved_on, timeout_s=REPLAN_S):
            return None
        now = self._watch.same(collection)
        shard = None if now is None else now.shards.get(shard_id)
        if now is not None and (shard is None or shard.answers_since != old.answers_since):
            raise PointsMoved(f"the points of shard {shard_id} have moved")
        return now

    def _reads(self, collection: CollectionState, shard_id: int) -> ReplicaReads:
        key = collection.uuid, shard_id
        known = self._known.get(key)
        if known is None:
            self._forget_dropped()
            known = self._known[key] = ReplicaReads(self._load)
        return known

    def _forget_dropped(self) -> None:
        """There is never more known than the shards there are, and those dropped since the last new one."""
        live = {
            (collection.uuid, shard_id)
            for collection in self._watch.state.collections.values()
            for shard_id in collection.shards
        }
        self._known = {key: known for key, known in self._known.items() if key in live}


class _Replicated:
    """Each read makes a plan; one that fails makes another if the shard's replicas are others by now. Where
    leases count, also if they may be led anew soon."""

    def __init__(
        self,
        owner: ShardReaders,
        collection: CollectionState,
        shard_id: int,
        consistency: ReadConsistency,
        affinity: bytes,
        at_least: Position | None,
    ) -> None:
        self._owner, self._collection, self._shard_id = owner, collection, shard_id
        self._consistency, self._affinity, self._at_least = consistency, affinity, at_least

    async def search(self, requests: list[SearchRequest]) -> list[Hits]:
        return await self._read(lambda reads: reads.search(requests))

    async def query_staged(self, requests: list[StagedRequest]) -> list[Hits]:
        return await self._read(lambda reads: reads.query_staged(requests))

    async def scroll(self, request: ScrollRequest) -> list[Record]:
        return await self._read(lambda reads: reads.scroll(request))

    async def retrieve(self, ids: list[PointId], projection: Projection) -> list[Record]:
        return await self._read(lambda reads: reads.retrieve(ids, projection))

    async def count(self, filter: Filter | None, *, exact: bool) -> int:
        return await self._read(lambda reads: reads.count(filter, exact=exact))

    async def facet(self, request: FacetRequest) -> list[FacetHit]:
        return await self._read(lambda reads: reads.facet(request))

    async def frequencies(self, requests: list[FrequencyRequest]) -> list[Frequencies]:
        return await self._read(lambda reads: reads.frequencies(requests))

    async def _read(self, call: Callable[[ShardReads], Awaitable[T]]) -> T:
        collection, loop = self._collection, asyncio.get_running_loop()
        end_s: float | None = None
        while True:
            try:
                return await call(self._plan(collection))
            except VecraftError as error:
                if not error.transient or isinstance(error, Timeout | PointsMoved):
                    raise
                first, end_s = end_s is None, end_s or loop.time() + FAIL_OVER_S
                changed = await self._owner.changed(collection, self._shard_id)
                again = loop.time() < end_s if self._consistency != 1 else first and changed is not None
                if not again:
                    raise
                collection = changed or collection

    def _plan(self, collection: CollectionState) -> ShardReads:
        return self._owner.plan(collection, self._shard_id, self._consistency, self._affinity, self._at_least)


class _Keyed:
    """Writes a shard's key on its points, which clients see in custom-sharded collections (reference 9.1)."""

    def __init__(self, inner: ShardReader, key: ShardKey) -> None:
        self._inner, self._key = inner, key

    async def search(self, requests: list[SearchRequest]) -> list[Hits]:
        return self._mark_hits(await self._inner.search(requests))

    async def query_staged(self, requests: list[StagedRequest]) -> list[Hits]:
        return self._mark_hits(await self._inner.query_staged(requests))

    async def scroll(self, request: ScrollRequest) -> list[Record]:
        return self._mark(await self._inner.scroll(request))

    async def retrieve(self, ids: list[PointId], projection: Projection) -> list[Record]:
        return self._mark(await self._inner.retrieve(ids, projection))

    async def count(self, filter: Filter | None, *, exact: bool) -> int:
        return await self._inner.count(filter, exact=exact)

    async def facet(self, request: FacetRequest) -> list[FacetHit]:
        return await self._inner.facet(request)

    async def frequencies(self, requests: list[FrequencyRequest]) -> list[Frequencies]:
        return await self._inner.frequencies(requests)

    def _mark_hits(self, found: list[Hits]) -> list[Hits]:
        return [replace(hits, records=self._mark(hits.records)) for hits in found]

    def _mark(self, records: list[Record]) -> list[Record]:
        return [replace(record, shard_key=self._key) for record in records]
