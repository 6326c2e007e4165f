"""Checkpoints: what a replica's memory holds beyond its files, made durable in one moment.

Lives here: the meta record, the file of live bits, and the order of steps (vectors, columns, live bits, then
one LMDB transaction, then removing what nothing names any more).
May not live here: when to checkpoint, reading one back (``recovery``).

Invariant: every file that a meta record names was durable before the transaction that stored the record.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import uuid
from pathlib import Path

import msgspec
import numpy as np
from crc32c import crc32c
from msgspec import Struct

from node.bits import PackedBits
from node.filter.columns import ColumnsView, Manifest
from node.replica.contents import Contents
from node.replica.origin import NO_ORIGIN, Origin
from node.replica.ownership import ShardBuckets
from node.replica.segment_set import SegmentEntry
from node.replication.terms import EMPTY_SEQ, Starts, TermList
from node.segments import VectorSchema
from node.storage.points import StoreFull
from protos.collections import Datatype
from protos.files import replace_synced, sync_directory
from protos.logger import get_logger
from protos.operations import VectorKind

log = get_logger()

FORMAT = 2  # 1 had dense float32 vectors only
POINTS_FILE = "points.mdb"
WAL_DIRECTORY = "wal"
SEGMENTS_DIRECTORY = "segments"
COLUMNS_DIRECTORY = "columns"
LIVE_PATTERN = "live.*.bits"


class DamagedFile(Exception):
    """A file that a checkpoint names is not what was written."""


class Meta(Struct, frozen=True):
    """What ``points.mdb`` says beside the points. New fields go to the end, with a default.

    ``term`` is that of the operation ``seq``; ``starts`` are the terms before and with it (``TermList``).
    """

    format: int
    seq: int
    term: int
    config_version: int
    schemas: tuple[VectorSchema, ...]
    segments: tuple[SegmentEntry, ...]
    live_file: str
    columns: Manifest
    operation_ids: tuple[tuple[bytes, int, int], ...] = ()
    starts: Starts = ()
    origin: Origin = NO_ORIGIN
    buckets: ShardBuckets = ShardBuckets()

    @property
    def terms(self) -> TermList:
        """Of the log's entries up to ``seq``. Before ``starts`` was stored, there was a single term."""
        if self.starts:
            return TermList(self.starts)
        return TermList() if self.seq == EMPTY_SEQ else TermList().extended(self.term, 0)


def oldest_format(meta: Meta) -> int:
    """The first format that could say all that ``meta`` says."""
    dense = all((each.kind, each.datatype) == (VectorKind.DENSE, Datatype.FLOAT32) for each in meta.schemas)
    return 1 if dense else FORMAT


def encode_meta(meta: Meta) -> bytes:
    return msgspec.msgpack.encode(meta)


_decoder = msgspec.msgpack.Decoder(Meta)


def decode_meta(data: bytes) -> Meta:
    """Raises: DamagedFile."""
    try:
        meta = _decoder.decode(data)
    except msgspec.DecodeError as error:
        raise DamagedFile(f"the checkpoint's record makes no sense: {error}") from error
    if meta.format not in range(1, FORMAT + 1):
        raise DamagedFile(f"checkpoint format {meta.format} is not one known here (up to {FORMAT})")
    return meta


def write_live(directory: Path, bits: PackedBits) -> str:
    """Store live bits durably under a new name, which is returned."""
    name = f"live.{uuid.uuid4().hex}.bits"
    data = bits.tobytes()
    replace_synced(directory / name, data + crc32c(data).to_bytes(4, "little"))
    return name


def read_live(directory: Path, name: str) -> PackedBits:
    """Raises: DamagedFile, OSError."""
    data = (directory / name).read_bytes()
    if len(data) < 4 or crc32c(data[:-4]).to_bytes(4, "little") != data[-4:]:
        raise DamagedFile(f"checksum mismatch in {directory / name}")
    return np.frombuffer(data[:-4], dtype=np.uint8)


class Draft(Struct, frozen=True):
    """A checkpoint in the making: the meta record but for the files still to be written."""

    meta: Meta
    live: PackedBits
    columns: ColumnsView
    generation: int


class Checkpointer:
    """``presync`` and ``store`` run beside the writer, ``begin`` and ``finish`` in its thread.

    ``failure`` is set for good when rows may have been lost by a failed sync: what memory holds must not
    replace the log then.
    """

    def __init__(self, directory: Path, contents: Contents, meta: Meta | None) -> None:
        self._directory, self._contents = directory, contents
        self._stored = (-1, 0) if meta is None else (meta.seq, 0)
        self.failure: str | None = None

    @property
    def directory(self) -> Path:
        return self._directory

    @property
    def usable(self) -> bool:
        """May what memory holds be stored?"""
        return self.failure is None and self._contents.parted is None

    @property
    def due(self) -> bool:
        """Is there anything that the last checkpoint does not have?"""
        applier = self._contents.applier
        return self.usable and self._stored != (applier.seq, applier.segments.generation)

    @property
    def seq(self) -> int:
        """The last operation in the last checkpoint; -1: none."""
        return self._stored[0]

    def presync(self) -> None:
        """Write out most of what ``begin`` must sync, so that writes wait less for it."""
        for segment in list(self._contents.applier.segments.growing):
            for path in segment.paths:
                with contextlib.suppress(OSError):
                    handle = os.open(path, os.O_RDONLY)
                    try:
                        os.fdatasync(handle)
                    finally:
                        os.close(handle)

    def begin(self) -> Draft:
        """Fix the state to store. Raises: OSError."""
        applier = self._contents.applier
        try:
            applier.segments.sync()
        except OSError as error:
            if error.errno == errno.EIO:
                self.failure = f"vectors could not be synced: {error}"
            raise
        applier.points.freeze()
        meta = Meta(
            format=FORMAT,
            seq=applier.seq,
            term=applier.terms.last_term,
            config_version=applier.config_version,
            schemas=tuple(applier.segments.schemas.values()),
            segments=tuple(applier.segments.entries()),
            live_file="",
            columns=Manifest(),
            operation_ids=tuple(self._contents.operation_ids.dump()),
            starts=applier.terms.starts,
            origin=applier.origin,
            buckets=applier.buckets,
        )
        live = applier.live.snapshot(applier.segments.ranges.end)
        return Draft(meta, live, applier.columns.view(), applier.segments.generation)

    def store(self, draft: Draft) -> Meta:
        """Make it durable. Raises: OSError: the former checkpoint stands, or after StoreFailed maybe this."""
        columns = draft.columns.save(self._directory / COLUMNS_DIRECTORY)
        live_file = write_live(self._directory, draft.live)
        meta = msgspec.structs.replace(draft.meta, live_file=live_file, columns=columns)
        sync_directory(self._directory / SEGMENTS_DIRECTORY)
        try:
            self._contents.applier.points.checkpoint(encode_meta(meta))
        except StoreFull:  # after any other failure the disk may name these files all the same
            recent = [self._directory / COLUMNS_DIRECTORY / saved.recent.name for saved in columns.columns]
            remove_all([self._directory / live_file, *recent])
            raise
        return meta

    def finish(self, draft: Draft, meta: Meta) -> list[Path]:
        """Return the paths that nothing names any more."""
        self._stored = (meta.seq, draft.generation)
        strays = self._contents.applier.segments.strays(entry.id for entry in meta.segments)
        return [*strays, *unnamed_files(self._directory, meta)]


def unnamed_files(directory: Path, meta: Meta) -> list[Path]:
    """Files of live bits and columns that ``meta`` does not name; no checkpoint may be under way."""
    bits = [path for path in directory.glob(LIVE_PATTERN) if path.name != meta.live_file]
    columns = (directory / COLUMNS_DIRECTORY).glob("*")
    return [*bits, *(path for path in columns if path.name not in meta.columns.files)]


def remove_all(paths: list[Path]) -> None:
    for path in paths:
        try:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        except OSError:
            log.exception("file_not_removed", file=str(path))
