"""The copies of points between shards that this node sends (``replicate_points``, reference 14.7).

Lives here: a task for each such transfer whose source is this node, from its start to the command that ends
it.
May not live here: the copying itself (``node.transfer.points``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import msgspec

from consensus.commands import AbortTransfer, Command, FinishTransfer
from consensus.state import ClusterState, CollectionState, Transfer
from node.client import ReplicaClient
from node.transfer.points import PointCopy
from node.transfer.progress import TransferKey, Transfers, key_of
from protos.errors import ShardUnavailable, VecraftError
from protos.filters import Filter, decode_filter
from protos.ids import PointId
from protos.logger import get_logger
from protos.operations import UpdateResult
from protos.shard import Projection, ReadSession, Record, ScrollRequest, UpdateRequest
from protos.shard_client import ShardClient
from protos.tasks import end_all

log = get_logger()

T = TypeVar("T")

TRIES, RETRY_S = 40, 0.25  # a new primary is there within seconds

Replica = Callable[[CollectionState, int, int], ReplicaClient]
Propose = Callable[[Command], Awaitable[None]]


class PointCopies:
    """``state``: the cluster state now; ``replica`` as ``NodeClient.replica``; ``known_everywhere`` returns
    when all peers know what was agreed on before."""

    def __init__(
        self,
        me: int,
        state: Callable[[], ClusterState],
        replica: Replica,
        propose: Propose,
        known_everywhere: Callable[[], Awaitable[None]],
        transfers: Transfers,
    ) -> None:
        self._me, self._state, self._replica, self._propose = me, state, replica, propose
        self._known_everywhere, self._transfers = known_everywhere, transfers
        self._running: dict[TransferKey, asyncio.Task[None]] = {}

    def follow(self, state: ClusterState) -> None:
        """Begin what the state says, end what it says no more."""
        wanted = {
            key_of(collection.uuid, transfer): (collection, transfer)
            for collection in state.collections.values()
            for transfer in collection.transfers
            if transfer.to_shard_id is not None and transfer.source == self._me
        }
        for key, (collection, transfer) in wanted.items():
            if key not in self._running:
                self._begin(key, collection, transfer)
        for key, task in self._running.items():
            if key not in wanted and not task.done() and not _is_ending(task):
                task.cancel()

    async def close(self) -> None:
        await end_all(self._running.values())

    def _begin(self, key: TransferKey, collection: CollectionState, transfer: Transfer) -> None:
        task = asyncio.create_task(self._carry_out(collection, transfer), name=_COPYING)
        self._running[key] = task
        task.add_done_callback(lambda _: self._running.pop(key, None))

    async def _carry_out(self, collection: CollectionState, transfer: Transfer) -> None:
        name, uuid = collection.name, collection.uuid
        progress = self._transfers.begin(key_of(uuid, transfer), transfer.method)
        copy = PointCopy(
            _Patient(partial(self.primary, name, uuid, transfer.shard_id)),
            _Patient(partial(self.primary, name, uuid, transfer.target_shard_id)),
            _filter_of(transfer),
            progress,
        )
        try:
            await copy.run()
            current = asyncio.current_task()
            assert current is not None
            current.set_name(_ENDING)
            shard = self.collection(name, uuid).shards[transfer.target_shard_id]
            await self._propose(FinishTransfer(name, uuid, transfer, shard.term))
            await copy.settle()
            # Until then a peer may send writes to the source as before.
            await self._known_everywhere()
            await copy.settle()
        except (VecraftError, TimeoutError) as error:
            log.warning("points_not_copied", collection=name, shard_id=transfer.shard_id, error=str(error))
            await self._abort(name, uuid, transfer, str(error))

    async def _abort(self, name: str, uuid: str, transfer: Transfer, reason: str) -> None:
        try:
            await self._propose(AbortTransfer(name, uuid, transfer, reason))
        except VecraftError as error:  # it ended already
            log.info("transfer_not_aborted", collection=name, error=str(error))

    def collection(self, name: str, uuid: str) -> CollectionState:
        """Raises: ShardUnavailable if there is no such collection any more."""
        collection = self._state().collections.get(name)
        if collection is None or collection.uuid != uuid:
            raise ShardUnavailable(f"collection `{name}` is gone")
        return collection

    def primary(self, name: str, uuid: str, shard_id: int) -> ShardClient:
        """Raises: ShardUnavailable."""
        collection = self.collection(name, uuid)
        shard = collection.shards.get(shard_id)
        if shard is None:
            raise ShardUnavailable(f"shard {shard_id} is gone")
        return self._replica(collection, shard_id, shard.primary).open(ReadSession(strong=True))


class _Patient:
    """A shard through whoever leads it, tried again while it is between two of them."""

    def __init__(self, primary: Callable[[], ShardClient]) -> None:
        self._primary = primary

    async def update(self, request: UpdateRequest) -> UpdateResult:
        return await self._try(lambda shard: shard.update(request))

    async def scroll(self, request: ScrollRequest) -> list[Record]:
        return await self._try(lambda shard: shard.scroll(request))

    async def retrieve(self, ids: list[PointId], projection: Projection) -> list[Record]:
        return await self._try(lambda shard: shard.retrieve(ids, projection))

    async def count(self, filter: Filter | None, *, exact: bool) -> int:
        return await self._try(lambda shard: shard.count(filter, exact=exact))

    async def _try(self, call: Callable[[ShardClient], Awaitable[T]]) -> T:
        for attempt in range(TRIES):
            try:
                return await call(self._primary())
            except VecraftError as error:
                if not error.transient or attempt == TRIES - 1:
                    raise
            await asyncio.sleep(RETRY_S)
        raise AssertionError


_COPYING, _ENDING = "copy-points", "copy-points-ending"


def _is_ending(task: asyncio.Task[None]) -> bool:
    """The transfer is over because this task has finished it; the last pass is to go on."""
    return task.get_name() == _ENDING


def _filter_of(transfer: Transfer) -> Filter | None:
    return None if transfer.filter is None else decode_filter(msgspec.json.decode(transfer.filter))
