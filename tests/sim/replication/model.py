"""What clients write, and what a log means.

Lives here: operations, the state that a log prefix stands for, the ledger of all entries ever stamped.
"""

from __future__ import annotations

from typing import NamedTuple

from immutables import Map

from node.replication.messages import Entry


class Operation(NamedTuple):
    """A resolved operation: ``put`` replaces, ``append`` is a partial update, ``delete`` removes."""

    kind: str
    key: int
    mark: int  # of the write, unique
    operation_id: int


class State(NamedTuple):
    """What a replica holds: key -> (marks, seq), and operation id -> seq."""

    points: Map[int, tuple[tuple[int, ...], int]] = Map()
    operation_ids: Map[int, int] = Map()


def applied(state: State, entry: Entry) -> State:
    body: object = entry.body
    if not isinstance(body, Operation):
        return state  # the Noop of a new term
    points, key = state.points, body.key
    if body.kind == "put":
        points = points.set(key, ((body.mark,), entry.seq))
    elif body.kind == "append" and key in points:
        points = points.set(key, ((*points[key][0], body.mark), entry.seq))
    elif body.kind == "delete" and key in points:
        points = points.delete(key)
    return State(points, state.operation_ids.set(body.operation_id, entry.seq))


class Ledger:
    """Every entry that a primary stamped, and the state that the log ending there stands for."""

    def __init__(self) -> None:
        self._entries: dict[tuple[int, int], Entry] = {}
        self._states: dict[tuple[int, int], State] = {(0, -1): State()}
        self._before: dict[tuple[int, int], tuple[int, int]] = {}

    def stamp(self, entry: Entry, previous: tuple[int, int]) -> None:
        place = (entry.term, entry.seq)
        assert place not in self._entries, f"{place} was given twice (R3)"
        self._entries[place] = entry
        self._before[place] = previous
        self._states[place] = applied(self._states[previous], entry)

    def forget(self, entry: Entry) -> None:
        """The Noop of a term was lost before anyone but its primary had it."""
        self._entries.pop((entry.term, entry.seq), None)

    def check(self, entry: Entry, previous: tuple[int, int]) -> None:
        place = (entry.term, entry.seq)
        assert self._entries.get(place) is entry, f"{place} is not what was stamped (R3)"
        assert self._before[place] == previous, f"{place} follows {previous}, not {self._before[place]} (R3)"

    def knows(self, entry: Entry) -> bool:
        return (entry.term, entry.seq) in self._entries

    def state(self, place: tuple[int, int]) -> State:
        return self._states[place]
