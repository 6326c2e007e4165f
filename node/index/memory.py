"""Memory for what walks read at random: codes and links of a graph while it is built.

It begins with a line of the processor's cache, as what the allocator gives never does: a code of three lines
would lie across four. And it lies in large pages where the kernel has them: a processor knows where more of
it is then (``docs/decisions/0012-native-walk.md``).
"""

from __future__ import annotations

import mmap
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from node.index.library import faiss


def zeros(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Pages are taken as they are written to, and given back with the last view of them."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    pages = mmap.mmap(-1, max(1, size), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel without large pages
        pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, dtype=np.uint8, count=size).view(dtype).reshape(shape)


def lend(array: npt.NDArray[Any], vector: Any, borrower: Any) -> None:
    """Have ``vector``, a part of FAISS's ``borrower``, be ``array``, which lives as long as that."""
    at = faiss.swig_ptr(array.reshape(-1))
    vector.is_owned, vector.view_data, vector.view_size = False, at, array.size
    vector.c_ptr, vector.c_size = at, array.size
    vector.owned_data.swap(type(vector.owned_data)())  # give back what it had
    borrower.referenced_objects = [*getattr(borrower, "referenced_objects", []), array]
