"""One backup: the cut, then the files of it into a repository. On whichever node was asked.

Lives here: carrying out what ``barrier`` decides, trying again, which files are fetched.
May not live here: what a primary does (``participant``), the repository's format (``repository``).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, aclosing
from typing import Any, TypeVar

from consensus.replica_sets import every_shard, is_resharded
from consensus.state import ClusterState
from node.backup.barrier import Barrier, CutAt, Phase, ShardKey
from node.backup.repository import FORMAT, BackedCollection, BackedFile, BackedShard, Manifest, Repository
from node.backup.wire import (
    CONFIRM,
    CUT,
    FILE,
    HOLD,
    RELEASE,
    CutFiles,
    CutRef,
    CutRequest,
    FileRef,
    Held,
    Prepared,
    decode,
    encode,
)
from node.peer.calls import PeerCalls
from protos.errors import InsufficientStorage, ShardUnavailable, VecraftError
from protos.logger import get_logger
from protos.tasks import end_all

log = get_logger()

T = TypeVar("T")

TRIES, RETRY_S = 10, 0.5
PREPARED_S = 50.0  # for all primaries: each first finishes a checkpoint that is under way
CALL_S = 1.5  # for all to be held, to confirm, to go on
FETCHES_MAX = 4  # shards whose files are fetched at the same time


class CutNotGood(Exception):
    """Something moved while it was taken; another try may do better."""


class Coordinator:
    """``state``: the cluster's, as this node knows it; ``raft_index``: what it has applied."""

    def __init__(
        self, calls: PeerCalls, state: Callable[[], ClusterState], raft_index: Callable[[], int]
    ) -> None:
        self._calls, self._state, self._raft_index = calls, state, raft_index

    async def back_up(self, repository: Repository, *, created_ms: int) -> str:
        """Returns: the backup's name in ``repository``. To be called when this node knows all that was agreed
        on before. Raises: ServiceError, ShardUnavailable, InsufficientStorage.
        """
        for attempt in range(TRIES):
            try:
                async with AsyncExitStack() as streams:
                    return await self._try(repository, created_ms, streams)
            except CutNotGood as error:
                log.info("backup_tried_again", attempt=attempt, reason=str(error))
            await asyncio.sleep(RETRY_S)
        raise ShardUnavailable(f"no consistent cut of the cluster in {TRIES} tries: shards keep moving")

    async def _try(self, repository: Repository, created_ms: int, streams: AsyncExitStack) -> str:
        state, raft_index = self._state(), self._raft_index()
        moving = [name for name, collection in state.collections.items() if is_resharded(collection)]
        if moving:
            raise CutNotGood(f"points are moving between shards of {', '.join(moving)}")
        cut = _Cut(self._calls, state)
        held = await cut.take(streams)
        if self._state().collections != state.collections:
            raise CutNotGood("collections were changed meanwhile")
        turn = asyncio.Semaphore(FETCHES_MAX)

        async def fetched(key: ShardKey) -> BackedShard:
            async with turn:
                return await cut.fetch(key, held[key], repository)

        taken = dict(zip(held, await _gathered([fetched(key) for key in held]), strict=True))
        manifest = _manifest(state, taken, raft_index=raft_index, created_ms=created_ms)
        return await asyncio.to_thread(repository.add, manifest)


class _Cut:
    """One try."""

    def __init__(self, calls: PeerCalls, state: ClusterState) -> None:
        self._calls, self._name = calls, uuid.uuid4().hex
        shards = {(collection.uuid, shard.id): shard for collection, shard in every_shard(state)}
        self._primaries = {key: shard.primary for key, shard in shards.items()}
        self._terms = {key: shard.term for key, shard in shards.items()}
        self._streams: dict[ShardKey, AsyncIterator[bytes]] = {}
        self._barrier = Barrier(shards)

    async def take(self, streams: AsyncExitStack) -> dict[ShardKey, CutAt]:
        """Hold all, confirm all, release all. Raises: CutNotGood."""
        barrier = self._barrier
        for key, primary in self._primaries.items():
            request = CutRequest(self._name, *key, self._terms[key])
            stream: Any = self._calls.stream(primary, CUT, encode(request))
            self._streams[key] = await streams.enter_async_context(aclosing(stream))
        try:
            await self._all(self._prepare, PREPARED_S)
            await self._all(self._hold, CALL_S)
            await self._all(self._confirm, CALL_S)
        except (VecraftError, TimeoutError) as error:
            barrier.failed(str(error) or repr(error))
        await asyncio.gather(*map(self._release, self._primaries), return_exceptions=True)
        if barrier.phase is not Phase.GOOD:
            raise CutNotGood(barrier.failure)
        return dict(barrier.cut)

    async def _all(self, call: Callable[[ShardKey], Coroutine[Any, Any, None]], seconds: float) -> None:
        """Raises: the first VecraftError, TimeoutError."""
        async with asyncio.timeout(seconds):
            await _gathered([call(key) for key in self._primaries])

    async def _prepare(self, key: ShardKey) -> None:
        decode(await _next(self._streams[key]), Prepared)

    async def _hold(self, key: ShardKey) -> None:
        ref = encode(CutRef(self._name, *key))
        await self._calls.call(self._primaries[key], HOLD, ref, timeout_s=CALL_S)
        held = decode(await _next(self._streams[key]), Held)
        self._barrier.held(key, held.at)

    async def _confirm(self, key: ShardKey) -> None:
        ref = encode(CutRef(self._name, *key))
        await self._calls.call(self._primaries[key], CONFIRM, ref, timeout_s=CALL_S)
        self._barrier.confirmed(key)

    async def _release(self, key: ShardKey) -> None:
        ref = encode(CutRef(self._name, *key))
        await self._calls.call(self._primaries[key], RELEASE, ref, timeout_s=CALL_S)

    async def fetch(self, key: ShardKey, at: CutAt, repository: Repository) -> BackedShard:
        """What the repository lacks of a shard's files. Raises: CutNotGood, InsufficientStorage."""
        try:
            described = decode(await _next(self._streams[key]), CutFiles)
            for file in described.files:
                if not await asyncio.to_thread(repository.has, file.sha256, file.size):
                    ref = encode(FileRef(self._name, *key, file.path))
                    stream: Any = self._calls.stream(self._primaries[key], FILE, ref)
                    async with aclosing(stream) as chunks:
                        await repository.keep(file.sha256, file.size, chunks)
        except InsufficientStorage:
            raise
        except VecraftError as error:
            raise CutNotGood(str(error)) from error
        files = tuple(BackedFile(file.path, file.size, file.sha256) for file in described.files)
        return BackedShard(key[1], at.term, at.seq, described.points, files)


async def _gathered(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all. Raises: the first error; the others have ended then, too."""
    tasks = [asyncio.create_task(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        await end_all(tasks)


async def _next(stream: AsyncIterator[bytes]) -> bytes:
    part = await anext(stream, None)
    if part is None:
        raise ShardUnavailable("a primary ended its part of the backup")
    return part


def _manifest(
    state: ClusterState, shards: dict[ShardKey, BackedShard], *, raft_index: int, created_ms: int
) -> Manifest:
    collections = tuple(
        BackedCollection(
            name,
            collection.config,
            collection.payload_schema,
            collection.groups,
            tuple(shards[collection.uuid, shard_id] for shard_id in sorted(collection.shards)),
        )
        for name, collection in sorted(state.collections.items())
    )
    return Manifest(FORMAT, raft_index, created_ms, collections, dict(sorted(state.aliases.items())))
