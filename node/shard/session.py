"""Requests to one replica of a shard in a cluster.

Lives here: what a replica may answer, as of when it does, and which position it tells.
May not live here: the life of the replica (``shard``), which replica is asked (the router).

A strong read is answered under a lease, from a view that holds everything this replica may have helped to
acknowledge before the read began (``node.replication.leases``). Reads at factor 1 need none, and may miss
what was acknowledged without this replica.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from node import query
from node.replica.ownership import check_read, own_ids
from node.replica.view import View
from node.shard.life import Life
from protos.errors import ShardUnavailable
from protos.facets import FacetHit, FacetRequest
from protos.filters import Filter, both
from protos.idf import Frequencies, FrequencyRequest
from protos.ids import PointId
from protos.memory import ShardMemory
from protos.operations import UpdateResult
from protos.restricting import facet_within, frequencies_within, scroll_within, search_within, staged_within
from protos.shard import (
    Hits,
    Projection,
    ReadSession,
    Record,
    ScrollRequest,
    SearchRequest,
    ShardInfo,
    UpdateRequest,
)
from protos.stages import StagedRequest

CATCH_UP_S_MAX = 5.0  # a replica that needs longer to apply what it confirmed lets another one answer
LEASE_WAIT_MS, LEASE_POLL_S = 400, 0.02  # longer than between two messages of a primary

Q = TypeVar("Q")
T = TypeVar("T")


def _each(within: Callable[[Q, Filter], Q]) -> Callable[[list[Q], Filter], list[Q]]:
    return lambda requests, own: [within(request, own) for request in requests]


class Holder(Protocol):
    """The replica of a shard on this node."""

    @property
    def life(self) -> Life:
        """Raises: ShardUnavailable if its files are not open."""
        ...

    async def settled_life(self) -> Life:
        """As ``life``; while a snapshot's files take its place, that which follows."""
        ...

    def check_readable(self) -> None:
        """Raises: ShardUnavailable if the replica may not serve reads."""
        ...

    def now_ms(self) -> int: ...


class Session:
    """Implements ``protos.shard_client.ShardClient`` for one request.

    ``checked``: only if the replica is one that serves reads. Otherwise it tells what it has.
    """

    def __init__(self, holder: Holder, session: ReadSession, *, checked: bool) -> None:
        self._holder, self._session, self._checked = holder, session, checked

    async def update(self, request: UpdateRequest) -> UpdateResult:
        life = self._holder.life
        result = await life.updates.update(request)
        if result.operation_id is not None:
            self._session.position = life.position(result.operation_id)
            if request.wait:
                life.files.charge_write(result.operation_id)
        return result

    async def search(self, requests: list[SearchRequest]) -> list[Hits]:
        def search(life: Life, view: View) -> Awaitable[list[Hits]]:
            own = self._own(view)
            wanted = requests if own is None else [search_within(request, own) for request in requests]
            return life.files.search_in(view, wanted)

        return await self._answered(search)

    async def scroll(self, request: ScrollRequest) -> list[Record]:
        return await self._read(query.scroll, request, scroll_within)

    async def retrieve(self, ids: list[PointId], projection: Projection) -> list[Record]:
        def retrieve(life: Life, view: View) -> Awaitable[list[Record]]:
            wanted = ids if self._own(view) is None else own_ids(view.buckets, ids)
            return life.files.read(view, query.retrieve, wanted, projection)

        return await self._answered(retrieve)

    async def count(self, filter: Filter | None, *, exact: bool) -> int:
        return await self._answered(
            lambda life, view: life.files.read(view, query.count, both(filter, self._own(view)), exact=exact)
        )

    async def query_staged(self, requests: list[StagedRequest]) -> list[Hits]:
        return await self._read(query.run_stages, requests, _each(staged_within))

    async def facet(self, request: FacetRequest) -> list[FacetHit]:
        return await self._read(query.facet, request, facet_within)

    async def frequencies(self, requests: list[FrequencyRequest]) -> list[Frequencies]:
        return await self._read(query.frequencies, requests, _each(frequencies_within))

    async def info(self) -> ShardInfo:
        return await (await self._holder.settled_life()).info()

    async def memory(self) -> ShardMemory:
        return await (await self._holder.settled_life()).files.memory()

    async def _read(self, call: Callable[[View, Q], T], request: Q, within: Callable[[Q, Filter], Q]) -> T:
        """``within``: restricts a request to the points that match a filter."""

        def read(life: Life, view: View) -> Awaitable[T]:
            own = self._own(view)
            return life.files.read(view, call, request if own is None else within(request, own))

        return await self._answered(read)

    def _own(self, view: View) -> Filter | None:
        """The points that this request may see; None: all there are."""
        return None if self._session.everything else view.buckets.own

    async def _answered(self, call: Callable[[Life, View], Awaitable[T]]) -> T:
        """``call``, and again where a snapshot's files have taken the place of what it was to read."""
        while True:
            life, view = await self._ready()
            try:
                return await call(life, view)
            except ShardUnavailable:
                if await self._holder.settled_life() is life:
                    raise

    async def _ready(self) -> tuple[Life, View]:
        """The replica, and the view to answer from, which the session is told.

        Raises: as ``_view``; PointsMoved if the shard answers for other points than the asker believes.
        """
        if self._checked:
            self._holder.check_readable()
        life = await self._holder.settled_life()
        view = await self._view(life)
        check_read(view.buckets, self._session.answers_since)
        self._session.position = life.position(view.seq)
        return life, view

    async def _view(self, life: Life) -> View:
        """Raises: ShardUnavailable if this replica cannot answer (in time)."""
        seq = -1
        if self._session.strong:
            seq = await self._strong_seq(life)
        if self._session.at_least is not None:
            seq = max(seq, self._session.at_least.seq)
        if life.files.view.seq < seq:
            await self._catch_up(life, seq)
        view = life.files.view
        if self._session.at_least is not None and life.position(view.seq) < self._session.at_least:
            raise ShardUnavailable("this replica has not seen the term that is asked for")
        return view

    async def _strong_seq(self, life: Life) -> int:
        """What a strong read must see. A lease that has lapsed may be about to be renewed."""
        deadline_ms = self._holder.now_ms() + LEASE_WAIT_MS
        while True:
            now_ms = self._holder.now_ms()
            seq = life.machine.strong_read_seq(now_ms)
            if seq is not None:
                return seq
            if now_ms >= deadline_ms:
                raise ShardUnavailable("this replica holds no lease for reads at present")
            await asyncio.sleep(LEASE_POLL_S)

    async def _catch_up(self, life: Life, seq: int) -> None:
        try:
            async with asyncio.timeout(CATCH_UP_S_MAX):
                await life.until_applied(seq)
        except TimeoutError as error:
            raise ShardUnavailable(f"this replica is still applying operations before seq {seq}") from error
