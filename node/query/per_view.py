"""What searches need of a view and what never changes while the view lives, made once for each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from node.query.view_port import View

T = TypeVar("T")


class PerView(Generic[T]):
    """``make``'s value for each view, made when first asked for and gone with the view.

    It must not hold on to the view. Safe from many threads, which may make it more than once.
    """

    def __init__(self, make: Callable[[View], T]) -> None:
        self._make = make
        self._made: WeakKeyDictionary[View, T] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def __call__(self, view: View) -> T:
        made = self._made.get(view)
        if made is None:
            made = self._make(view)
            with self._lock:
                made = self._made.setdefault(view, made)
        return made
