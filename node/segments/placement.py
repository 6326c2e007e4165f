"""Where the pages of a finished segment's files live, and what they cost in RAM.

Files are always mapped; a placement says what is done beyond that. Pages belong to the file, not to a map:
locking or reading them through a map of one's own serves every other map of the file, FAISS's too.

| placement | what is done |
|---|---|
| cold | nothing: pages are read when they are touched |
| cached | the kernel is asked to read the file ahead; it may drop the pages again |
| pinned | pages are locked, within RLIMIT_MEMLOCK; beyond it the file is cached and that is logged |

Source: reference 7.3 (``/memory``), 12.
"""

from __future__ import annotations

import ctypes
import mmap
from pathlib import Path

from msgspec import Struct

from node.residency import address_of, map_file, resident_bytes
from protos.collections import CollectionConfig, Memory, SparseIndexParams
from protos.logger import get_logger
from protos.memory import Usage

log = get_logger()

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
STORAGE, INDEX = "storage", "index"
_ORDER = (Memory.COLD, Memory.CACHED, Memory.PINNED)


class Placements(Struct, frozen=True):
    """Of the files of one vector name. ``index``: links and codes, which share a file."""

    vectors: Memory = Memory.CACHED
    index: Memory = Memory.CACHED

    def at_most(self, ceiling: Memory) -> Placements:
        return Placements(self.vectors.at_most(ceiling), self.index.at_most(ceiling))


def placements_of(config: CollectionConfig, name: str) -> Placements:
    """What the settings ask for one vector name."""
    if name in config.sparse_vectors:
        index = config.sparse_vectors[name].index or SparseIndexParams()
        return Placements(index=index.memory or (Memory.COLD if index.on_disk else Memory.PINNED))
    vector, hnsw = config.vectors[name], config.hnsw_of(name)
    vectors = vector.memory or (Memory.COLD if vector.on_disk else Memory.CACHED)
    graph = hnsw.memory or (Memory.COLD if hnsw.on_disk else Memory.CACHED)
    quantization = config.quantization_of(name)
    if quantization is not None:
        kinds = (quantization.scalar, quantization.product, quantization.binary, quantization.turbo)
        chosen = next(kind for kind in kinds if kind is not None)
        codes = chosen.memory or (Memory.PINNED if chosen.always_ram else vectors)
        graph = max(graph, codes, key=_ORDER.index)
    return Placements(vectors, graph)


class Placed:
    """One file held where it should be, until nobody refers to this. ``memory``: what was reached."""

    def __init__(self, path: Path, memory: Memory) -> None:
        """Raises: OSError if the file cannot be opened."""
        self.asked = memory
        self._map = map_file(path)
        if memory is Memory.CACHED:
            _read_ahead(self._map)
        if memory is Memory.PINNED and not _lock(self._map):
            log.warning("memory_not_locked", file=str(path), bytes=len(self._map or b""))
            _read_ahead(self._map)
            memory = Memory.CACHED
        self.memory = memory

    def usage(self) -> Usage:
        return _usage(self._map, self.memory)


def usage_of(path: Path, memory: Memory) -> Usage:
    """Of a file that nothing was done for, though ``memory`` asks for it; none if it is gone."""
    try:
        return _usage(map_file(path), memory)
    except FileNotFoundError:
        return Usage()


def _usage(pages: mmap.mmap | None, memory: Memory) -> Usage:
    size = 0 if pages is None else len(pages)
    if memory is Memory.PINNED:
        return Usage(size, ram_bytes=size)
    return Usage(
        size, cached_bytes=resident_bytes(pages), expected_cache_bytes=size if memory is Memory.CACHED else 0
    )


def _read_ahead(pages: mmap.mmap | None) -> None:
    if pages is not None:
        pages.madvise(mmap.MADV_WILLNEED)


def _lock(pages: mmap.mmap | None) -> bool:
    return pages is None or _libc.mlock(address_of(pages), len(pages)) == 0
