"""Ids and versions that are kept by slot are those that the records hold, whatever else was asked for."""

from __future__ import annotations

from collections.abc import Container
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.storage import points_file
from node.storage.points import PointStore, PointsView
from node.storage.records import pack_record
from node.storage.unpacking import Heads
from protos.ids import PointId, id_key

Slots = npt.NDArray[np.int64]
Point = tuple[PointId, int, None]


def id_of(slot: int) -> PointId:
    return slot if slot % 2 else f"c0ffee00-0000-4000-8000-{slot:012x}"


def record(slot: int, version: int) -> bytes:
    return pack_record(version, id_key(id_of(slot)), b'{"some":"payload"}')


def point(*parts: object) -> tuple[object, ...]:
    return parts


def matrix(*rows: list[int]) -> Slots:
    return np.array(rows, dtype=np.int64)


class Store:
    """``asked``: the slots that were read, in order."""

    def __init__(self, version: int = 0) -> None:
        self.version = version
        self.asked: list[int] = []

    def read(self, slots: list[int]) -> list[bytes | None]:
        self.asked += slots
        return [record(slot, self.version + slot) for slot in slots]

    def points(self, slots: Slots) -> list[list[Point]]:
        return [[(id_of(slot), self.version + slot, None) for slot in row] for row in slots.tolist()]


def test_a_slot_is_read_once() -> None:
    heads, store = Heads(8), Store()
    assert heads.nbytes == 8 * 32
    for slots in (matrix([1, 2, 3], [4, 2, 6]), matrix([6, 3, 4, 2]), matrix([1])):
        assert heads.points(slots, point, store.read, ()) == store.points(slots)
    assert store.asked == [1, 2, 3, 4, 2, 6]


slots_below_100 = st.lists(st.integers(0, 99), min_size=3, max_size=3)


@given(st.lists(st.lists(slots_below_100, min_size=1, max_size=4)), st.sampled_from([1, 4, 32]))
def test_slots_that_share_a_place_are_told_apart(asked: list[list[list[int]]], room: int) -> None:
    heads, store = Heads(room), Store(version=2**64 - 200)
    for rows in asked:
        slots = matrix(*rows)
        assert heads.points(slots, point, store.read, ()) == store.points(slots)


@given(st.lists(st.tuples(slots_below_100, st.frozensets(st.integers(0, 99)))))
def test_what_lies_above_is_read_anew_and_not_kept(asked: list[tuple[list[int], frozenset[int]]]) -> None:
    heads, below, above = Heads(16), Store(), Store(version=1000)
    for row, changed in asked:

        def read(slots: list[int], changed: Container[int] = changed) -> list[bytes | None]:
            return [(above if slot in changed else below).read([slot])[0] for slot in slots]

        found = heads.points(matrix(row), point, read, (frozenset(), changed))
        assert found == [[(id_of(slot), slot + 1000 * (slot in changed), None) for slot in row]]


@pytest.mark.parametrize("bad", [None, b"", record(5, 5)[:-1], pack_record(5, b"no id", b"{}")])
def test_what_is_not_there_or_damaged_is_left_to_who_can_tell_it(bad: bytes | None) -> None:
    heads, store = Heads(8), Store()
    assert heads.points(matrix([1, 5]), point, lambda _: [record(1, 1), bad], ()) is None
    assert heads.points(matrix([5, 1]), point, store.read, ()) == store.points(matrix([5, 1]))
    assert store.asked == [5]
    assert heads.points(matrix([1, 2, 3]), point, lambda _: [], ()) is None


def test_rows_may_be_part_of_wider_ones() -> None:
    heads, store = Heads(64), Store()
    slots = np.arange(24, dtype=np.int64).reshape(4, 6)[::2, :3]
    assert heads.points(slots, point, store.read, ()) == store.points(slots)


def test_errors_of_who_reads_and_makes_are_told() -> None:
    def refuse(*_: object) -> list[bytes | None]:
        raise LookupError

    class Refusing:
        def __contains__(self, _: object) -> bool:
            raise LookupError

    heads, store = Heads(8), Store()
    with pytest.raises(LookupError):
        heads.points(matrix([1]), point, refuse, ())
    with pytest.raises(LookupError):
        heads.points(matrix([1]), refuse, store.read, ())
    with pytest.raises(LookupError):
        heads.points(matrix([1]), point, store.read, (Refusing(),))


def test_what_does_not_fit_is_refused() -> None:
    for room in (0, -1, 3):
        with pytest.raises(ValueError, match="power of two"):
            Heads(room)
    store = Store()
    for slots in (np.zeros(2, dtype=np.int64), np.zeros((1, 2), dtype=np.int32)):
        with pytest.raises(ValueError, match="matrix of slots"):
            Heads(1).points(slots, point, store.read, ())  # type: ignore[arg-type]


# --- of a store ----------------------------------------------------------------------------------------


def put(store: PointStore, slots: list[int], version: int) -> None:
    with store.change() as batch:
        for slot in slots:
            batch.put(id_key(id_of(slot)), slot, record(slot, version))


def versions(view: PointsView, slots: list[int]) -> list[int]:
    found = view.points(matrix(slots), point, payloads=False)
    assert found is not None
    with_payloads = view.points(matrix(slots), point, payloads=True)
    assert with_payloads == [[(id_, version, b'{"some":"payload"}') for id_, version, _ in found[0]]]
    return [version for _, version, _ in found[0]]


def test_every_view_has_its_own_versions_through_changes_and_checkpoints(tmp_path: Path) -> None:
    store = PointStore.open(tmp_path / "points.mdb", 2)
    slots, views = list(range(10)), []
    for version in (1, 2, 3):
        put(store, slots[: 10 - version], version)
        views.append((store.view(), [version] * (10 - version)))
        store.freeze()
        views.append((store.view(), [version] * (10 - version)))
        store.checkpoint(b"")
        views.append((store.view(), [version] * (10 - version)))
        for _ in range(2):
            for view, wanted in views:
                assert versions(view, slots[: len(wanted)]) == wanted
    assert views[-1][0].points(matrix([0, 9]), point, payloads=False) is None
    store.close()


@pytest.mark.parametrize(("points", "room"), [(0, 1), (1, 1), (5, 8), (16, 16), (17, 16), (500, 16)])
def test_a_store_has_room_for_its_points_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, points: int, room: int
) -> None:
    monkeypatch.setattr(points_file, "_HEADS_BITS_MAX", 4)
    store = PointStore.open(tmp_path / "points.mdb", 1)
    put(store, list(range(points)), 1)
    store.freeze()
    store.checkpoint(b"")
    assert store.heads_bytes == room * 32
    store.close()


def test_many_threads_ask_at_once(tmp_path: Path) -> None:
    """Some of what they ask for shares a place, and they read while others make points."""
    store = PointStore.open(tmp_path / "points.mdb", 4)
    put(store, list(range(0, 3000, 3)), 7)
    store.freeze()
    store.checkpoint(b"")
    view = store.view()

    def ask(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(100):
            slots = 3 * rng.integers(0, 1000, (4, 5))
            found = view.points(slots, point, payloads=False)
            assert found == [[(id_of(slot), 7, None) for slot in row] for row in slots.tolist()]

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(ask, seed) for seed in range(4)]:
            done.result()
    store.close()
