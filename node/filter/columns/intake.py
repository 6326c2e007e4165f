"""What stands at a field in the payloads of some slots, sorted into what a column keeps of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from node.filter.columns.kinds import Kind
from protos.json_path import WILDCARD, JsonPath, flat_values_at, values_at

_MISSING: Final = object()


class Intake:
    """The slots given, by what was found there; ``slots`` and ``stored`` are the held values, in order."""

    def __init__(self) -> None:
        self.slots: list[int] = []
        self.stored: list[Any] = []
        self.held: list[int] = []  # those of ``slots``, once each
        self.others: list[int] = []  # have a value that is neither null nor held
        self.nulls: list[int] = []
        self.arrays: list[int] = []
        self.arrays_with_null: list[int] = []

    @property
    def empty(self) -> bool:
        return not (self.held or self.others or self.nulls or self.arrays)


class Reader:
    """Reads one field of payloads for a column of one kind."""

    def __init__(self, path: JsonPath, kind: Kind) -> None:
        self._path, self._hold = path, kind.hold
        self.shaped = WILDCARD not in path.steps
        """Does at most one value stand at the path, so that its shape tells whether the field is empty?"""
        first = path.steps[0]
        self._key = first if len(path.steps) == 1 and isinstance(first, str) else None

    def read(self, slots: Sequence[int], payloads: Iterable[dict[str, Any]]) -> Intake:
        intake = Intake()
        if self._key is not None:
            key = self._key
            found = [payload.get(key, _MISSING) for payload in payloads]
        elif self.shaped:
            found = [next(iter(values_at(payload, self._path)), _MISSING) for payload in payloads]
        else:
            found = [flat_values_at(payload, self._path) for payload in payloads]
        self._sort(slots, found, intake)
        return intake

    def _sort(self, slots: Sequence[int], found: Sequence[Any], intake: Intake) -> None:
        hold = self._hold
        for slot, value in zip(slots, found, strict=True):
            if value is _MISSING:
                continue
            if value is None:
                intake.nulls.append(slot)
            elif type(value) is list:
                self._array(slot, value, intake)
            else:
                stored = hold(value)
                if stored is None:
                    intake.others.append(slot)
                else:
                    intake.slots.append(slot)
                    intake.stored.append(stored)
                    intake.held.append(slot)

    def _array(self, slot: int, values: list[Any], intake: Intake) -> None:
        if self.shaped:
            intake.arrays.append(slot)
            if None in values:
                intake.arrays_with_null.append(slot)
        held = []
        other = False
        for value in values:
            stored = self._hold(value)
            if stored is not None:
                held.append(stored)
            elif value is not None:
                other = True
        if other:
            intake.others.append(slot)
        if held:
            intake.held.append(slot)
            if len(held) > 1 and not isinstance(held[0], list):
                held = list(dict.fromkeys(held))
            intake.slots += [slot] * len(held)
            intake.stored += held
