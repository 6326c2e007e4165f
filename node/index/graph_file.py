"""Files of graphs: FAISS's own data, behind links of our own where those take less.

A code that lies across one more line of the cache than it has to costs a walk a fifth of its time
(docs/decisions/0012-native-walk.md). Where codes begin is FAISS's choice, but for what comes before it.

Layouts, numbers little-endian:

- graphs that ``node.index.walk`` walks: ``PACKED_MAGIC``, how many bytes come before FAISS's data (u64) and
  how many the shape of the links takes (u64), that as JSON, zeros up to a line of the cache, the links
  (``packed_links``), zeros, and codes as a FAISS index without a graph;
- others: ``MAGIC``, how many bytes come before FAISS's data (u32; itself and the magic are counted), zeros,
  FAISS's data. Segments up to format 3 have such files for all graphs;
- files without either magic, as they were written up to 0.3, are FAISS's alone.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from struct import Struct as Layout
from typing import Any

import msgspec
import numpy as np

from node.index import packed_links
from node.index.library import faiss
from node.index.packed_links import FaissLinks, PackedLinks, Shape, shape_of, size_of

MAGIC = b"vecraft graph\n"
PACKED_MAGIC = b"vecraft packed graph\n"

_LINE_BYTES = 64  # of the processor's cache
_LENGTH_BYTES = 4
_LENGTHS = Layout("<QQ")
_SHAPE_AT = len(PACKED_MAGIC) + _LENGTHS.size
_SHAPE = msgspec.json.Decoder(Shape)


class GraphDamaged(RuntimeError):
    """A file is not what was written, so that nothing can be made of it."""


def write(index: Any, path: Path, codes_bytes: int) -> None:
    """Write a graph of FAISS's.

    ``codes_bytes``: of the codes with which its data ends; those of some kinds do not come last.
    """
    least = len(MAGIC) + _LENGTH_BYTES
    before = _before(index, least, codes_bytes)
    with path.open("wb") as file:
        file.write(MAGIC + before.to_bytes(_LENGTH_BYTES, "little"))
        file.write(bytes(before - least))
        faiss.write_index(index, faiss.PyCallbackIOWriter(file.write))


def write_packed(storage: Any, links: FaissLinks, path: Path, codes_bytes: int) -> bool:
    """Write ``storage``, the codes, and ``links``. False: these cannot be packed, nothing was written."""
    shape = shape_of(links)
    if shape is None:
        return False
    told = msgspec.json.encode(shape)
    start = _aligned(_SHAPE_AT + len(told))
    before = _before(storage, start + size_of(shape), codes_bytes)
    with path.open("wb") as file:
        file.write(PACKED_MAGIC + _LENGTHS.pack(before, len(told)) + told)
        file.flush()
        os.posix_fallocate(file.fileno(), 0, before)  # on a full disk a map of a hole would end the process
        file.seek(before)
        faiss.write_index(storage, faiss.PyCallbackIOWriter(file.write))
    packed_links.write(links, shape, path, start)
    return True


def open_mapped(path: Path) -> tuple[Any, PackedLinks | None]:
    """FAISS's index, whose data is read as it is touched, and packed links; None: it has links of its own.

    Raises: OSError if there is no such file, RuntimeError if FAISS cannot read it, or the links are damaged.
    """
    with path.open("rb") as file:
        start = file.read(max(_SHAPE_AT, len(MAGIC) + _LENGTH_BYTES))
        if not start.startswith((MAGIC, PACKED_MAGIC)):
            return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC), None
        pages = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
    pages.madvise(mmap.MADV_RANDOM)  # as FAISS does: what lies beside a code is not what a walk wants next
    data = np.frombuffer(pages, dtype=np.uint8)
    if start.startswith(MAGIC):
        return _read(data[int.from_bytes(start[len(MAGIC) :][:_LENGTH_BYTES], "little") :]), None
    before, length = _LENGTHS.unpack_from(start, len(PACKED_MAGIC))
    return _read(data[before:]), _read_links(data[:before], length)


def _read(data: Any) -> Any:
    index = faiss.read_index(faiss.ZeroCopyIOReader(faiss.swig_ptr(data), len(data)))
    index.referenced_objects = [data]  # it points into it
    return index


def _read_links(data: Any, length: int) -> PackedLinks:
    try:
        shape = _SHAPE.decode(data[_SHAPE_AT : _SHAPE_AT + length].tobytes())
        return packed_links.read(shape, data[_aligned(_SHAPE_AT + length) :])
    except (msgspec.DecodeError, ValueError) as error:
        raise GraphDamaged(f"packed links cannot be read: {error}") from error


def _aligned(size: int) -> int:
    return -(-size // _LINE_BYTES) * _LINE_BYTES


def _before(index: Any, least: int, codes_bytes: int) -> int:
    """How many bytes, ``least`` or more, must come before FAISS's data so that codes begin with a line."""
    size = 0

    def count(part: bytes) -> int:
        nonlocal size
        size += len(part)
        return len(part)

    faiss.write_index(index, faiss.PyCallbackIOWriter(count))
    return least + -(least + size - codes_bytes) % _LINE_BYTES
