"""``<storage>/restoring``: complete replicas that wait to be put in their places.

A directory is called by a name that nobody gives twice. Once the cluster state names it, its replica takes it
(``install``), now or after a restart; one that the state does not name when this process has been registered
is of no use, and removed.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path

from msgspec.structs import replace

from consensus.replica_sets import every_shard
from consensus.state import ClusterState, CollectionState
from node.client.snapshots import ShardDescription
from node.directories import ShardDirectories
from node.replica.checkpoint import (
    POINTS_FILE,
    WAL_DIRECTORY,
    DamagedFile,
    Meta,
    decode_meta,
    encode_meta,
)
from node.replica.identity import Identity
from node.replica.origin import Origin
from node.replica.ownership import ShardBuckets
from node.replica.recovery import blank_meta, open_replica
from node.storage.points import PointStore
from node.storage.wal import Wal
from protos.clock import Clock
from protos.files import sync_directory
from protos.logger import get_logger
from protos.shard import Position

log = get_logger()

RESTORING_DIRECTORY = "restoring"
SEQ_MAX = 2**52  # of an archive; a log goes on from there


class ReadyFiles:
    """Blocking: run its methods in a background thread."""

    def __init__(self, storage: Path, clock: Clock) -> None:
        self._directory = storage / RESTORING_DIRECTORY
        self._clock = clock
        self._own: set[str] = set()  # given out by this process

    def new_name(self) -> str:
        name = uuid.uuid4().hex
        self._own.add(name)
        return name

    def place(self, name: str) -> Path:
        return self._directory / name

    def keep(self, named: Iterable[str]) -> None:
        """Remove what earlier processes left, but for these. Raises: OSError."""
        kept = {*named, *self._own}
        if not self._directory.is_dir():
            return
        for path in self._directory.iterdir():
            if path.name not in kept:
                log.info("restored_files_removed", directory=str(path))
                shutil.rmtree(path)

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            shutil.rmtree(self.place(name), ignore_errors=True)

    def rebase(
        self, name: str, shard: ShardDescription, after: Position, collection: CollectionState
    ) -> None:
        """Make the files a replica whose log begins behind ``after``, and see that it can be opened.

        What an operation of the shard's own log could be taken for is left behind: its terms, and the ids of
        operations. Raises: ``recovery.DAMAGE``.
        """
        directory = self.place(name)
        points = PointStore.open(directory / POINTS_FILE, 1)
        try:
            blob = points.meta()
            meta = blank_meta(collection.config, config_version=0) if blob is None else decode_meta(blob)
            if meta.seq != shard.seq or not -1 <= meta.seq <= SEQ_MAX:
                raise DamagedFile(f"a shard as of seq {meta.seq}, not of {shard.seq}")
            seq = max(meta.seq + 1, after.seq)
            meta = _begun(meta, seq, after.term, shard.stamp)
            points.freeze()
            points.checkpoint(encode_meta(meta))
        finally:
            points.close()
        Wal.begin_after(directory / WAL_DIRECTORY, seq, after.term).close()
        self._try(directory, collection)
        sync_directory(directory)
        sync_directory(self._directory)

    def _try(self, directory: Path, collection: CollectionState) -> None:
        opened = open_replica(directory, collection.config, config_version=0, readers=1, clock=self._clock)
        opened.wal.close()
        opened.contents.applier.segments.close()
        opened.contents.applier.points.close()

    def install(self, name: str, directories: ShardDirectories, directory: Path, identity: Identity) -> None:
        """Put the files in the place of what is in ``directory``, durably.

        Raises: DamagedFile if they are not there any more; OSError.
        """
        files = self.place(name)
        if not files.is_dir():
            raise DamagedFile(f"the state says that {directory} is made of {files}, which is missing")
        directories.install(files, directory, identity)


def _begun(meta: Meta, seq: int, term: int, stamp: str) -> Meta:
    return replace(
        meta,
        seq=seq,
        term=term,
        starts=((term, seq),),
        config_version=0,
        operation_ids=(),
        origin=Origin(stamp, seq),
        buckets=ShardBuckets(),
    )


def names_of(state: ClusterState) -> set[str]:
    """The ready files that some replica consists of."""
    return {name for _, shard in every_shard(state) for name in shard.restored.values()}
