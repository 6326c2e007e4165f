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
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from node import query
from node.replica.view import View
from node.shard.life import Life
from protos.errors import ShardUnavailable
from protos.facets import FacetHit, FacetRequest
from protos.filters import Filter
from protos.idf import Frequencies, FrequencyRequest
from protos.ids import PointId
from protos.memory import ShardMemory
from protos.operations import UpdateResult
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

P = ParamSpec("P")
T = TypeVar("T")


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
        return await self._answered(lambda life, view: life.files.search_in(view, requests))

    async def scroll(self, request: ScrollRequest) -> list[Record]:
        return await self._read(query.scroll, request)

    async def retrieve(self, ids: list[PointId], projection: Projection) -> list[Record]:
        return await self._read(query.retrieve, ids, projection)

    async def count(self, filter: Filter | None, *, exact: bool) -> int:
        return await self._read(query.count, filter, exact=exact)

    async def query_staged(self, requests: list[StagedRequest]) -> list[Hits]:
        return await self._read(query.run_stages, requests)

    async def facet(self, request: FacetRequest) -> list[FacetHit]:
        return await self._read(query.facet, request)

    async def frequencies(self, requests: list[FrequencyRequest]) -> list[Frequencies]:
        return await self._read(query.frequencies, requests)

    async def info(self) -> ShardInfo:
        return await (await self._holder.settled_life()).info()

    async def memory(self) -> ShardMemory:
        return await (await self._holder.settled_life()).files.memory()

    async def _read(self, call: Callable[Concatenate[View, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._answered(lambda life, view: life.files.read(view, call, *args, **kwargs))

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
        """The replica, and the view to answer from, which the session is told. Raises: as ``_view``."""
        if self._checked:
            self._holder.check_readable()
        life = await self._holder.settled_life()
        view = await self._view(life)
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
