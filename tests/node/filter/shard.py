"""A shard as filters see one, in memory: points with payloads, live bits, columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from consensus.buckets import all_in
from node import bits
from node.filter.check import compile_check
from node.filter.columns import Columns
from node.filter.evaluate import Context, Selection, evaluate
from protos.filters import Filter
from protos.ids import PointId, id_from_key, id_key

Payload = dict[str, Any]


class Shard:
    """``vectors`` holds the slots that have a vector, by name."""

    def __init__(self, columns: Columns | None = None) -> None:
        self.columns = Columns() if columns is None else columns
        self.payloads: dict[int, Payload] = {}
        self.keys: dict[bytes, int] = {}
        self.vectors: dict[str, set[int]] = {}
        self._next = 0

    def put(self, point_id: PointId, payload: Payload) -> int:
        """A new version of a point takes a new slot."""
        self.remove(point_id)
        slot, self._next = self._next, self._next + 1
        self.keys[id_key(point_id)] = slot
        self.edit(slot, payload)
        return slot

    def edit(self, slot: int, payload: Payload) -> None:
        self.payloads[slot] = payload
        self.columns.put([slot], [payload])

    def remove(self, point_id: PointId) -> None:
        slot = self.keys.pop(id_key(point_id), None)
        if slot is not None:
            del self.payloads[slot]
            self.columns.remove([slot])

    def slot_of(self, key: bytes) -> int:
        return self.keys.get(key, -1)

    def slots_of(self, keys: Sequence[bytes]) -> npt.NDArray[np.int64]:
        return np.array([self.slot_of(key) for key in keys], dtype=np.int64)

    def iter_ids(self, start: bytes | None) -> Iterator[tuple[bytes, int]]:
        return iter(sorted(self.keys.items()))

    @property
    def live(self) -> bits.PackedBits:
        return bits.pack(np.array(sorted(self.payloads), dtype=np.int64), bits.size_for(self._next))

    def context(self) -> Context:
        def has_vector(name: str) -> bits.PackedBits:
            slots = np.array(sorted(self.vectors.get(name, ())), dtype=np.int64)
            return bits.pack(slots, bits.size_for(self._next))

        def in_buckets(buckets: bytes) -> bits.PackedBits:
            slots = [slot for key, slot in self.keys.items() if all_in((key,), buckets)]
            return bits.pack(np.array(slots, dtype=np.int64), bits.size_for(self._next))

        return Context(self.columns.view(), self, self.live, has_vector, in_buckets)

    def select(self, filter: Filter) -> Selection:
        return evaluate(filter, self.context())

    def candidates(self, selection: Selection) -> list[int]:
        return bits.unpack(selection.packed(len(self.live))).tolist()

    def matches(self, filter: Filter) -> list[int]:
        """By the indexes, and the residue where they leave one."""
        selection = self.select(filter)
        slots = self.candidates(selection)
        if selection.residue is None:
            return slots
        ids = {slot: id_from_key(key) for key, slot in self.keys.items()}
        return [slot for slot in slots if selection.residue(ids[slot], self.payloads[slot])]

    def checked(self, filter: Filter) -> list[int]:
        """By checking every payload."""
        check = compile_check(filter, self.columns.view().fields)
        return [
            slot
            for key, slot in sorted(self.keys.items(), key=lambda item: item[1])
            if check(id_from_key(key), self.payloads[slot], self._names(slot))
        ]

    def _names(self, slot: int) -> list[str]:
        return [name for name, slots in self.vectors.items() if slot in slots]
