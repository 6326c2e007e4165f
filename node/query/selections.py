"""What a filter selects under one view, remembered while the view is in use.

The same filters are asked again and again (a tenant's, a category's), and a view never changes. Only what
payload indexes alone decide is kept, because it holds on to nothing but its own arrays.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

import msgspec

from node.filter.evaluate import Selection
from protos.filters import Filter

if TYPE_CHECKING:
    from node.query.view_port import View

_BYTES_MAX: Final = 8 << 20  # per view
_COUNT_MAX: Final = 256

_encode = msgspec.msgpack.Encoder().encode


class _Kept:
    """Of one view, the least recently used first."""

    def __init__(self) -> None:
        self.selections: OrderedDict[bytes, Selection] = OrderedDict()
        self.size = 0

    def add(self, key: bytes, selection: Selection) -> None:
        if key in self.selections:
            return
        self.selections[key] = selection
        self.size += _bytes_of(key, selection)
        while self.size > _BYTES_MAX or len(self.selections) > _COUNT_MAX:
            self.size -= _bytes_of(*self.selections.popitem(last=False))


_kept: WeakKeyDictionary[View, _Kept] = WeakKeyDictionary()
_lock = threading.Lock()


def selected(view: View, filter: Filter, evaluate: Callable[[], Selection]) -> Selection:
    """The selection of ``filter``, by ``evaluate`` unless it is known. Safe from many threads."""
    try:
        key = _encode(filter)  # by encoding, not by ==: to Python the filters for 1 and for true are equal
    except OverflowError:  # an integer of more than 64 bits
        return evaluate()
    with _lock:
        kept = _kept.get(view)
        if kept is not None and (known := kept.selections.get(key)) is not None:
            kept.selections.move_to_end(key)
            return known
    found = evaluate()
    if found.residue is None:
        with _lock:
            kept = _kept.get(view)
            if kept is None:
                kept = _kept[view] = _Kept()
            kept.add(key, found)
    return found


def _bytes_of(key: bytes, selection: Selection) -> int:
    return len(key) + sum(part.nbytes for part in (selection.bits, selection.slots) if part is not None)
