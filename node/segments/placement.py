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
import os
from pathlib import Path

import numpy as np
import structlog
from msgspec import Struct

from protos.collections import CollectionConfig, Memory

log = structlog.get_logger()

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
STORAGE, INDEX = "storage", "index"
_ORDER = (Memory.COLD, Memory.CACHED, Memory.PINNED)


class Placements(Struct, frozen=True):
    """Of the files of one vector name. ``index``: links and codes, which share a file."""

    vectors: Memory = Memory.CACHED
    index: Memory = Memory.CACHED


class Usage(Struct, frozen=True):
    """Bytes: in the file; locked in RAM; of it in the page cache now; wanted there."""

    disk_bytes: int = 0
    ram_bytes: int = 0
    cached_bytes: int = 0
    expected_cache_bytes: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.disk_bytes + other.disk_bytes,
            self.ram_bytes + other.ram_bytes,
            self.cached_bytes + other.cached_bytes,
            self.expected_cache_bytes + other.expected_cache_bytes,
        )


def placements_of(config: CollectionConfig, name: str) -> Placements:
    """What the settings ask for one vector name."""
    vector, hnsw = config.vectors[name], config.hnsw_of(name)
    vectors = vector.memory or (Memory.COLD if vector.on_disk else Memory.CACHED)
    index = hnsw.memory or (Memory.COLD if hnsw.on_disk else Memory.CACHED)
    quantization = config.quantization_of(name)
    if quantization is not None:
        kinds = (quantization.scalar, quantization.product, quantization.binary, quantization.turbo)
        chosen = next(kind for kind in kinds if kind is not None)
        codes = chosen.memory or (Memory.PINNED if chosen.always_ram else vectors)
        index = max(index, codes, key=_ORDER.index)
    return Placements(vectors, index)


class Placed:
    """One file held where it should be, until nobody refers to this. ``memory``: what was reached."""

    def __init__(self, path: Path, memory: Memory) -> None:
        """Raises: OSError if the file cannot be opened."""
        self.asked = memory
        self._map = _mapped(path)
        if memory is Memory.CACHED:
            _read_ahead(self._map)
        if memory is Memory.PINNED and not _lock(self._map):
            log.warning("memory_not_locked", file=str(path), bytes=len(self._map or b""))
            _read_ahead(self._map)
            memory = Memory.CACHED
        self.memory = memory

    def usage(self) -> Usage:
        size = 0 if self._map is None else len(self._map)
        resident = _resident_bytes(self._map)
        if self.memory is Memory.PINNED:
            return Usage(size, ram_bytes=size)
        expected = size if self.memory is Memory.CACHED else 0
        return Usage(size, cached_bytes=resident, expected_cache_bytes=expected)


def _mapped(path: Path) -> mmap.mmap | None:
    """None: the file is empty, which cannot be mapped."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return None
        return mmap.mmap(file.fileno(), 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)


def _read_ahead(pages: mmap.mmap | None) -> None:
    if pages is not None:
        pages.madvise(mmap.MADV_WILLNEED)


def _address(pages: mmap.mmap) -> int:
    return int(np.frombuffer(pages, dtype=np.uint8).ctypes.data)


def _lock(pages: mmap.mmap | None) -> bool:
    return pages is None or _libc.mlock(_address(pages), len(pages)) == 0


def _resident_bytes(pages: mmap.mmap | None) -> int:
    if pages is None:
        return 0
    flags = np.empty(-(-len(pages) // mmap.PAGESIZE), dtype=np.uint8)
    if _libc.mincore(_address(pages), len(pages), flags.ctypes.data) != 0:
        raise OSError(ctypes.get_errno(), "mincore")
    return min(len(pages), int(np.count_nonzero(flags & 1)) * mmap.PAGESIZE)
