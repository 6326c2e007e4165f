"""Changes to points that no checkpoint has stored yet: an immutable layer above the file.

A ``Layer`` maps id keys to slots (-1: removed) and slots to packed records (None: dropped), in
persistent hash maps, so that every view keeps its own version at the price of the changes alone.

Scrolling needs keys in order. Sorting the layer for each view would cost far more than the page
asked for, so keys are also kept in sorted *runs*: each batch adds one, and a run is merged with its
predecessor unless that is more than twice as long. There are O(log n) of them and a key is
merged O(log n) times. A key is in exactly one run of its layer.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from immutables import Map
from msgspec import Struct

REMOVED = -1

Ids = Map[bytes, int]
Records = Map[int, bytes | None]
Runs = tuple[list[bytes], ...]  # the lists are shared by views and never change


class Layer(Struct, frozen=True):
    """``size_bytes`` is an estimate of the memory held."""

    ids: Ids = Map()
    records: Records = Map()
    runs: Runs = ()
    size_bytes: int = 0

    def __bool__(self) -> bool:
        return bool(self.records) or bool(self.ids)

    def key_at(self, start: bytes, ahead: int) -> bytes | None:
        """Return a key such that at most ``ahead`` keys of each run are in start..key; None: all are."""
        bounds = (run[at + ahead - 1] for run, at in self._positions(start) if at + ahead < len(run))
        return min(bounds, default=None)

    def changes(self, start: bytes, until: bytes | None) -> dict[bytes, int]:
        """Return key -> slot for the keys in start..until (both inclusive; None: to the end)."""
        found: dict[bytes, int] = {}
        for run, at in self._positions(start):
            end = len(run) if until is None else bisect_right(run, until)
            found.update((key, self.ids[key]) for key in run[at:end])
        return found

    def _positions(self, start: bytes) -> list[tuple[list[bytes], int]]:
        return [(run, bisect_left(run, start)) for run in self.runs]


EMPTY_LAYER = Layer()


def add_run(runs: Runs, keys: list[bytes]) -> Runs:
    """Return ``runs`` with new keys, none of which is in any run."""
    if not keys:
        return runs
    kept, run = list(runs), sorted(keys)
    while kept and len(kept[-1]) <= 2 * len(run):
        run = sorted(kept.pop() + run)  # two ascending runs: the sort merges them in linear time
    return (*kept, run)


def stacked(lower: Layer, upper: Layer) -> Layer:
    """Return one layer that reads like ``upper`` above ``lower``."""
    if not lower:
        return upper
    new_keys = [key for key in upper.ids if key not in lower.ids]
    return Layer(
        ids=lower.ids.update(upper.ids),
        records=lower.records.update(upper.records),
        runs=add_run(lower.runs, new_keys),
        size_bytes=lower.size_bytes + upper.size_bytes,
    )
