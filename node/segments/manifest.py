"""``segment.json``: what a finished segment consists of, with checksums of every byte.

Its last line is the CRC-32C of the rest, so damage to the manifest itself shows too. A directory without
one was never finished. Writing it is the last step of making a segment.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import crc32c
import msgspec
from msgspec import Struct

from node.index import Code, Encoding, GraphParams, SparseParams
from node.segments.errors import SegmentCorrupted, SegmentIncomplete
from node.segments.packing import PackedEntry
from node.segments.schema import VectorSchema
from node.segments.values import ValueGraphsEntry
from protos.files import replace_synced

# Up to 5 no rows were packed, nor links between signs, up to 4 integers had eight bits, up to 3 all links
# were FAISS's, up to 2 graphs had no twins; 1 had dense float32 vectors only.
FORMAT = 6
MANIFEST_FILE = "segment.json"
BLOCK_BYTES = 1024 * 1024


class FileEntry(Struct, frozen=True):
    """``blocks``: CRC-32C of each BLOCK_BYTES of the file, the last one shorter."""

    name: str
    size: int
    blocks: tuple[int, ...]


class GraphEntry(Struct, frozen=True):
    """``has_rows``: nodes are not all rows in order; their rows are in a file. ``has_twins``: likewise which
    rows equal a node and are none.

    ``encoding`` is None in files of 0.2.0, whose codes need no more than ``code`` to be told.
    """

    params: GraphParams
    code: Code
    has_rows: bool
    encoding: Encoding | None = None
    has_twins: bool = False

    @property
    def stored(self) -> Encoding:
        return self.encoding or Encoding(self.code)


class VectorsEntry(Struct, frozen=True):
    """Vectors of one name; its position in the manifest's list names its files."""

    schema: VectorSchema
    has_present: bool
    graph: GraphEntry | None = None
    value_graphs: ValueGraphsEntry | None = None
    sparse: SparseParams | None = None  # of the inverted index of sparse vectors, which has a file then
    packed: PackedEntry | None = None  # how rows of float32 lie; None: as they are


class Manifest(Struct, frozen=True, kw_only=True):
    format: int = FORMAT
    start: int
    rows: int
    vectors: tuple[VectorsEntry, ...]
    files: tuple[FileEntry, ...]


def describe(path: Path) -> FileEntry:
    """Read the whole file."""
    return FileEntry(path.name, path.stat().st_size, tuple(_block_checksums(path)))


def write_manifest(directory: Path, manifest: Manifest) -> None:
    body = msgspec.json.encode(manifest)
    replace_synced(directory / MANIFEST_FILE, body + f"\n{crc32c.crc32c(body):08x}\n".encode())


_decoder = msgspec.json.Decoder(Manifest)


def read_manifest(directory: Path) -> Manifest:
    """Raises: SegmentIncomplete if there is none, SegmentCorrupted if it is damaged or too new."""
    path = directory / MANIFEST_FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise SegmentIncomplete(directory) from None
    body, _, tail = data.partition(b"\n")
    if tail != f"{crc32c.crc32c(body):08x}\n".encode():
        raise SegmentCorrupted(path, 0, "checksum mismatch")
    try:
        manifest = _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise SegmentCorrupted(path, 0, f"not a manifest this program knows: {error}") from error
    if manifest.format not in range(1, FORMAT + 1):
        raise SegmentCorrupted(path, 0, f"format {manifest.format}, this program knows {FORMAT}")
    return manifest


def check_sizes(directory: Path, manifest: Manifest) -> None:
    """Raises: SegmentCorrupted if a file is missing or not as long as it was: reading it could crash."""
    for entry in manifest.files:
        path = directory / entry.name
        size = path.stat().st_size if path.exists() else -1
        if size != entry.size:
            raise SegmentCorrupted(
                path, max(0, min(size, entry.size)), f"{size} bytes, {entry.size} expected"
            )


def damage(directory: Path, entry: FileEntry) -> Iterator[SegmentCorrupted]:
    """Compare a file with its entry: one finding per damaged block."""
    path = directory / entry.name
    try:
        size, found = path.stat().st_size, list(_block_checksums(path))
    except OSError as error:
        yield SegmentCorrupted(path, 0, f"unreadable: {error}")
        return
    if size != entry.size:
        yield SegmentCorrupted(path, min(size, entry.size), f"{size} bytes, {entry.size} expected")
    for position, (expected, actual) in enumerate(zip(entry.blocks, found, strict=False)):
        if expected != actual:
            yield SegmentCorrupted(path, position * BLOCK_BYTES, "checksum mismatch")


def _block_checksums(path: Path) -> Iterator[int]:
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK_BYTES):
            yield crc32c.crc32c(block)
