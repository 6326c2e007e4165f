"""What the files of a base are, told by sums, so that two nodes can tell which of them they both have.

Files that are written once are not read: a finished segment's manifest and a checkpoint's record hold
checksums of them already, and their names are nobody else's. Files that change in place (the points, growing
segments) are told block by block, each block by a BLAKE2b sum of ``DIGEST_BYTES``.
May not live here: comparing, archives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from node.client.snapshots import FileState
from node.replica.checkpoint import COLUMNS_DIRECTORY, POINTS_FILE, SEGMENTS_DIRECTORY
from node.segments.growing import read_header
from node.segments.layout import layout_of
from node.segments.manifest import read_manifest
from node.transfer.export import Base, BaseFile
from protos.errors import BadInput

DIGEST_BYTES = 16
BLOCK_BYTES_MIN, BLOCK_BYTES_MAX = 16 << 10, 64 << 20
_BLOCKS_MAX = 1 << 16  # of one file, as long as its blocks are not the largest


def states_of(base: Base, block_bytes: Mapping[str, int] | None = None) -> dict[str, FileState]:
    """By path. ``block_bytes``: of files whose blocks are to be told; None: of all that have some.

    Raises: OSError, SegmentError.
    """
    changing, sums = changing_files(base), dict(_known_sums(base))
    return {
        file.path: _by_blocks(base.directory, file, block_bytes)
        if file.path in changing
        else FileState(file.size, sums.get(file.path) or _read(base.directory / file.path))
        for file in base.files
    }


def changing_files(base: Base) -> frozenset[str]:
    """The paths of files that change in place. Raises: OSError, SegmentError."""
    found = {POINTS_FILE}
    for entry in base.meta.segments if base.meta is not None else ():
        if entry.growing:
            part = f"{SEGMENTS_DIRECTORY}/{entry.id}"
            for position, schema in enumerate(read_header(base.directory / part).schemas):
                found |= {f"{part}/{file.name}" for file in layout_of(schema, position).files}
    return frozenset(found)


def _known_sums(base: Base) -> Iterator[tuple[str, str]]:
    """Of files whose checksums are kept elsewhere."""
    if base.meta is None:
        return
    for saved in base.meta.columns.saved_files():
        yield f"{COLUMNS_DIRECTORY}/{saved.name}", digest(b"%d" % saved.crc32c).hex()
    for entry in base.meta.segments:
        if not entry.growing:
            part = f"{SEGMENTS_DIRECTORY}/{entry.id}"
            for file in read_manifest(base.directory / part).files:
                blocks = b"".join(block.to_bytes(4, "little") for block in file.blocks)
                yield f"{part}/{file.name}", digest(blocks).hex()


def _read(path: Path) -> str:
    return digest(path.read_bytes()).hex()


def _by_blocks(directory: Path, file: BaseFile, wanted: Mapping[str, int] | None) -> FileState:
    size = _fitting(file.size) if wanted is None else wanted.get(file.path, 0)
    if not size:
        return FileState(file.size, "")
    blocks = _digests(directory / file.path, size)
    return FileState(file.size, digest(blocks).hex(), size, blocks)


def _fitting(size: int) -> int:
    block_bytes = BLOCK_BYTES_MIN
    while size > block_bytes * _BLOCKS_MAX and block_bytes < BLOCK_BYTES_MAX:
        block_bytes *= 2
    return block_bytes


def _digests(path: Path, block_bytes: int) -> bytes:
    with path.open("rb", buffering=0) as file:
        return b"".join(digest(block) for block in iter(lambda: file.read(block_bytes), b""))


def digest(data: bytes | memoryview) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def check_states(files: Mapping[str, FileState]) -> None:
    """Raises: BadInput for what ``states_of`` does not make."""
    for path, state in files.items():
        if not state.block_bytes:
            continue
        size = state.block_bytes
        if size & (size - 1) or not BLOCK_BYTES_MIN <= size <= BLOCK_BYTES_MAX:
            raise BadInput(f"The manifest has blocks of {size} bytes in {path!r}")
        if state.size < 0 or len(state.blocks) != -(-state.size // size) * DIGEST_BYTES:
            raise BadInput(f"The manifest does not tell all blocks of {path!r}")
