"""Files of graphs: FAISS's own format behind a few bytes, so that codes begin where a line of the cache does.

A code that lies across one more line than it has to costs a walk a fifth of its time
(docs/decisions/0012-native-walk.md). Where codes begin is FAISS's choice, but for what comes before it.

Layout: ``MAGIC``, how many bytes come before FAISS's data (u32, little-endian; itself and the magic are
counted), zeros, FAISS's data. Files without the magic, as they were written up to 0.3, are FAISS's alone.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np

from node.index.library import faiss

MAGIC = b"vecraft graph\n"

_LINE_BYTES = 64  # of the processor's cache
_LENGTH_BYTES = 4


def write(index: Any, path: Path, codes_bytes: int) -> None:
    """``codes_bytes``: of the codes with which FAISS's data ends; those of some kinds do not come last."""
    size = 0

    def count(part: bytes) -> int:
        nonlocal size
        size += len(part)
        return len(part)

    faiss.write_index(index, faiss.PyCallbackIOWriter(count))
    least = len(MAGIC) + _LENGTH_BYTES
    before = least + -(least + size - codes_bytes) % _LINE_BYTES
    with path.open("wb") as file:
        file.write(MAGIC + before.to_bytes(_LENGTH_BYTES, "little"))
        file.write(bytes(before - least))
        faiss.write_index(index, faiss.PyCallbackIOWriter(file.write))


def open_mapped(path: Path) -> Any:
    """FAISS's index, whose data is read as it is touched.

    Raises: OSError if there is no such file, RuntimeError if FAISS cannot read it.
    """
    with path.open("rb") as file:
        start = file.read(len(MAGIC) + _LENGTH_BYTES)
        if not start.startswith(MAGIC):
            return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        pages = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
    pages.madvise(mmap.MADV_RANDOM)  # as FAISS does: what lies beside a code is not what a walk wants next
    data = np.frombuffer(pages, dtype=np.uint8)[int.from_bytes(start[len(MAGIC) :], "little") :]
    index = faiss.read_index(faiss.ZeroCopyIOReader(faiss.swig_ptr(data), len(data)))
    index.referenced_objects = [data]  # it points into it
    return index
