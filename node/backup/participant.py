"""A primary's part in a cut: it holds still, fixes a checkpoint, and gives its files out.

Lives here: the holds of this node, and how they end whatever becomes of the coordinator.
May not live here: when a cut is good (``barrier``), how a checkpoint is made (``node.replica.opened``).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Protocol

from node.backup.barrier import CutAt, Hold
from node.backup.wire import (
    CONFIRM,
    CUT,
    FILE,
    HOLD,
    RELEASE,
    CutFile,
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
from node.replica.opened import Pauses
from node.transfer.export import Base, BaseFile
from node.transfer.files import blocks_of
from node.transfer.workshop import Workshop
from node.workers import to_its_end
from protos.errors import NotPrimary, ShardUnavailable

PREPARED_S = 60.0  # for all the other primaries to be prepared, too
HOLD_MS = 2_000  # a primary's patience; writes wait so long at most
LONGEST_S = 24 * 3600.0  # that the files of a cut are kept for a coordinator that does not end it

CutKey = tuple[str, str, int]  # the try, collection uuid, shard id


class CutShard(Protocol):
    """A replica of this node."""

    def leads_in(self) -> int | None:
        """The term that it leads in, ready for writes, under a lease that runs now; None: it does not."""
        ...

    async def export_held(self, into: Path, pauses: Pauses) -> Base:
        """``node.transfer.export.export_cut`` of it, when it has applied all it has logged."""
        ...


class CutHost(Protocol):
    def cut_shard(self, collection_uuid: str, shard_id: int) -> CutShard:
        """Raises: ShardUnavailable if it is not here."""
        ...

    def now_ms(self) -> int: ...


class _Cut:
    """Implements ``node.replica.opened.Pauses``: where a checkpoint waits for the coordinator."""

    def __init__(self, term: int, now_ms: Callable[[], int]) -> None:
        self._term, self._now_ms = term, now_ms
        self.prepared, self.go = asyncio.Event(), asyncio.Event()
        self.held, self.released = asyncio.Event(), asyncio.Event()
        self.hold: Hold | None = None
        self.base: Base | None = None

    async def before(self) -> None:
        self.prepared.set()
        await _within(self.go.wait(), PREPARED_S)

    async def still(self, seq: int) -> None:
        self.hold = Hold(CutAt(self._term, seq), self._now_ms(), patience_ms=HOLD_MS)
        self.held.set()
        try:
            await _within(self.released.wait(), HOLD_MS / 1000)
        finally:
            self.hold.release()


async def _within(waiting: Awaitable[object], seconds: float) -> None:
    """Raises: ShardUnavailable."""
    try:
        async with asyncio.timeout(seconds):
            await waiting
    except TimeoutError as error:
        raise ShardUnavailable("the coordinator of a backup is not heard any more") from error


class Participant:
    """One per node."""

    def __init__(self, host: CutHost, workshop: Workshop) -> None:
        self._host, self._workshop = host, workshop
        self._cuts: dict[CutKey, _Cut] = {}

    def serve(self, calls: PeerCalls) -> None:
        calls.handle_stream(CUT, self._cut)
        calls.handle(HOLD, self._hold)
        calls.handle(CONFIRM, self._confirm)
        calls.handle(RELEASE, self._release)
        calls.handle_stream(FILE, self._file)

    async def _cut(self, _peer: int, data: bytes) -> AsyncIterator[bytes]:
        request = decode(data, CutRequest)
        key = (request.cut, request.collection, request.shard_id)
        shard = self._host.cut_shard(request.collection, request.shard_id)
        if shard.leads_in() != request.term:
            raise NotPrimary("this replica does not lead the shard in that term")
        cut, place = self._cuts.setdefault(key, _Cut(request.term, self._host.now_ms)), self._workshop.place()
        exporting = asyncio.create_task(shard.export_held(place, cut))
        try:
            await _first(cut.prepared, exporting)
            yield encode(Prepared())
            await _first(cut.held, exporting)
            assert cut.hold is not None
            yield encode(Held(cut.hold.at))
            cut.base = base = await asyncio.shield(exporting)
            files = await to_its_end(self._workshop.background.run(_described, base))
            yield encode(CutFiles(base.points, files))
            await asyncio.sleep(LONGEST_S)  # the coordinator ends the stream when it has what it needs
        finally:
            self._cuts.pop(key, None)
            exporting.cancel()
            await to_its_end(asyncio.wait((exporting,)))
            _ = exporting.cancelled() or exporting.exception()
            await self._workshop.remove(place)

    async def _hold(self, _peer: int, data: bytes) -> bytes:
        cut = self._found(decode(data, CutRef))
        if cut is None:
            raise ShardUnavailable("there is no such cut")
        cut.go.set()
        return b""

    def _found(self, asked: CutRef) -> _Cut | None:
        return self._cuts.get((asked.cut, asked.collection, asked.shard_id))

    async def _confirm(self, _peer: int, data: bytes) -> bytes:
        asked = decode(data, CutRef)
        cut = self._found(asked)
        leads_in = self._host.cut_shard(asked.collection, asked.shard_id).leads_in()
        if cut is None or cut.hold is None or not cut.hold.confirm(self._host.now_ms(), leads_in=leads_in):
            raise ShardUnavailable("the shard was not held still all the time")
        return b""

    async def _release(self, _peer: int, data: bytes) -> bytes:
        cut = self._found(decode(data, CutRef))
        if cut is not None:
            cut.released.set()
        return b""

    async def _file(self, _peer: int, data: bytes) -> AsyncIterator[bytes]:
        asked = decode(data, FileRef)
        cut = self._cuts.get((asked.cut, asked.collection, asked.shard_id))
        file = None if cut is None or cut.base is None else _named(cut.base, asked.path)
        if cut is None or cut.base is None or file is None:
            raise ShardUnavailable(f"there is no file {asked.path!r} of this cut")
        blocks = blocks_of(cut.base.directory, file)
        while (block := await self._workshop.background.run(next, blocks, None)) is not None:
            yield block


async def _first(event: asyncio.Event, exporting: asyncio.Task[Base]) -> None:
    """Wait for ``event``, or raise what ended the export before it."""
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait((waiting, exporting), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if not event.is_set():
        await exporting
        raise ShardUnavailable("the shard was not held still")


def _named(base: Base, path: str) -> BaseFile | None:
    return next((file for file in base.files if file.path == path), None)


def _described(base: Base) -> tuple[CutFile, ...]:
    """Raises: OSError, SegmentError."""
    found = []
    for file in base.files:
        digest = hashlib.sha256()
        for block in blocks_of(base.directory, file):
            digest.update(block)
        found.append(CutFile(file.path, file.size, digest.hexdigest()))
    return tuple(found)
