"""A payload index that is built beside the writer, and the slots that changed meanwhile.

The writer reports what it changes (``missed``); whoever builds reads some state of the points, and then those
slots again in later states, until few are left for the writer itself. Only the writer's thread touches the
missed slots.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from node.filter.columns.column import Column
from protos.collections import PayloadIndexParams

_CHUNK = 64  # payloads read into an index between two chances for reads to run

Payload = dict[str, Any]


class Draft:
    """``column`` belongs to one thread at a time: who builds, then the writer."""

    def __init__(self, field: str, params: PayloadIndexParams) -> None:
        self.field, self.params = field, params
        self.column = Column(field, params)
        self.complete = False
        self._missed: set[int] = set()

    def fill(self, scan: Iterable[tuple[int, Payload]]) -> None:
        """Take in every slot of some state, with its payload."""
        rest = iter(scan)
        while chunk := list(itertools.islice(rest, _CHUNK)):
            slots, payloads = zip(*chunk, strict=True)
            self.column.put(slots, payloads)
        self.column.rebuild()
        self.complete = True

    def catch_up(self, slots: Sequence[int], payloads: Sequence[Payload | None]) -> None:
        """Take in distinct ``slots`` as they are in a later state; None: nothing is there any more."""
        there = [
            (slot, payload) for slot, payload in zip(slots, payloads, strict=True) if payload is not None
        ]
        gone = [slot for slot, payload in zip(slots, payloads, strict=True) if payload is None]
        self.column.remove(gone)
        if there:
            self.column.put(*zip(*there, strict=True))

    # --- in the writer's thread ------------------------------------------------------------------------

    def miss(self, slots: Iterable[int]) -> None:
        self._missed.update(slots)

    def count_missed(self) -> int:
        return len(self._missed)

    def missed(self) -> list[int]:
        """The slots that changed since the state that was read last, or since this was last asked."""
        missed, self._missed = sorted(self._missed), set()
        return missed
