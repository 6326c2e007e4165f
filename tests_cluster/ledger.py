"""What a writer knows about its points: what was acknowledged, and what may or may not have happened.

A write whose answer never came leaves a point with two allowed states, before and after; the next look
at the point (after a restart) settles which.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import httpx

DIM = 8
Json = dict[str, Any]


@dataclass(frozen=True)
class Point:
    """The client's picture of a stored point; its vector follows from ``version`` and the id."""

    version: int
    note: str | None = None

    def payload(self, owner: int) -> Json:
        noted = {} if self.note is None else {"note": self.note}
        return {"owner": owner, "version": self.version, **noted}


State = Point | None  # None: does not exist


def vector_of(point_id: int, version: int) -> list[float]:
    """Exactly representable, so it must come back bit for bit."""
    return [
        float(point_id % 97),
        float(version % 1024),
        *(float((point_id * i + version) % 31) for i in range(6)),
    ]


@dataclass
class Writer:
    """Owns the ids ``[first, first + count)`` of a collection and is the only one to write them."""

    owner: int
    first: int
    count: int
    rng: random.Random
    url: str
    collection: str
    allowed: dict[int, set[State]] = field(default_factory=dict)
    acknowledged: int = 0
    _version: int = 0

    def __post_init__(self) -> None:
        self.allowed = {point_id: {None} for point_id in range(self.first, self.first + self.count)}

    def run_until_broken(self) -> None:
        """Write until the server is gone."""
        with httpx.Client(base_url=self.url, timeout=30) as http:
            while self._one_write(http):
                self.acknowledged += 1

    def write(self, count: int) -> None:
        """So many writes, all of which must be acknowledged."""
        with httpx.Client(base_url=self.url, timeout=30) as http:
            for _ in range(count):
                assert self._one_write(http)

    def state(self, point_id: int) -> State:
        """The one state a point is known to have."""
        (state,) = self.allowed[point_id]
        return state

    def _one_write(self, http: httpx.Client) -> bool:
        self._version += 1
        make = self.rng.choice([self._upsert, self._upsert, self._delete, self._note, self._delete_by_filter])
        method, path, body, after = make()
        for point_id, state in after.items():
            self.allowed[point_id].add(state)
        wait = self.rng.choice(["true", "true", "false"])
        try:
            answer = http.request(
                method, f"/collections/{self.collection}/points{path}?wait={wait}", json=body
            )
        except httpx.TransportError:
            return False
        assert answer.status_code == 200, answer.text
        for point_id, state in after.items():
            self.allowed[point_id] = {state}
        return True

    def _some_ids(self) -> list[int]:
        return self.rng.sample(sorted(self.allowed), self.rng.randint(1, 20))

    def _upsert(self) -> tuple[str, str, Json, dict[int, State]]:
        after: dict[int, State] = {point_id: Point(self._version) for point_id in self._some_ids()}
        points = [
            {
                "id": point_id,
                "vector": vector_of(point_id, self._version),
                "payload": Point(self._version).payload(self.owner),
            }
            for point_id in after
        ]
        return "PUT", "", {"points": points}, after

    def _delete(self) -> tuple[str, str, Json, dict[int, State]]:
        ids = self._some_ids()
        return "POST", "/delete", {"points": ids}, dict.fromkeys(ids)

    def _note(self) -> tuple[str, str, Json, dict[int, State]]:
        ids = [point_id for point_id in self._some_ids() if self.state(point_id) is not None]
        if not ids:
            return self._upsert()
        note = f"note {self._version}"
        after: dict[int, State] = {}
        for point_id in ids:
            state = self.state(point_id)
            assert state is not None
            after[point_id] = Point(state.version, note)
        return "POST", "/payload", {"payload": {"note": note}, "points": ids}, after

    def _delete_by_filter(self) -> tuple[str, str, Json, dict[int, State]]:
        limit = self._version - self.rng.randint(1, 30)
        after: dict[int, State] = {
            point_id: None
            for point_id in self.allowed
            if (state := self.state(point_id)) is not None and state.version < limit
        }
        conditions = [
            {"key": "owner", "match": {"value": self.owner}},
            {"key": "version", "range": {"lt": limit}},
        ]
        return "POST", "/delete", {"filter": {"must": conditions}}, after

    def settle(self, found: dict[int, Json]) -> None:
        """Compare with what the server holds; ``found`` maps ids to records with payload and vector."""
        for point_id, states in self.allowed.items():
            record = found.get(point_id)
            state = None if record is None else _state_of(record)
            assert state in states, f"point {point_id} is {state}, allowed {states}"
            if record is not None and state is not None:
                assert record["payload"] == state.payload(self.owner)
                assert record["vector"] == vector_of(point_id, state.version), point_id
            self.allowed[point_id] = {state}


def _state_of(record: Json) -> Point:
    return Point(record["payload"]["version"], record["payload"].get("note"))
