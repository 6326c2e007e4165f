"""Partial archives: what a shard's files lack to be another's.

As ``archive``, with ``changes.json`` behind the description: every file that there is to be, and whether it
is there already, comes whole (``shards/<id>/<file>``), or some of its blocks do (``blocks/<id>/<file>``, one
after another). So an archive says completely what comes out of it, and is refused where that does not.
May not live here: what files are (``states``), whose they are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec
import numpy as np
from crc32c import crc32c
from msgspec import Struct

from node.client.snapshots import FileState, PartialManifest, SnapshotDescription
from node.snapshots.archive import ArchiveWriter, Checked, finish_shard, shard_file, write_member
from node.snapshots.states import DIGEST_BYTES, changing_files, digest, states_of
from node.snapshots.tar import ArchiveDamaged, Member, Sink
from node.transfer.export import Base, BaseFile
from node.transfer.files import is_base_path
from protos.files import write_all

CHANGES = "changes.json"
FORMAT = 1
_CHANGES_BYTES_MAX = 64 << 20
_BLOCKS = re.compile(r"blocks/(0|[1-9][0-9]{0,9})/(.+)")


class Change(Struct, frozen=True, omit_defaults=True):
    """A file as it is to be. ``sum``: as ``FileState``'s, empty if it comes whole. ``blocks``: which of its
    blocks come; with ``block_bytes`` 0 and not ``whole`` it is to be there already."""

    size: int
    sum: str = ""
    whole: bool = False
    block_bytes: int = 0
    blocks: tuple[int, ...] = ()


class Changes(Struct, frozen=True):
    """``files``: all that there are to be, by path."""

    format: int
    files: dict[str, Change]


# --- what differs ---------------------------------------------------------------------------------------


def changes_between(base: Base, theirs: PartialManifest) -> Changes:
    """What ``theirs`` needs to become ``base``. Raises: OSError, SegmentError."""
    told = {path: state.block_bytes for path, state in theirs.files.items() if state.block_bytes}
    ours, changing = states_of(base, told), changing_files(base)
    files = {
        path: _of_blocks(state, theirs.files.get(path))
        if path in changing
        else _of_whole(state, theirs.files.get(path))
        for path, state in ours.items()
    }
    return Changes(FORMAT, files)


def _of_whole(ours: FileState, theirs: FileState | None) -> Change:
    if theirs is not None and (theirs.size, theirs.sum) == (ours.size, ours.sum):
        return Change(ours.size, ours.sum)
    return Change(ours.size, whole=True)


def _of_blocks(ours: FileState, theirs: FileState | None) -> Change:
    if theirs is None or not theirs.block_bytes:
        return Change(ours.size, whole=True)
    mine, others = _rows(ours.blocks), _rows(theirs.blocks)
    shared = min(len(mine), len(others))
    differ = np.ones(len(mine), dtype=bool)
    differ[:shared] = (mine[:shared] != others[:shared]).any(axis=1)
    return Change(
        ours.size, ours.sum, block_bytes=ours.block_bytes, blocks=tuple(np.flatnonzero(differ).tolist())
    )


def _rows(blocks: bytes) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    return np.frombuffer(blocks, dtype=np.uint8).reshape(-1, DIGEST_BYTES)


# --- writing --------------------------------------------------------------------------------------------


def write_changes(
    sink: Sink, description: SnapshotDescription, shard_id: int, base: Base, changes: Changes
) -> None:
    """Raises: OSError, SegmentError."""
    writer = ArchiveWriter(sink, description)
    writer.add_whole(CHANGES, msgspec.json.encode(changes))
    for path, change in sorted(changes.files.items()):
        if change.whole:
            writer.add_file(shard_id, base.directory, BaseFile(path, change.size))
        elif change.blocks:
            size = sum(_block_size(change, block) for block in change.blocks)
            writer.add(f"blocks/{shard_id}/{path}", size, _read_blocks(base.directory / path, change))
    writer.end()


def _block_size(change: Change, block: int) -> int:
    return min(change.block_bytes, change.size - block * change.block_bytes)


def _read_blocks(path: Path, change: Change) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        for block in change.blocks:
            yield os.pread(file.fileno(), change.block_bytes, block * change.block_bytes)


# --- reading --------------------------------------------------------------------------------------------


class Completing:
    """A shard's files made of an archive and of what is there already, below ``own``, which is used up.

    Implements ``archive.Taking``. ``states``: of what is there, by path; ``place(shard id)`` must not exist.
    """

    def __init__(
        self,
        description: SnapshotDescription,
        own: Path,
        states: Mapping[str, FileState],
        place: Callable[[int], Path],
    ) -> None:
        if len(description.shards) != 1:
            raise ArchiveDamaged(f"it describes {len(description.shards)} shards, not one")
        self._shard_id = description.shards[0].id
        self._own, self._states, self._place = own, states, place(self._shard_id)
        self._changes: Changes | None = None
        self._missing: set[str] = set()
        self._place.mkdir(parents=True)

    def take(self, member: Member) -> Checked:
        if self._changes is None:
            return self._begin(member)
        match = _BLOCKS.fullmatch(member.name)
        shard_id, path = shard_file(member.name) if match is None else (int(match[1]), match[2])
        change = self._changes.files.get(path)
        if shard_id != self._shard_id or path not in self._missing or change is None:
            raise ArchiveDamaged(f"no change of the shard has a file {member.name!r}")
        if change.whole != (match is None) or (change.whole and member.size != change.size):
            raise ArchiveDamaged(f"{member.name!r} is not what {CHANGES} says of it")
        self._missing.discard(path)
        if match is None:
            return write_member(self._place / path, member)
        return self._patch(path, change, member)

    def finish(self) -> None:
        if self._changes is None or self._missing:
            raise ArchiveDamaged(f"it ends without {sorted(self._missing) or CHANGES}")
        finish_shard(self._place)

    def _begin(self, member: Member) -> Checked:
        """Bring the files that are there to their places."""
        data = member.whole(_CHANGES_BYTES_MAX)
        self._changes = changes = _decoded(member.name, data)
        for path, change in changes.files.items():
            (self._place / path).parent.mkdir(parents=True, exist_ok=True)
            if change.whole or change.blocks:
                self._missing.add(path)
            elif change.block_bytes:
                self._patch(path, change, None)
            else:
                self._keep(path, change)
        return Checked(len(data), crc32c(data))

    def _keep(self, path: str, change: Change) -> None:
        state = self._states.get(path)
        if state is None or state.block_bytes or (state.size, state.sum) != (change.size, change.sum):
            raise _made_for_others(path)
        os.rename(self._own / path, self._place / path)

    def _patch(self, path: str, change: Change, member: Member | None) -> Checked:
        """Blocks into a file, which is then synced."""
        state = self._states.get(path)
        count = -(-change.size // max(1, change.block_bytes))
        if state is None or state.block_bytes != change.block_bytes:
            raise _made_for_others(path)
        if count > len(state.blocks) // DIGEST_BYTES + len(change.blocks):
            raise ArchiveDamaged(f"{path!r} is to have {count} blocks, and most of them are nowhere")
        os.rename(self._own / path, self._place / path)
        digests = _rows(state.blocks)[:count]
        new = np.zeros((count, DIGEST_BYTES), dtype=np.uint8)
        new[: len(digests)] = digests
        fd, crc = os.open(self._place / path, os.O_WRONLY | os.O_CLOEXEC), 0
        try:
            os.ftruncate(fd, change.size)
            for block in change.blocks if member is not None else ():
                if not 0 <= block < len(new):
                    raise ArchiveDamaged(f"{path!r} has no block {block}")
                assert member is not None
                data = member.exactly(_block_size(change, block))
                crc = crc32c(data, crc)
                os.lseek(fd, block * change.block_bytes, os.SEEK_SET)
                write_all(fd, [data])
                new[block] = np.frombuffer(digest(data), dtype=np.uint8)
            os.fsync(fd)
        finally:
            os.close(fd)
        if digest(new.tobytes()).hex() != change.sum:
            raise _made_for_others(path)
        return Checked(0 if member is None else member.size, crc)


_decoder = msgspec.json.Decoder(Changes)


def _decoded(name: str, data: bytes) -> Changes:
    """Raises: ArchiveDamaged."""
    if name != CHANGES:
        raise ArchiveDamaged(f"{name!r} comes where {CHANGES} should")
    try:
        changes = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ArchiveDamaged(f"{CHANGES} makes no sense: {error}") from error
    if changes.format != FORMAT:
        raise ArchiveDamaged(f"{CHANGES} has format {changes.format}, this program knows {FORMAT}")
    for path, change in changes.files.items():
        if not is_base_path(path) or change.size < 0 or change.block_bytes < 0:
            raise ArchiveDamaged(f"no shard has a file {path!r}")
    return changes


def _made_for_others(path: str) -> ArchiveDamaged:
    return ArchiveDamaged(
        f"{path!r} is not what it is to be made of: the partial snapshot was made for other files than the"
        " shard has now; make one for its manifest as it is"
    )
