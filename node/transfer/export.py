"""Exporting a replica's last checkpoint as a directory of its own, while the replica goes on.

Within the checkpoint lock only names are made: hard links, and a read transaction of the point store, which
is written out afterwards. A growing segment's files go on changing behind the rows of the checkpoint, so
those rows are copied; whoever opens an export can therefore do as it likes with it.
May not live here: what becomes of the directory.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from msgspec import Struct

from node.replica.checkpoint import COLUMNS_DIRECTORY, POINTS_FILE, SEGMENTS_DIRECTORY, Meta, decode_meta
from node.replica.opened import CheckpointPostponed, Pauses, ReplicaFiles, Stored
from node.replica.segment_set import SegmentEntry
from node.segments.growing import GROWING_FILE, read_header
from node.segments.layout import layout_of
from node.segments.manifest import MANIFEST_FILE, read_manifest
from node.segments.schema import present_file
from node.storage.points import PointsCopy
from node.workers import WorkerPool, to_its_end
from protos.errors import ShardUnavailable
from protos.files import write_all

_COPY_BYTES = 1 << 20
_NOT_LINKED = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK)


class BaseFile(Struct, frozen=True):
    """``path`` is relative to the replica's directory, with slashes."""

    path: str
    size: int


class Base(Struct, frozen=True):
    """An exported checkpoint. ``seq`` is -1 and ``meta`` None if the shard has never held anything.

    ``term``: of operation ``seq``. ``points``: how many there are. ``stamp``: no other checkpoint has it.
    """

    directory: Path
    seq: int
    term: int
    meta: Meta | None
    points: int
    files: tuple[BaseFile, ...]
    stamp: str

    @property
    def total_bytes(self) -> int:
        return sum(file.size for file in self.files)


async def export_base(
    replica: ReplicaFiles, into: Path, *, background: WorkerPool, exact: bool = False
) -> Base:
    """Bring the last checkpoint up to date and export it into ``into``, a new directory on the same file
    system. Nothing is synced: it is meant to be sent and removed again. ``exact``: see ``PointsCopy``.

    Raises: OSError, RecordCorrupted, SegmentError; ShardUnavailable: the replica is being closed, or may not
    store what it has. ``into`` is the caller's to remove then, too.
    """
    try:
        await replica.checkpoint()
    except CheckpointPostponed as reason:
        raise ShardUnavailable(f"the shard cannot be copied now: {reason}") from reason
    async with replica.stored() as stored:
        links = await to_its_end(background.run(_link, stored, into, exact=exact))
    return await to_its_end(background.run(_complete, stored, links, into))


async def export_cut(
    replica: ReplicaFiles,
    into: Path,
    pauses: Pauses,
    *,
    settled: Callable[[], Awaitable[None]],
    background: WorkerPool,
) -> Base:
    """As ``export_base``, of a checkpoint that waits at ``pauses``; see ``ReplicaFiles.stored_at``."""
    try:
        async with replica.stored_at(pauses, settled) as stored:
            links = await to_its_end(background.run(_link, stored, into))
    except CheckpointPostponed as reason:
        raise ShardUnavailable(f"the shard cannot be copied now: {reason}") from reason
    return await to_its_end(background.run(_complete, stored, links, into))


class _Links(Struct, frozen=True):
    meta: Meta | None
    points: PointsCopy


def _link(stored: Stored, into: Path, *, exact: bool = False) -> _Links:
    """Make names for everything the checkpoint consists of."""
    into.mkdir(parents=True)
    with stored.gate:
        points = stored.points.copy(exact=exact)
    try:
        meta = None if points.blob is None else decode_meta(points.blob)
        if meta is not None:
            _link_files(stored.directory, into, meta)
    except BaseException:
        points.close()
        raise
    return _Links(meta, points)


def _link_files(source: Path, into: Path, meta: Meta) -> None:
    for entry in meta.segments:
        part = f"{SEGMENTS_DIRECTORY}/{entry.id}"
        (into / part).mkdir(parents=True)
        if entry.growing:
            _link_all(source / part, into / part, _growing_files(source / part))
        else:
            _link_all(source / part, into / part, [MANIFEST_FILE])
            # As linked: the one in the source may be another one by now.
            _link_all(source / part, into / part, (file.name for file in read_manifest(into / part).files))
    (into / COLUMNS_DIRECTORY).mkdir()
    _link_all(source / COLUMNS_DIRECTORY, into / COLUMNS_DIRECTORY, sorted(meta.columns.files))
    _link_all(source, into, [meta.live_file])


def _growing_files(directory: Path) -> list[str]:
    names = [GROWING_FILE]
    for position, schema in enumerate(read_header(directory).schemas):
        names += [file.name for file in layout_of(schema, position).files]
        names.append(present_file(position))
    return [name for name in names if (directory / name).exists()]  # no row, no file of presence


def _link_all(source: Path, into: Path, names: Iterable[str]) -> None:
    for name in names:
        try:
            os.link(source / name, into / name)
        except OSError as error:
            if error.errno not in _NOT_LINKED:
                raise
            shutil.copyfile(source / name, into / name)


def _complete(stored: Stored, links: _Links, into: Path) -> Base:
    """Everything that takes time."""
    with stored.gate:
        links.points.write(into / POINTS_FILE)
    meta = links.meta
    for entry in meta.segments if meta is not None else ():
        if entry.growing:
            _detach(into / SEGMENTS_DIRECTORY / entry.id, entry)
    return Base(
        directory=into,
        seq=-1 if meta is None else meta.seq,
        term=0 if meta is None else meta.term,
        meta=meta,
        points=links.points.count,
        files=tuple(list_files(into)),
        stamp=stamp_of(links.points.blob),
    )


def stamp_of(blob: bytes | None) -> str:
    """What tells a checkpoint from all others, by its record: it names a file that is made anew each time."""
    return hashlib.blake2b(blob or b"", digest_size=16).hexdigest()


def _detach(directory: Path, entry: SegmentEntry) -> None:
    """Make the links to a growing segment's vectors files of their own, of the checkpoint's rows."""
    for position, schema in enumerate(read_header(directory).schemas):
        for name, size in layout_of(schema, position).sizes(directory, entry.rows).items():
            path = directory / name
            copy = path.with_name(f"{name}.tmp")
            _copy_start(path, copy, size)
            copy.rename(path)


def _copy_start(source: Path, target: Path, size: int) -> None:
    with source.open("rb", buffering=0) as reading, target.open("wb", buffering=0) as writing:
        while size:
            data = reading.read(min(size, _COPY_BYTES))
            if not data:
                raise OSError(errno.EIO, f"{size} bytes are missing at the end", str(source))
            write_all(writing.fileno(), [data])
            size -= len(data)


def list_files(directory: Path) -> list[BaseFile]:
    """Every file below, by path."""
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    return [BaseFile(path.relative_to(directory).as_posix(), path.stat().st_size) for path in paths]
