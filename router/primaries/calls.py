"""Calling a shard's primary, whoever that is, until it has answered or the time is over.

Lives here: the attempts of one call, and what ends an attempt from outside.
May not live here: what follows from a failure (``policy``), where replicas are (``node.client``).

An attempt is given up before its time when the state names another primary: the one that was asked may be
cut off or stopped, and will not tell.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec

from consensus.state import CollectionState, ShardState
from node.client import NodeClient, ReplicaClient
from protos.errors import (
    NotFound,
    PointsMoved,
    Timeout,
    VecraftError,
    collection_not_found,
    operation_timed_out,
)
from protos.operations import OPERATION_ID_BYTES, UpdateResult
from protos.shard import ReadSession, UpdateRequest
from protos.tasks import heed
from router.primaries.policy import GiveUp, Past, next_step
from router.watch import StateWatch

T = TypeVar("T")

WRITE_TIMEOUT_MS = 60_000
ATTEMPT_S = 30.0  # a primary's time for one answer; a repeat is harmless
GRACE_S = 0.5  # after the request's time: a shard that was told of it answers by itself

Attempt = Callable[
    [ReplicaClient, float], Coroutine[Any, Any, T]
]  # the replica, the milliseconds that are left


class PrimaryCalls:
    """``retrying`` False: the node is the only one, so its answer is the last word and nothing is bounded
    that the shard does not bound itself.
    """

    def __init__(
        self,
        watch: StateWatch,
        node: NodeClient,
        *,
        retrying: bool,
        new_operation_id: Callable[[], bytes] = lambda: os.urandom(OPERATION_ID_BYTES),
        rng: random.Random | None = None,
    ) -> None:
        self._watch, self._node = watch, node
        self._retrying = retrying
        self.new_operation_id = new_operation_id
        self._rng = rng or secrets.SystemRandom()

    async def update(
        self,
        collection: CollectionState,
        shard_id: int,
        request: UpdateRequest,
        session: ReadSession | None = None,
    ) -> UpdateResult:
        """Have a change applied once, however often it is tried; ``session`` is told where it was logged.

        Raises: what the shard raises; NotFound if the shard is gone; ShardUnavailable if no primary could
            be reached in time, Timeout if it may be applied all the same.
        """
        told = session or ReadSession()
        if not self._retrying:
            primary = collection.shards[shard_id].primary
            return await self._node.replica(collection, shard_id, primary).open(told).update(request)
        if not request.operation_id:
            request = msgspec.structs.replace(request, operation_id=self.new_operation_id())

        async def attempt(replica: ReplicaClient, left_ms: float) -> UpdateResult:
            part = msgspec.structs.replace(request, timeout_ms=int(left_ms))
            own = ReadSession()
            result = await replica.open(own).update(part)
            told.position = own.position
            return result

        timeout_ms = WRITE_TIMEOUT_MS if request.timeout_ms is None else request.timeout_ms
        return await self._call(collection, shard_id, attempt, "Update", timeout_ms)

    async def settle_schema(
        self,
        collection: CollectionState,
        shard_id: int,
        config_version: int,
        *,
        timeout_ms: int = WRITE_TIMEOUT_MS,
    ) -> UpdateResult:
        """See ``ReplicaClient.settle_schema``. Raises: as ``update``."""
        if not self._retrying:
            primary = collection.shards[shard_id].primary
            return await self._node.replica(collection, shard_id, primary).settle_schema(config_version)

        async def attempt(replica: ReplicaClient, _left_ms: float) -> UpdateResult:
            return await replica.settle_schema(config_version)

        return await self._call(collection, shard_id, attempt, "Update schema", timeout_ms)

    # --- attempts ------------------------------------------------------------------------------------

    async def _call(
        self, collection: CollectionState, shard_id: int, attempt: Attempt[T], what: str, timeout_ms: float
    ) -> T:
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_ms / 1000
        past, peer = Past(), None
        while True:
            now, shard = self._current(collection, shard_id)
            asked = shard.primary if peer is None else peer
            try:
                return await self._attempt(now, shard, asked, attempt, max(end - loop.time(), 0.0))
            except VecraftError as error:
                left_ms = (end - loop.time()) * 1000
                step = next_step(past, error, asked=asked, remaining_ms=left_ms, chance=self._rng.random())
                if isinstance(step, GiveUp):
                    if isinstance(step.error, Timeout):
                        raise operation_timed_out(what, timeout_ms / 1000) from error
                    raise step.error from error
            past, peer = step.past, step.peer
            if peer is None:
                await self._pause(now, shard, step.delay_ms / 1000)

    def _current(self, collection: CollectionState, shard_id: int) -> tuple[CollectionState, ShardState]:
        """Raises: NotFound if the collection or the shard is gone; PointsMoved if its points are not."""
        now = self._watch.same(collection)
        if now is None:
            raise collection_not_found(collection.name)
        shard = now.shards.get(shard_id)
        if shard is None and now.buckets_step != collection.buckets_step:
            raise PointsMoved(f"the points of shard {shard_id} have moved")
        if shard is None:
            raise NotFound(f"Shard {shard_id} of collection `{collection.name}` doesn't exist")
        return now, shard

    async def _attempt(
        self,
        collection: CollectionState,
        shard: ShardState,
        peer: int,
        attempt: Attempt[T],
        left_s: float,
    ) -> T:
        """Raises: what the replica raises; Timeout if it gives no answer, or is deposed meanwhile."""
        replica = self._node.replica(collection, shard.id, peer)
        loop = asyncio.get_running_loop()
        end = loop.time() + min(left_s + GRACE_S, ATTEMPT_S)
        task = asyncio.create_task(attempt(replica, left_s * 1000))
        try:
            while not task.done():
                change, patience_s = self._watch.next_change(), end - loop.time()
                if patience_s <= 0 or self._deposed(collection, shard, peer):
                    raise Timeout(f"Peer {peer} gave no answer as the primary of shard {shard.id}")
                await asyncio.wait((task, change), timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            return task.result()
        finally:
            if not task.done():
                task.add_done_callback(heed)
                task.cancel()

    def _deposed(self, collection: CollectionState, asked_of: ShardState, peer: int) -> bool:
        """Does another peer lead the shard since it was ``asked_of``, or is it gone?"""
        shard = self._shard_now(collection, asked_of.id)
        return shard is None or (shard.term > asked_of.term and shard.primary != peer)

    async def _pause(self, collection: CollectionState, asked_of: ShardState, delay_s: float) -> None:
        """Wait, at most ``delay_s``, for the shard to be led anew since it was ``asked_of``."""

        def led_anew() -> bool:
            shard = self._shard_now(collection, asked_of.id)
            return shard is None or shard.term > asked_of.term

        await self._watch.until(led_anew, timeout_s=delay_s)

    def _shard_now(self, collection: CollectionState, shard_id: int) -> ShardState | None:
        now = self._watch.same(collection)
        return None if now is None else now.shards.get(shard_id)
