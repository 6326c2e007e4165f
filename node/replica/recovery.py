"""Opening a replica: the last checkpoint, then the log after it.

Lives here: the order of opening, the replay, the repair of what can be made again (graphs,
inverted indexes).
May not live here: what to do about damage that cannot be repaired: it is raised.

Invariants: opening a checkpoint reads no point; a replay goes through the same ``prepare`` and ``apply`` as
the first time; a replica opens with everything that was acknowledged, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from node.filter.columns import Columns, ColumnsCorrupted, Manifest
from node.replica.apply import Applier
from node.replica.checkpoint import (
    COLUMNS_DIRECTORY,
    FORMAT,
    POINTS_FILE,
    SEGMENTS_DIRECTORY,
    WAL_DIRECTORY,
    Checkpointer,
    DamagedFile,
    Meta,
    decode_meta,
    read_live,
    remove_all,
    unnamed_files,
)
from node.replica.contents import Contents
from node.replica.operation_ids import OperationIds
from node.replica.replay import Replay
from node.replica.segment_set import SegmentEntry, SegmentSet
from node.replica.slots import LiveBits
from node.replication.terms import EMPTY_SEQ
from node.segments import SealedSegment, SegmentCorrupted, SegmentError, schema_of
from node.segments.manifest import read_manifest, write_manifest
from node.segments.schema import is_index
from node.storage.points import PointStore, RecordCorrupted, StoreFormatUnknown
from node.storage.wal import Wal, WalError
from protos.clock import Clock
from protos.collections import CollectionConfig, Memory
from protos.errors import VecraftError
from protos.logger import get_logger

log = get_logger()

# What opening may raise when files are missing or damaged.
DAMAGE = (
    OSError,
    WalError,
    SegmentError,
    RecordCorrupted,
    StoreFormatUnknown,
    ColumnsCorrupted,
    DamagedFile,
    ValueError,
    VecraftError,
)


class Opened(Struct, frozen=True):
    """``floor``: the checkpoint's seq. ``open_wal`` opens the log again after it has failed."""

    contents: Contents
    checkpointer: Checkpointer
    wal: Wal
    open_wal: Callable[[], Wal]
    floor: int


def open_replica(
    directory: Path,
    config: CollectionConfig,
    *,
    config_version: int,
    readers: int,
    clock: Clock,
    ceiling: Memory = Memory.PINNED,
) -> Opened:
    """Open, or create, the replica in ``directory``. ``ceiling``: no file is kept in memory more than that.

    Raises: any of ``DAMAGE``.
    """
    directory.mkdir(parents=True, exist_ok=True)
    points = PointStore.open(directory / POINTS_FILE, readers)
    wal: Wal | None = None
    try:
        stored = points.meta()
        meta = None if stored is None else decode_meta(stored)

        def open_wal() -> Wal:
            return Wal.open(directory / WAL_DIRECTORY, capacity_mb=max(1, config.wal_config.wal_capacity_mb))

        wal = open_wal()
        base = meta or blank_meta(config, config_version=config_version)
        _require_continuous(base, wal)
        applier = _open_applier(directory, config, points, base, ceiling)
        operation_ids = OperationIds()
        operation_ids.load(base.operation_ids)
        contents = Contents(applier, operation_ids, clock)
        _replay(contents, wal)
    except BaseException:
        if wal is not None:
            wal.close()
        points.close()
        raise
    if meta is not None:
        remove_all(unnamed_files(directory, meta))
    return Opened(contents, Checkpointer(directory, contents, meta), wal, open_wal, base.seq)


def blank_meta(config: CollectionConfig, *, config_version: int) -> Meta:
    """Of a replica that has never held anything."""
    schemas = tuple(schema_of(name, params) for name, params in config.all_vectors.items())
    return Meta(FORMAT, EMPTY_SEQ, 0, config_version, schemas, (), "", Manifest())


def _require_continuous(meta: Meta, wal: Wal) -> None:
    """Raises: DamagedFile if operations between the checkpoint and the log are missing."""
    if wal.last_seq < meta.seq:
        raise DamagedFile(f"the log ends at seq {wal.last_seq}, before the checkpoint's seq {meta.seq}")
    if wal.first_seq > meta.seq + 1:
        raise DamagedFile(f"the log begins at seq {wal.first_seq}, the checkpoint ends at seq {meta.seq}")


def _open_applier(
    directory: Path, config: CollectionConfig, points: PointStore, meta: Meta, ceiling: Memory
) -> Applier:
    segments_directory = directory / SEGMENTS_DIRECTORY
    schemas = {schema.name: schema for schema in meta.schemas}
    repair_indexes(segments_directory, meta.segments)
    segments = SegmentSet.open(segments_directory, schemas, meta.segments)
    live = LiveBits(read_live(directory, meta.live_file)) if meta.live_file else LiveBits()
    applier = Applier(
        points=points,
        segments=segments,
        live=live,
        columns=Columns.load(directory / COLUMNS_DIRECTORY, meta.columns, ceiling),
        config=config,
        terms=meta.terms,
        seq=meta.seq,
        config_version=meta.config_version,
        origin=meta.origin,
        buckets=meta.buckets,
    )
    applier.renew_columns()
    return applier


def _replay(contents: Contents, wal: Wal) -> None:
    """Apply what the log holds after the checkpoint."""
    first = contents.applier.seq + 1
    replay = Replay(contents)
    for record in wal.replay(first):
        replay.add(record.term, record.seq, record.body)
    replay.flush()
    if contents.applier.seq >= first:
        log.info("operations_replayed", first=first, last=contents.applier.seq)


def repair_indexes(directory: Path, entries: Sequence[SegmentEntry]) -> None:
    """Make segments whose indexes are damaged openable without them; the optimizer builds new ones.

    Damage to anything else is left for opening to report.
    """
    for entry in entries:
        if entry.growing:
            continue
        path = directory / entry.id
        try:
            SealedSegment.open(path)
        except SegmentCorrupted as damage:
            if is_index(damage.file.name):
                log.warning("indexes_dropped", segment=entry.id, reason=damage.reason)
                drop_indexes(path)


def drop_indexes(directory: Path) -> None:
    """Take graphs and inverted indexes out of a segment's manifest. Raises: SegmentError, OSError."""
    manifest = read_manifest(directory)
    write_manifest(
        directory,
        replace(
            manifest,
            vectors=tuple(replace(vectors, graph=None, sparse=None) for vectors in manifest.vectors),
            files=tuple(file for file in manifest.files if not is_index(file.name)),
        ),
    )
