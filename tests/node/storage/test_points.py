import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import lmdb
import numpy as np
import pytest

from node.storage.points import (
    PointsBatch,
    PointStore,
    RecordCorrupted,
    StoreFailed,
    StoreFormatUnknown,
    StoreFull,
)
from node.storage.records import pack_record, unpack_record
from protos.ids import id_key


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PointStore]:
    opened = PointStore.open(tmp_path / "points.mdb", 2)
    yield opened
    opened.close()


def record(number: int, version: int = 0) -> bytes:
    return pack_record(version, id_key(number), b'{"n":%d}' % number)


def put(batch: PointsBatch, number: int, slot: int, version: int = 0) -> int:
    return batch.put(id_key(number), slot, record(number, version))


def put_points(store: PointStore, numbers: range, version: int = 0) -> None:
    """Put points whose slots are their numbers."""
    with store.change() as batch:
        batch.put_many([id_key(n) for n in numbers], numbers, [record(n, version) for n in numbers])


def checkpoint(store: PointStore, meta: bytes = b"meta") -> None:
    store.freeze()
    store.checkpoint(meta)


def reopened(store: PointStore, tmp_path: Path) -> PointStore:
    store.close()
    return PointStore.open(tmp_path / "points.mdb", 2)


def test_a_new_store_is_empty(store: PointStore) -> None:
    view = store.view()
    assert (view.count, store.meta(), store.overlay_len, store.overlay_bytes) == (0, None, 0, 0)
    assert view.slot_of(id_key(1)) == -1
    assert view.record(0) is None
    assert list(view.iter_ids(None)) == []
    assert list(view.scan_records()) == []


def test_a_change_shows_in_the_next_view_only(store: PointStore) -> None:
    before = store.view()
    with store.change() as batch:
        assert put(batch, 1, 5) == -1
        assert store.view() is before
    assert (before.count, before.slot_of(id_key(1))) == (0, -1)
    assert (store.view().count, store.view().slot_of(id_key(1))) == (1, 5)


def test_a_change_that_raises_changes_nothing(store: PointStore) -> None:
    def fail() -> None:
        with store.change() as batch:
            put(batch, 1, 5)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert store.view().count == 0
    put_points(store, range(2))
    assert store.view().count == 2


def test_a_batch_sees_its_own_changes(store: PointStore) -> None:
    put_points(store, range(3))
    checkpoint(store)
    with store.change() as batch:
        put(batch, 1, 10, version=4)
        batch.delete(id_key(2))
        assert batch.slots_of([id_key(n) for n in range(4)]).tolist() == [0, 10, -1, -1]
        assert batch.slot_of(id_key(1)) == 10
        assert batch.count == 2
        moved = batch.record(10)
        assert moved is not None
        assert moved.version == 4
        assert [batch.record(slot) for slot in (1, 2)] == [None, None]
        assert batch.record(0) == unpack_record(record(0))


@pytest.mark.parametrize("stored", [False, True])
def test_a_new_slot_for_a_point_drops_the_record_of_the_old_one(store: PointStore, stored: bool) -> None:
    put_points(store, range(1))
    if stored:
        checkpoint(store)
    with store.change() as batch:
        assert put(batch, 0, 7) == 0
    view = store.view()
    assert view.count == 1
    assert view.record(0) is None
    checkpoint(store)
    assert list(store.view().scan_records()) == [(7, record(0))]


def test_the_same_slot_again_replaces_the_record(store: PointStore) -> None:
    put_points(store, range(1))
    with store.change() as batch:
        assert put(batch, 0, 0, version=3) == 0
    assert list(store.view().scan_records()) == [(0, record(0, 3))]


def test_put_many_returns_the_former_slots(store: PointStore) -> None:
    put_points(store, range(2))
    checkpoint(store)
    put_points(store, range(2, 4))
    keys = [id_key(n) for n in (4, 3, 0)]
    with store.change() as batch:
        former = batch.put_many(keys, np.arange(10, 13), [record(n) for n in (4, 3, 0)])
    assert former.tolist() == [-1, 3, 0]
    assert former.dtype == np.int64
    assert store.view().slots_of(keys).tolist() == [10, 11, 12]
    assert store.view().count == 5


def test_delete_returns_the_slot_and_forgets_the_record(store: PointStore) -> None:
    put_points(store, range(3))
    checkpoint(store)
    with store.change() as batch:
        assert batch.delete(id_key(1)) == 1
        assert batch.delete(id_key(1)) == -1
        assert batch.delete(id_key(9)) == -1
    before = store.view()
    checkpoint(store)
    for view in (before, store.view()):
        assert view.count == 2
        assert view.slots_of([id_key(n) for n in range(3)]).tolist() == [0, -1, 2]
        assert view.record(1) is None
        assert [slot for slot, _ in view.scan_records()] == [0, 2]


def test_records_may_be_replaced_and_dropped_by_slot(store: PointStore) -> None:
    put_points(store, range(3))
    checkpoint(store)
    with store.change() as batch:
        batch.replace_record(1, record(1, 8))
        batch.drop_slot(2)
    found = store.view().records(np.array([2, 1, 0, 50]))
    assert [None if r is None else r.version for r in found] == [None, 8, 0, None]
    assert store.view().count == 3


def test_ids_come_in_qdrants_order_whatever_layer_holds_them(store: PointStore) -> None:
    uuids = [f"00000000-0000-0000-0000-{n:012x}" for n in range(3)]
    keys = [*map(id_key, (0, 9, 255, 256, 2**64 - 1)), *map(id_key, uuids)]
    for part in (keys[::3], keys[1::3], keys[2::3]):
        with store.change() as batch:
            for key in reversed(part):
                batch.put(key, keys.index(key), pack_record(0, key, b"{}"))
        if part is not keys[1::3]:
            checkpoint(store)
    expected = [(key, slot) for slot, key in enumerate(keys)]
    assert list(store.view().iter_ids(None)) == expected
    assert list(store.view().iter_ids(keys[3])) == expected[3:]
    assert list(store.view().iter_ids(keys[3] + b"\x00")) == expected[4:]


def test_long_iterations_cross_their_pages_without_a_gap(store: PointStore) -> None:
    put_points(store, range(0, 6000, 2))
    checkpoint(store)
    put_points(store, range(1, 3000, 3))
    store.freeze()
    with store.change() as batch:
        for number in range(0, 6000, 5):
            batch.delete(id_key(number))
    expected = [(id_key(n), n) for n in range(6000) if (n % 2 == 0 or (n % 3 == 1 and n < 3000)) and n % 5]
    view = store.view()
    assert list(view.iter_ids(None)) == expected
    assert view.count == len(expected)
    assert sorted(slot for slot, _ in view.scan_records()) == [slot for _, slot in expected]


def test_abandoned_iterations_hold_no_reader(store: PointStore) -> None:
    put_points(store, range(3000))
    checkpoint(store)
    view = store.view()
    open_ends = [iterator for _ in range(10) for iterator in (view.iter_ids(None), view.scan_records())]
    for iterator in open_ends:
        next(iterator)
    assert view.slot_of(id_key(5)) == 5


def test_a_checkpoint_survives_reopening(store: PointStore, tmp_path: Path) -> None:
    put_points(store, range(100))
    checkpoint(store, b"first")
    with store.change() as batch:
        batch.delete(id_key(7))
    checkpoint(store, b"second")
    put_points(store, range(200, 300))
    again = reopened(store, tmp_path)
    assert again.meta() == b"second"
    assert again.view().count == 99
    assert [key for key, _ in again.view().iter_ids(None)] == [id_key(n) for n in range(100) if n != 7]
    assert again.view().record(99) == unpack_record(record(99))
    again.close()


def test_changes_made_during_a_checkpoint_are_kept_apart(store: PointStore, tmp_path: Path) -> None:
    put_points(store, range(2))
    store.freeze()
    put_points(store, range(2, 4))
    with store.change() as batch:
        put(batch, 0, 9)
        store.checkpoint(b"two points")
        put(batch, 4, 4)
    assert store.view().count == 5
    assert store.view().slots_of([id_key(n) for n in range(5)]).tolist() == [9, 1, 2, 3, 4]
    again = reopened(store, tmp_path)
    assert again.view().count == 2
    assert list(again.view().iter_ids(None)) == [(id_key(0), 0), (id_key(1), 1)]
    again.close()


def test_the_overlay_is_empty_after_a_checkpoint(store: PointStore) -> None:
    put_points(store, range(50))
    assert store.overlay_len == 50
    assert store.overlay_bytes > 50 * len(record(0))
    checkpoint(store)
    assert (store.overlay_len, store.overlay_bytes) == (0, 0)


def test_replacing_a_record_again_and_again_does_not_count_as_growth(store: PointStore) -> None:
    put_points(store, range(1))
    size = store.overlay_bytes
    for version in range(100):
        put_points(store, range(1), version)
    assert store.overlay_bytes == size


def test_views_stay_as_they_were_through_later_checkpoints(store: PointStore) -> None:
    views = []
    for version in range(6):
        put_points(store, range(20), version)
        views.append((version, store.view()))
        checkpoint(store)
        views.append((version, store.view()))
    for version, view in views:
        assert {r.version for r in view.records(range(20)) if r is not None} == {version}
        assert {unpack_record(data).version for _, data in view.scan_records()} == {version}


def test_dropped_views_release_their_readers(store: PointStore, tmp_path: Path) -> None:
    for version in range(100):
        put_points(store, range(3), version)
        checkpoint(store)
    gc.collect()
    assert store._file._env.info()["num_readers"] <= 8
    assert (tmp_path / "points.mdb").stat().st_size < 1 << 20


def test_a_batch_that_outlives_a_checkpoint_builds_on_what_it_saw(store: PointStore) -> None:
    put_points(store, range(3))
    store.freeze()
    with store.change() as batch:
        store.checkpoint(b"")
        assert put(batch, 1, 11) == 1
    assert store.view().slots_of([id_key(n) for n in range(3)]).tolist() == [0, 11, 2]
    assert store.view().record(1) is None


def test_nested_changes_and_freezing_inside_a_change_are_refused(store: PointStore) -> None:
    with store.change():
        with pytest.raises(RuntimeError, match="a change is under way"), store.change():
            pass
        with pytest.raises(RuntimeError, match="a change is under way"):
            store.freeze()
    checkpoint(store)


@pytest.mark.slow
def test_readers_in_many_threads_see_one_state_while_the_writer_goes_on(store: PointStore) -> None:
    put_points(store, range(60))
    failures: list[object] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            view = store.view()
            versions = {None if r is None else r.version for r in view.records(range(60))}
            if len(versions) != 1 or view.count != 60 or view.slots_of([id_key(5)])[0] != 5:
                failures.append(versions)

    threads = [threading.Thread(target=read) for _ in range(5)]
    for thread in threads:
        thread.start()
    for version in range(12):
        put_points(store, range(60), version)
        if version % 3 == 0:
            checkpoint(store)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []


# --- failures -------------------------------------------------------------------------------------


def test_a_full_store_says_so_and_keeps_serving(tmp_path: Path) -> None:
    store = PointStore.open(tmp_path / "points.mdb", 2, map_bytes=1 << 20)
    put_points(store, range(10))
    checkpoint(store, b"before")
    with store.change() as batch:
        for slot in range(100, 200):
            batch.put(id_key(slot), slot, pack_record(0, id_key(slot), bytes(20_000)))
    store.freeze()
    with pytest.raises(StoreFull) as caught:
        store.checkpoint(b"after")
    assert caught.value.errno == 28
    assert store.meta() == b"before"
    assert store.view().count == 110
    put_points(store, range(10, 20))
    assert store.view().count == 120
    store.close()
    bigger = PointStore.open(tmp_path / "points.mdb", 2)
    assert (bigger.meta(), bigger.view().count) == (b"before", 10)
    bigger.close()


def test_a_disk_that_takes_no_more_fails_the_checkpoint_only(store: PointStore, tmp_path: Path) -> None:
    """The kernel itself refuses the write (a limit on the file's size stands for a full disk)."""
    resource = pytest.importorskip("resource")
    put_points(store, range(10))
    checkpoint(store, b"before")
    size = (tmp_path / "points.mdb").stat().st_size
    put_points(store, range(10, 5000))
    store.freeze()
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 8192, old[1]))
    try:
        with pytest.raises(StoreFailed):
            store.checkpoint(b"after")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert store.meta() == b"before"
    assert store.view().count == 5000
    store.checkpoint(b"after")
    again = reopened(store, tmp_path)
    assert (again.meta(), again.view().count) == (b"after", 5000)
    again.close()


def test_a_failed_checkpoint_is_made_up_for_by_the_next(
    store: PointStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_points(store, range(5))
    store.freeze()

    def fail(*_args: object) -> None:
        raise StoreFull(28, "no space")

    monkeypatch.setattr(store._file, "store", fail)
    with pytest.raises(StoreFull):
        store.checkpoint(b"lost")
    monkeypatch.undo()
    with store.change() as batch:
        batch.delete(id_key(0))
        put(batch, 1, 20)
        put(batch, 9, 9)
    checkpoint(store, b"kept")
    again = reopened(store, tmp_path)
    assert (again.meta(), again.view().count) == (b"kept", 5)
    expected = [(id_key(1), 20), *((id_key(n), n) for n in (2, 3, 4, 9))]
    assert list(again.view().iter_ids(None)) == expected
    assert sorted(slot for slot, _ in again.view().scan_records()) == [2, 3, 4, 9, 20]
    again.close()


def test_damaged_values_are_reported(store: PointStore, tmp_path: Path) -> None:
    put_points(store, range(50))
    checkpoint(store, b"the checkpoint's blob")
    path = tmp_path / "points.mdb"
    store.close()
    content = path.read_bytes()
    path.write_bytes(content.replace(b'{"n":33}', b'{"n":34}'))
    damaged = PointStore.open(path, 1)
    with pytest.raises(RecordCorrupted):
        damaged.view().record(33)
    assert damaged.view().record(32) is not None
    damaged.close()
    path.write_bytes(content.replace(id_key(33), id_key(33)[:-1] + b"\x7f"))
    damaged = PointStore.open(path, 1)
    with pytest.raises(RecordCorrupted, match="id key"):
        list(damaged.view().iter_ids(None))
    damaged.close()
    path.write_bytes(content.replace(b"checkpoint's", b"checkpoint!s"))
    with pytest.raises(RecordCorrupted, match="entry checkpoint"):
        PointStore.open(path, 1)


def test_a_shortened_file_is_refused_instead_of_ending_the_process(store: PointStore, tmp_path: Path) -> None:
    put_points(store, range(5000))
    checkpoint(store)
    path = tmp_path / "points.mdb"
    store.close()
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(RecordCorrupted, match="should have at least"):
        PointStore.open(path, 1)


def test_a_creation_that_was_interrupted_is_begun_again(tmp_path: Path) -> None:
    for name in ("points.mdb.new", "points.mdb.new-lock"):
        (tmp_path / name).write_bytes(bytes(9000))
    PointStore.open(tmp_path / "points.mdb", 1).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["points.mdb", "points.mdb-lock"]


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "points.mdb"
    path.write_bytes(b"something else" * 1000)
    with pytest.raises(RecordCorrupted, match="not a point store"):
        PointStore.open(path, 1)


def test_a_store_of_a_newer_program_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.storage.points_file.FORMAT", 2)
    PointStore.open(tmp_path / "points.mdb", 1).close()
    monkeypatch.undo()
    with pytest.raises(StoreFormatUnknown, match="format 2"):
        PointStore.open(tmp_path / "points.mdb", 1)


def test_the_lock_file_has_its_space_from_the_start(store: PointStore, tmp_path: Path) -> None:
    """LMDB writes to it through memory: a full disk would otherwise end the process."""
    put_points(store, range(1))
    checkpoint(store)
    status = (tmp_path / "points.mdb-lock").stat()
    assert status.st_blocks * 512 >= status.st_size
    assert store._file._env.info()["max_readers"] >= 64 * 3


def test_commits_are_synchronous(store: PointStore) -> None:
    flags = store._file._env.flags()
    assert (flags["sync"], flags["metasync"], flags["writemap"], flags["lock"]) == (True, True, False, True)
    assert lmdb.version() >= (0, 9, 30)


_WRITER = """
import sys
from pathlib import Path
from node.storage.points import PointStore
from node.storage.records import pack_record
from protos.ids import id_key
store = PointStore.open(Path(sys.argv[1]), 1)
version = 0
while True:
    version += 1
    with store.change() as batch:
        for n in range(400):
            batch.put(id_key(n), (version % 7) * 400 + n, pack_record(version, id_key(n), b"x" * 200))
    store.freeze()
    store.checkpoint(b"%d" % version)
    print(version, flush=True)
"""


def test_a_kill_leaves_one_whole_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "points.mdb"
    with subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        acknowledged = [child.stdout.readline() for _ in range(10)]
        child.send_signal(signal.SIGKILL)
        acknowledged += child.stdout.read().splitlines()
    store = PointStore.open(path, 1)
    meta = store.meta()
    assert meta is not None
    assert int(meta) >= int(acknowledged[-1])
    view = store.view()
    keys = [id_key(n) for n in range(400)]
    assert {r.version for r in view.records(view.slots_of(keys)) if r is not None} == {int(meta)}
    assert len(list(view.scan_records())) == view.count == 400
    store.close()


def test_a_checkpoint_without_a_free_reader_is_stored_and_read_from_the_overlay(
    store: PointStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_points(store, range(10))

    def refuse() -> None:
        raise StoreFailed("too many readers")

    monkeypatch.setattr(store._file, "generation", refuse)
    checkpoint(store, b"first")
    monkeypatch.undo()
    put_points(store, range(5, 15), version=1)
    assert (store.meta(), store.view().count) == (b"first", 15)
    assert store.view().slot_of(id_key(3)) == 3
    checkpoint(store, b"second")
    assert (store.overlay_len, store.view().count) == (0, 15)
    again = reopened(store, tmp_path)
    assert (again.meta(), again.view().count, again.view().slot_of(id_key(14))) == (b"second", 15, 14)
    again.close()


# --- copies -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exact", [False, True])
def test_a_copy_is_the_last_checkpoint_whatever_comes_after_it(
    store: PointStore, tmp_path: Path, exact: bool
) -> None:
    put_points(store, range(100))
    checkpoint(store, b"first")
    put_points(store, range(100, 150))
    copy = store.copy(exact=exact)
    put_points(store, range(100), version=1)
    checkpoint(store, b"second")
    copy.write(tmp_path / "copy.mdb")
    assert (copy.blob, copy.count) == (b"first", 100)
    copied = PointStore.open(tmp_path / "copy.mdb", 1)
    view = copied.view()
    assert (copied.meta(), view.count, view.slot_of(id_key(120))) == (b"first", 100, -1)
    found = view.record(7)
    assert found is not None
    assert found.version == 0
    copied.close()


@pytest.mark.parametrize("exact", [False, True])
def test_a_copy_before_the_first_checkpoint_is_empty(store: PointStore, tmp_path: Path, exact: bool) -> None:
    put_points(store, range(3))
    copy = store.copy(exact=exact)
    copy.write(tmp_path / "copy.mdb")
    assert copy.blob is None
    copied = PointStore.open(tmp_path / "copy.mdb", 1)
    assert copied.view().count == 0
    copied.close()


@pytest.mark.parametrize("exact", [False, True])
def test_a_copy_overwrites_nothing(store: PointStore, tmp_path: Path, exact: bool) -> None:
    (tmp_path / "taken.mdb").write_bytes(b"mine")
    with pytest.raises(OSError, match="exists"):
        store.copy(exact=exact).write(tmp_path / "taken.mdb")
    assert (tmp_path / "taken.mdb").read_bytes() == b"mine"


@pytest.mark.parametrize("exact", [False, True])
def test_a_copy_of_a_closed_store_fails_instead_of_ending_the_process(
    store: PointStore, tmp_path: Path, exact: bool
) -> None:
    copy = store.copy(exact=exact)
    store.close()
    with pytest.raises(StoreFailed):
        copy.write(tmp_path / "copy.mdb")
    assert not (tmp_path / "copy.mdb").exists()


@pytest.mark.parametrize("exact", [False, True])
def test_closing_waits_for_a_copy_that_is_being_written(
    store: PointStore, tmp_path: Path, exact: bool
) -> None:
    put_points(store, range(20_000))
    checkpoint(store)
    copy = store.copy(exact=exact)
    writing = threading.Thread(target=copy.write, args=(tmp_path / "copy.mdb",))
    writing.start()
    while not (tmp_path / "copy.mdb").exists() and writing.is_alive():
        pass
    store.close()
    writing.join()
    copied = PointStore.open(tmp_path / "copy.mdb", 1)
    assert copied.view().count == 20_000
    copied.close()


@pytest.mark.parametrize("exact", [False, True])
def test_copies_given_up_hold_no_pages(store: PointStore, tmp_path: Path, exact: bool) -> None:
    for version in range(30):
        put_points(store, range(2000), version)
        store.copy(exact=exact).close()
        checkpoint(store)
    assert (tmp_path / "points.mdb").stat().st_size < 10 * 2000 * 200


def test_exact_copies_differ_where_something_was_written_between_them(
    store: PointStore, tmp_path: Path
) -> None:
    put_points(store, range(20_000))
    checkpoint(store)
    store.copy(exact=True).write(tmp_path / "first.mdb")
    put_points(store, [5], version=1)
    checkpoint(store)
    store.copy(exact=True).write(tmp_path / "second.mdb")
    first, second = (tmp_path / f"{name}.mdb" for name in ("first", "second"))
    pages = [
        [data[at : at + 4096] for at in range(0, len(data), 4096)]
        for data in map(Path.read_bytes, (first, second))
    ]
    grown = len(pages[1]) - len(pages[0])
    differing = sum(one != other for one, other in zip(*pages, strict=False)) + grown
    assert 0 < differing < 30
    assert len(pages[1]) > 300


def test_an_exact_copy_is_refused_while_a_checkpoint_is_under_way(
    store: PointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pages that say which state is the last are written just then."""
    refusals = []

    def storing(*_: object) -> None:
        with pytest.raises(RuntimeError) as refusal:
            store.copy(exact=True)
        refusals.append(str(refusal.value))

    put_points(store, range(3))
    store.freeze()
    monkeypatch.setattr(store._file, "store", storing)
    store.checkpoint(b"meta")
    assert refusals == ["a checkpoint is under way"]
