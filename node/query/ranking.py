"""Ranking: merging per-segment results and the order of equal scores. Pure array code.

Lives here: rules that need scores and slots only. May not live here: views, records, FAISS.

Invariants: rows are best first; slot -1 marks padding and never reaches a caller of ``trim``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from node.bits import Slots
from protos.shard import FloatArray


def merge_segments(parts: Sequence[tuple[Slots, FloatArray]], k: int) -> tuple[Slots, FloatArray]:
    """Merge per-segment results into the k best of each query.

    Args:
        parts: per segment ``(slots, similarities)``, both (nq, k_i), best first, padded with slot -1.
        k: columns wanted; the answer has fewer when the parts hold fewer.
    """
    if len(parts) == 1:
        return parts[0]
    slots = np.concatenate([part[0] for part in parts], axis=1)
    similarities = np.concatenate([part[1] for part in parts], axis=1)
    if len(slots) == 1 and slots.min(initial=0) >= 0:
        order = (-similarities[0]).argsort(kind="stable")[:k]
        return slots[:, order], similarities[:, order]
    ranked = np.where(slots < 0, np.float32(np.inf), -similarities)
    order = np.argsort(ranked, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(slots, order, axis=1), np.take_along_axis(similarities, order, axis=1)


def trim(slots: Slots, similarities: FloatArray) -> tuple[Slots, FloatArray]:
    """Drop the padding of one query's row."""
    if len(slots) == 0 or slots[-1] >= 0:
        return slots, similarities
    found = slots >= 0
    return slots[found], similarities[found]


def within_threshold(scores: FloatArray, threshold: float, *, descending: bool) -> int:
    """How many of the leading ``scores`` pass; the comparison is strict (reference 9.4)."""
    limit = np.float32(threshold)
    failing = np.flatnonzero(~(scores > limit if descending else scores < limit))
    return int(failing[0]) if len(failing) else len(scores)


def end_of_ties(scores: FloatArray, limit: int) -> int:
    """Length of the prefix holding the first ``limit`` scores and all that equal the last of them."""
    if len(scores) <= limit:
        return len(scores)
    if scores[limit] != scores[limit - 1]:
        return limit
    return limit + int(np.count_nonzero(scores[limit:] == scores[limit - 1]))


def order_ties(scores: FloatArray, keys: Sequence[bytes], *, descending: bool) -> list[int] | None:
    """Positions in final order, or None when no two scores are equal and the order stands.

    Equal scores go by id: the larger first in descending order, the smaller in ascending (reference 9.4).
    """
    values = scores.tolist()
    if len(set(values)) == len(values):
        return None
    return sorted(range(len(values)), key=lambda i: (values[i], keys[i]), reverse=descending)
