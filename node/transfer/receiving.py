"""The target's side: from the parts of a base to a replica's directory, with a log that goes on behind it.

Lives here: the order of a stream's parts, the removal of what fails.
May not live here: what becomes of the directory; replica.json is whoever's puts it in a replica's place.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from node.replica.checkpoint import WAL_DIRECTORY
from node.storage.wal import Wal
from node.transfer.files import FilesTarget
from node.transfer.records import RecordsTarget
from node.transfer.wire import END, BaseRefused, Form, Header, Unpacking
from node.transfer.workshop import Workshop
from node.workers import to_its_end
from protos.files import sync_directory

Report = Callable[[int, int], None]  # points that are here, and all there are


class Target(Protocol):
    """What parts are made into. One call at a time, in any thread."""

    @property
    def points_done(self) -> int: ...

    def take(self, kind: bytes, body: memoryview) -> None:
        """Raises: BaseRefused, OSError, InsufficientStorage."""
        ...

    def finish(self) -> None:
        """All has come: complete the files, and make them durable. Raises: as ``take``."""
        ...

    def close(self) -> None:
        """Let go of all files."""
        ...


class Received(Struct, frozen=True):
    """A complete, durable replica as of ``seq``, whose log begins behind it. Has no ``replica.json`` yet.

    ``term``: of operation ``seq``. ``seq`` -1: the shard has never held anything.
    """

    directory: Path
    seq: int
    term: int
    points: int


async def receive_base(
    parts: AsyncIterator[bytes], into: Path, workshop: Workshop, *, report: Report | None = None
) -> Received:
    """Make ``into`` (see ``Workshop.place``; it must not exist) of the parts of a base.

    On any failure, or cancellation, ``into`` is removed again, and the parts' stream is closed.
    Raises: BaseRefused, OSError, InsufficientStorage, and what ``parts`` raises.
    """
    try:
        return await _receive(parts, into, workshop, report)
    except BaseException:
        await workshop.remove(into)
        raise
    finally:
        close = getattr(parts, "aclose", None)
        if close is not None:
            await close()


async def _receive(
    parts: AsyncIterator[bytes], into: Path, workshop: Workshop, report: Report | None
) -> Received:
    background, unpacking = workshop.background, Unpacking()
    first = await anext(parts, None)
    if first is None:
        raise BaseRefused("nothing came")
    header = unpacking.header(first)
    target = await to_its_end(background.run(_begin, into, header))
    try:
        async for part in parts:
            kind, body = unpacking.part(part)
            if kind == END:
                break
            await to_its_end(background.run(target.take, kind, body))
            if report is not None:
                report(target.points_done, header.points)
        else:
            raise BaseRefused("it broke off before its end")
        async for _ in parts:
            raise BaseRefused("there is something behind its end")
        await to_its_end(background.run(_finish, into, header, target))
    finally:
        await to_its_end(background.run(target.close))
    return Received(into, header.seq, header.term, header.points)


def _begin(into: Path, header: Header) -> Target:
    into.mkdir(parents=True)
    if header.form is Form.FILES:
        return FilesTarget(into, header)
    return RecordsTarget(into, header)


def _finish(into: Path, header: Header, target: Target) -> None:
    target.finish()
    Wal.begin_after(into / WAL_DIRECTORY, header.seq, header.term).close()
    for directory, _, _ in os.walk(into, topdown=False):
        sync_directory(Path(directory))
    sync_directory(into.parent)
