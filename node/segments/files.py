"""Files of vectors: read-only maps, and the space they take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def map_array(path: Path, dtype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """The start of the file as a read-only array; it must be at least that long."""
    if 0 in shape:
        return np.empty(shape, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r", shape=shape).view(np.ndarray)


def allocated_bytes(paths: list[Path]) -> int:
    """Disk space in use, holes not counted; files that are gone count nothing."""
    total = 0
    for path in paths:
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:
            continue
    return total
