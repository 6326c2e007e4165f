from typing import Any

import numpy as np
import numpy.typing as npt

def add_postings(
    scores: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int32],
    codes: npt.NDArray[Any],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    factors: npt.NDArray[np.float32],
    bases: npt.NDArray[np.float32],
    /,
) -> bool:
    """For each term and each of its postings: ``scores[row] += code * factor + base``, in 32 bits.

    Args:
        rows, codes: of all postings; codes are float32, float16 or bytes. ``starts``, ``ends``: of each term.

    Arrays are C-contiguous; other threads may run. Returns False, with some added, if a posting is of a row
    that ``scores`` has not. Raises: ValueError for arrays that do not fit each other.
    """

def dot_rows(
    offsets: npt.NDArray[np.int64],
    indices: npt.NDArray[np.uint32],
    values: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int64] | None,
    query: npt.NDArray[np.uint32],
    weights: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    shared: npt.NDArray[np.bool_],
    /,
) -> None:
    """Write the dot products of a query with rows, summed in 64 bits in the order of their elements.

    Args:
        offsets, indices, values: where the elements of each row begin, and what they are.
        rows: which are wanted; None: all. ``query``: its indices, ascending.
        scores, shared: (rows wanted,): the products, and whether they share an index.

    Arrays are C-contiguous; other threads may run. Raises: ValueError for arrays that do not fit each other.
    """
