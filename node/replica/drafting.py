"""Building a payload index beside the writes, before the operation that creates it is logged.

Lives here: when the writer is asked for a state, how often the builder catches up.
May not live here: what an index holds (``node.filter.columns``), what creating one does (``apply``).

The writer's step is then short: it takes in what changed since the builder looked last. Whatever goes wrong
here costs time only: without a draft that fits, the writer builds the index itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from msgspec import MsgspecError

from node.filter.columns import Draft
from node.replica.apply import payloads_at, payloads_of
from node.replica.opened import ReplicaFiles
from node.storage.points import PointsView
from node.workers import to_its_end
from protos.collections import decode_index_params
from protos.errors import VecraftError
from protos.logger import get_logger
from protos.operations import AnyLogOperation, CreateIndex

log = get_logger()

FEW_SLOTS = 500  # changed meanwhile: the writer takes them in, in a few milliseconds
ROUNDS_MAX = 5  # writes may come faster than they can be taken in


@contextlib.asynccontextmanager
async def drafted(files: ReplicaFiles, operation: AnyLogOperation) -> AsyncIterator[None]:
    """Log ``operation`` within this block: the index that it creates, if it does, is mostly built by then."""
    draft = await _begun(files, operation) if isinstance(operation, CreateIndex) else None
    if draft is None:
        yield
        return
    try:
        try:
            await _build(files, draft)
        except (VecraftError, OSError):
            log.exception("index_not_drafted", field=draft.field)
        yield
    finally:
        await to_its_end(files.undisturbed(files.contents.applier.columns.forget, draft))


async def _begun(files: ReplicaFiles, operation: CreateIndex) -> Draft | None:
    """None: there is nothing to build, or the writer will refuse it."""
    try:
        params = decode_index_params(operation.schema)
        return await files.undisturbed(files.contents.applier.columns.draft, operation.field, params)
    except (MsgspecError, VecraftError):
        return None


async def _build(files: ReplicaFiles, draft: Draft) -> None:
    await files.beside(draft.fill, payloads_of(files.view.points))
    for _ in range(ROUNDS_MAX):
        if await files.undisturbed(draft.count_missed) <= FEW_SLOTS:
            break
        points, slots = await files.undisturbed(lambda: (files.view.points, draft.missed()))
        await files.beside(_catch_up, draft, points, slots)


def _catch_up(draft: Draft, points: PointsView, slots: list[int]) -> None:
    draft.catch_up(slots, payloads_at(points, slots))
