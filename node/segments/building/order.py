"""In which order a compaction lays rows out. Pure.

Rows of one tenant (``is_tenant``) come to lie side by side, and within a tenant by the principal key
(``is_principal``): reading a tenant, or a range of the key within it, touches the fewest pages. Rows that
agree in all of that keep the order they had. Only this decides where rows lie; the order of a graph's nodes
is another matter (``nodes``): there the near ones are put together, whatever order the rows have.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ranks = npt.NDArray[np.int64]


def row_order(keys: Sequence[Ranks]) -> Ranks | None:
    """The rows (n,) in their new order; None: as they are. ``keys``: (n,) each, the weightiest first."""
    if not keys:
        return None
    order: Ranks = np.lexsort(tuple(reversed(keys)))  # stable
    return None if np.array_equal(order, np.arange(len(order))) else order
