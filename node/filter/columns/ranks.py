"""The order of slots by the values of a payload index, for laying rows out on disk.

Arrays throughout, but for the distinct strings that came since the base was made. May not live here: what is
laid out, and by which fields (``node.optimizer``).
"""

from __future__ import annotations

import bisect

import numpy as np
import numpy.typing as npt

from node import bits
from node.bits import Mask
from node.filter.columns.base import Values
from node.filter.columns.delta import Codes
from node.filter.columns.dictionary import Dictionary
from node.filter.columns.view import ColumnView

Ranks = npt.NDArray[np.int64]


def ranks(view: ColumnView, start: int, count: int) -> Ranks:
    """(count,): the rank of each slot's least value, among slots [start, start + count); -1: none."""
    base, delta = view.base, view.delta
    kept = _within(base.slots, start, count)
    if len(view.stale):
        kept &= ~bits.contains(view.stale, base.slots)
    recent = delta.living(_within(delta.slots, start, count))
    slots = np.concatenate([base.slots[kept], delta.slots[recent]]).astype(np.int64) - start
    old, new = base.values[kept], delta.values[recent]
    if delta.codes is not None:
        assert base.dictionary is not None
        old, new = _places(old, new, delta.codes, base.dictionary)
    found = np.full(count, -1, dtype=np.int64)
    if len(slots):
        ranked = np.unique(np.concatenate([old, new]), return_inverse=True)[1]
        order = np.argsort(-ranked, kind="stable")
        found[slots[order]] = ranked[order]  # of several values the last one written, the least, stays
    return found


def _within(slots: npt.NDArray[np.uint32], start: int, count: int) -> Mask:
    return (slots >= start) & (slots < start + count)


def _places(old: Values, new: Values, codes: Codes, dictionary: Dictionary) -> tuple[Ranks, Ranks]:
    """Numbers that order the strings of both: ``old`` are codes of ``dictionary``, ``new`` of ``codes``."""
    distinct = np.unique(new).tolist()
    texts = sorted((codes.strings[code].encode(), code) for code in distinct)
    width = len(texts) + 1
    place = np.zeros(max(distinct, default=0) + 1, dtype=np.int64)
    for i, (text, code) in enumerate(texts):
        at = bisect.bisect_left(dictionary, text)
        known = at < len(dictionary) and dictionary[at] == text
        place[code] = at * width + (len(texts) if known else i)
    return old.astype(np.int64) * width + len(texts), place[new] if len(new) else new.astype(np.int64)
