"""Points at random: every matching point is as likely as any other to be among those returned."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from node.bits import Slots
from node.query.matching import Candidates

Positions = npt.NDArray[np.intp]
_CHUNK_MIN = 64  # payloads checked at a time


def sampled_slots(candidates: Candidates, limit: int, seed: int) -> tuple[Slots, list[float]]:
    """The ``limit`` matches with the smallest random numbers, and these numbers, ascending.

    Numbers instead of a choice, because the samples of several shards then merge into a fair one.
    """
    slots = candidates.slots()
    numbers = np.random.default_rng(seed).random(len(slots))
    chosen = _matching(candidates, slots, _ascending(numbers, limit if candidates.exact else None), limit)
    return slots[chosen], numbers[chosen].tolist()


def _ascending(numbers: npt.NDArray[np.float64], limit: int | None) -> Positions:
    """Positions of the ``limit`` smallest (None: of all)."""
    if limit is None or limit >= len(numbers):
        return np.argsort(numbers)
    smallest = np.argpartition(numbers, limit)[:limit]
    return smallest[np.argsort(numbers[smallest])]


def _matching(candidates: Candidates, slots: Slots, order: Positions, limit: int) -> Positions:
    """The first ``limit`` positions in ``order`` whose slots match."""
    found, missing, size = [order[:0]], limit, max(limit, _CHUNK_MIN)
    for at in range(0, len(order), size):
        chunk = order[at : at + size]
        found.append(chunk[candidates.check(slots[chunk])][:missing])
        missing -= len(found[-1])
        if not missing:
            break
    return np.concatenate(found)
