"""Asking a collection's shards how they are, each by one replica.

Lives here: which replica speaks for a shard. May not live here: what is made of it (``info``).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from consensus.replica_sets import readable
from consensus.state import CollectionState, ShardState
from node.client import NodeClient, ShardClient
from protos.errors import ShardUnavailable, VecraftError
from protos.memory import ShardMemory
from protos.shard import ReadSession, ShardInfo, unreachable_shard

REPORT_TIMEOUT_S = 10.0
ATTEMPT_S = 3.0  # one replica's time if there are others


T = TypeVar("T")


class Reports:
    """``local_peer`` is this node's."""

    def __init__(self, node: NodeClient, local_peer: int) -> None:
        self._node, self._local_peer = node, local_peer

    async def of_all(self, collection: CollectionState) -> list[ShardInfo]:
        """One report per shard, by id; a red one for a shard that gives none in time."""
        shards = [shard for _, shard in sorted(collection.shards.items())]
        return await asyncio.gather(*(self._report(collection, shard) for shard in shards))

    async def local_points(self, collection: CollectionState) -> dict[int, int]:
        """The number of points in each of this node's replicas, 0 if one does not tell."""
        own = [shard for shard in collection.shards.values() if self._local_peer in shard.replicas]
        reports = await asyncio.gather(
            *(self._first_of(collection, shard, [self._local_peer]) for shard in own)
        )
        return {shard.id: report.points for shard, report in zip(own, reports)}

    async def memory(self, collection: CollectionState) -> list[ShardMemory]:
        """What each shard takes. Raises: ShardUnavailable if one does not tell in time; as the shard."""

        async def one(shard: ShardState) -> ShardMemory:
            peers = speakers(shard, self._local_peer)
            try:
                return await self._answer(collection, shard, peers, lambda asked: asked.memory())
            except TimeoutError as error:
                raise ShardUnavailable(_silent(shard)) from error

        return await asyncio.gather(*(one(shard) for shard in collection.shards.values()))

    async def _report(self, collection: CollectionState, shard: ShardState) -> ShardInfo:
        return await self._first_of(collection, shard, speakers(shard, self._local_peer))

    async def _first_of(self, collection: CollectionState, shard: ShardState, peers: list[int]) -> ShardInfo:
        try:
            return await self._answer(collection, shard, peers, lambda asked: asked.info())
        except TimeoutError:
            return unreachable_shard(_silent(shard))
        except VecraftError as error:
            return unreachable_shard(str(error))

    async def _answer(
        self,
        collection: CollectionState,
        shard: ShardState,
        peers: list[int],
        call: Callable[[ShardClient], Awaitable[T]],
    ) -> T:
        """The first answer of ``peers``, asked one after another.

        Raises: what the last that refused raised, TimeoutError if none did.
        """
        refusal: VecraftError | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REPORT_TIMEOUT_S):
                for peer in peers:
                    try:
                        async with asyncio.timeout(None if peer == peers[-1] else ATTEMPT_S):
                            replica = self._node.replica(collection, shard.id, peer)
                            return await call(replica.open(ReadSession()))
                    except TimeoutError:
                        continue
                    except VecraftError as error:
                        refusal = error
        raise refusal or TimeoutError


def _silent(shard: ShardState) -> str:
    return f"shard {shard.id} did not answer"


def speakers(shard: ShardState, local_peer: int) -> list[int]:
    """The peers to ask, best first: here, where the shard is led, wherever it can be read.

    A shard that nobody can read yet is asked where it is led.
    """
    ranked = sorted(readable(shard), key=lambda peer: (peer != local_peer, peer != shard.primary, peer))
    return ranked or [shard.primary]
