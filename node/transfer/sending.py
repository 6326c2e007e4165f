"""The source's side: a base as parts, from an export that lasts as long as they are read.

Lives here: the bound on exports at a time, reading ahead of the network, the removal of exports.
May not live here: the bytes of parts (``wire``), what an export is made of (``export``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from typing import TypeVar

from node.replica.checkpoint import DamagedFile
from node.replica.opened import ReplicaFiles
from node.segments import SegmentError
from node.storage.points import RecordCorrupted, StoreFormatUnknown
from node.transfer.export import export_base
from node.transfer.files import file_parts
from node.transfer.progress import Progress, Stage
from node.transfer.records import record_parts
from node.transfer.wire import Form
from node.transfer.workshop import Workshop
from node.workers import WorkerPool, to_its_end
from protos.errors import ServiceError
from protos.logger import get_logger

log = get_logger()

EXPORTS_MAX = 2  # at a time on one node; others wait

T = TypeVar("T")


class BaseSender:
    """One per node."""

    def __init__(self, workshop: Workshop, *, exports_max: int = EXPORTS_MAX) -> None:
        self._workshop = workshop
        self._exports = asyncio.Semaphore(exports_max)

    async def parts(
        self, replica: ReplicaFiles, form: Form, progress: Progress | None = None
    ) -> AsyncGenerator[bytes, None]:
        """A base of ``replica`` as it is by now, or later. If not read to the end it must be closed
        (``aclose``), which removes the export.

        Raises: ShardUnavailable if the replica was closed; ServiceError: the disk failed, files are damaged.
        """
        background = self._workshop.background
        progress = progress or Progress.of_nobody()
        async with self._exports:
            place = self._workshop.place()
            try:
                progress.enter(Stage.CREATING)
                base = await export_base(replica, place, background=background)
                progress.expect(base.points)
                progress.enter(Stage.TRANSFERRING)
                parts = file_parts(base) if form is Form.FILES else record_parts(base)
                async with aclosing(read_ahead(parts, background)) as items:
                    async for part, points in items:
                        yield part
                        progress.advance(points)
                progress.enter(Stage.RECOVERING)
            except (OSError, RecordCorrupted, StoreFormatUnknown, SegmentError, DamagedFile) as error:
                log.exception("base_not_sent")
                raise ServiceError(f"the shard cannot be copied: {error}") from error
            finally:
                await self._workshop.remove(place)


async def read_ahead(items: Generator[T, None, None], background: WorkerPool) -> AsyncGenerator[T, None]:
    """What ``items`` yields in a thread, one at a time and one in advance; closes it in the end."""
    following = asyncio.ensure_future(background.run(next, items, None))
    try:
        while (item := await asyncio.shield(following)) is not None:
            following = asyncio.ensure_future(background.run(next, items, None))
            yield item
    finally:
        await to_its_end(asyncio.wait((following,)))
        _ = following.cancelled() or following.exception()  # nobody may have asked
        await to_its_end(background.run(items.close))
