"""Which pages of files are in memory now, by asking the kernel (``mincore``)."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]


def map_file(path: Path) -> mmap.mmap | None:
    """The whole file, to read; None: it is empty, which cannot be mapped. Raises: OSError."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return None
        return mmap.mmap(file.fileno(), 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)


def address_of(pages: mmap.mmap) -> int:
    return int(np.frombuffer(pages, dtype=np.uint8).ctypes.data)


def resident_bytes(pages: mmap.mmap | None) -> int:
    """Of a map's bytes those in the page cache. Raises: OSError."""
    return 0 if pages is None else _resident(address_of(pages), len(pages))


def resident_bytes_of_array(array: npt.NDArray[Any]) -> int:
    """Of a mapped, contiguous array, rounded up to whole pages. Raises: OSError."""
    if not array.nbytes:
        return 0
    address = int(array.ctypes.data)
    before = address % mmap.PAGESIZE
    return _resident(address - before, array.nbytes + before)


def _resident(address: int, length: int) -> int:
    flags = np.empty(-(-length // mmap.PAGESIZE), dtype=np.uint8)
    if _libc.mincore(address, length, flags.ctypes.data) != 0:
        raise OSError(ctypes.get_errno(), "mincore")
    return min(length, int(np.count_nonzero(flags & 1)) * mmap.PAGESIZE)
