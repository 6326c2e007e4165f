import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.storage import wal as wal_module
from node.storage.wal import Wal, WalRecord, WalTrimmed


@pytest.fixture
def wal(tmp_path: Path) -> Iterator[Wal]:
    log = Wal.open(tmp_path / "wal")
    yield log
    log.close()


def append(log: Wal, *seqs: int, term: int = 1, size: int = 20) -> None:
    for seq in seqs:
        log.append(term, seq, body_of(seq, size))


def body_of(seq: int, size: int = 20) -> bytes:
    return (b"%d;" % seq).ljust(size, b".")


def seqs(log: Wal, from_seq: int | None = None) -> list[int]:
    return [record.seq for record in log.replay(log.first_seq if from_seq is None else from_seq)]


def reopened(log: Wal, directory: Path) -> Wal:
    log.close()
    return Wal.open(directory / "wal")


def file_names(directory: Path) -> list[int]:
    return sorted(int(path.stem) for path in (directory / "wal").iterdir())


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Wal]:
    """A log whose every group begins a new file."""
    log = Wal.open(tmp_path / "wal", capacity_mb=0)
    yield log
    log.close()


def test_a_new_log_is_empty(wal: Wal) -> None:
    assert (wal.last_seq, wal.last_term, wal.first_seq) == (-1, 0, 0)
    assert list(wal.replay(5)) == []


def test_synced_records_come_back_in_order(wal: Wal, tmp_path: Path) -> None:
    append(wal, 3, 4, term=1)
    wal.sync()
    append(wal, 5, term=2)
    wal.sync()
    log = reopened(wal, tmp_path)
    assert list(log.replay(3)) == [
        WalRecord(1, 3, body_of(3)),
        WalRecord(1, 4, body_of(4)),
        WalRecord(2, 5, body_of(5)),
    ]
    assert (log.first_seq, log.last_seq, log.last_term) == (3, 5, 2)
    log.close()


def test_replay_begins_where_asked_and_ends_with_what_is_synced(wal: Wal) -> None:
    append(wal, 0, 1, 2)
    wal.sync()
    append(wal, 3, term=3)
    assert seqs(wal, 1) == [1, 2]
    assert seqs(wal, 3) == []
    assert wal.synced_seq == 2


def test_unsynced_records_do_not_survive_closing(wal: Wal, tmp_path: Path) -> None:
    append(wal, 0)
    wal.sync()
    append(wal, 1)
    log = reopened(wal, tmp_path)
    assert log.last_seq == 0
    log.close()


def test_a_log_can_be_continued_after_reopening_again_and_again(wal: Wal, tmp_path: Path) -> None:
    log = wal
    for seq in range(5):
        append(log, seq)
        log.sync()
        log = reopened(log, tmp_path)
    assert seqs(log) == [0, 1, 2, 3, 4]
    log.close()


def test_opening_and_closing_does_not_grow_the_log(wal: Wal, tmp_path: Path) -> None:
    append(wal, 0)
    wal.sync()
    size = wal.size_bytes
    log = reopened(reopened(wal, tmp_path), tmp_path)
    assert log.size_bytes == size
    log.close()


@pytest.mark.parametrize(("term", "seq"), [(2, 4), (2, 6), (1, 5), (2, -1)])
def test_a_record_that_does_not_continue_the_log_is_refused(wal: Wal, term: int, seq: int) -> None:
    wal.append(2, 4, b"x")
    with pytest.raises(ValueError, match="does not continue"):
        wal.append(term, seq, b"x")


def test_an_empty_body_is_refused(wal: Wal) -> None:
    with pytest.raises(ValueError, match="1 to"):
        wal.append(1, 0, b"")


def test_a_body_of_many_megabytes_takes_one_file(wal: Wal, tmp_path: Path) -> None:
    body = os.urandom(1 << 20) * 10
    wal.append(1, 0, body)
    wal.append(1, 1, b"after")
    wal.sync()
    assert [len(record.body) for record in wal.replay(0)] == [10 << 20, 5]
    assert file_names(tmp_path) == [0]


def test_a_full_file_is_followed_by_another(small_files: Wal, tmp_path: Path) -> None:
    for first in (0, 2, 4):
        append(small_files, first, first + 1)
        small_files.sync()
    assert file_names(tmp_path) == [0, 2, 4]
    log = reopened(small_files, tmp_path)
    assert seqs(log) == [0, 1, 2, 3, 4, 5]
    assert seqs(log, 3) == [3, 4, 5]
    log.close()


# --- rollback ---------------------------------------------------------------------------------------


def test_rollback_drops_what_came_after_the_mark(wal: Wal, tmp_path: Path) -> None:
    append(wal, 0, term=1)
    wal.sync()
    append(wal, 1, term=2)
    mark = wal.mark()
    append(wal, 2, 3, term=5)
    wal.rollback_to(mark)
    assert (wal.last_seq, wal.last_term) == (1, 2)
    append(wal, 2, term=3)
    wal.sync()
    log = reopened(wal, tmp_path)
    assert [(record.term, record.seq) for record in log.replay(0)] == [(1, 0), (2, 1), (3, 2)]
    log.close()


def test_rollback_reaches_into_what_is_already_written(wal: Wal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wal_module, "BUFFER_BYTES_MAX", 100)
    append(wal, *range(10))
    wal.rollback_to(4)
    append(wal, 5)
    wal.sync()
    assert seqs(wal) == [0, 1, 2, 3, 4, 5]


def test_rollback_of_the_first_group_leaves_an_empty_log(wal: Wal, tmp_path: Path) -> None:
    mark = wal.mark()
    append(wal, 7, 8)
    wal.rollback_to(mark)
    assert wal.first_seq == 7
    log = reopened(wal, tmp_path)
    assert list(log.replay(7)) == []
    append(log, 7)
    log.sync()
    assert seqs(log) == [7]
    log.close()


def test_rollback_across_a_new_file_keeps_the_old_one(small_files: Wal, tmp_path: Path) -> None:
    append(small_files, 0)
    small_files.sync()
    mark = small_files.mark()
    append(small_files, 1)
    small_files.rollback_to(mark)
    assert small_files.last_seq == 0
    append(small_files, 1)
    small_files.sync()
    assert seqs(small_files) == [0, 1]


def test_synced_records_cannot_be_rolled_back(wal: Wal) -> None:
    append(wal, 0, 1)
    wal.sync()
    with pytest.raises(ValueError, match="synced"):
        wal.rollback_to(0)
    wal.rollback_to(1)
    assert seqs(wal) == [0, 1]


# --- failing disks ------------------------------------------------------------------------------------


def failing(error: int, after_bytes: int = 0) -> Callable[[int, list[bytes]], None]:
    """A ``write_all`` that writes a part and then fails."""

    def write(fd: int, chunks: list[bytes]) -> None:
        os.write(fd, b"".join(chunks)[:after_bytes])
        raise OSError(error, os.strerror(error))

    return write


@pytest.mark.parametrize("after_bytes", [0, 1, 30, 75])
def test_a_full_disk_fails_the_group_and_nothing_else(
    wal: Wal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after_bytes: int
) -> None:
    append(wal, 0)
    wal.sync()
    mark = wal.mark()
    append(wal, 1, 2)
    monkeypatch.setattr(wal_module, "write_all", failing(errno.ENOSPC, after_bytes))
    with pytest.raises(OSError, match="No space"):
        wal.sync()
    monkeypatch.undo()
    wal.rollback_to(mark)
    append(wal, 1, size=30)
    wal.sync()
    log = reopened(wal, tmp_path)
    assert [record.body for record in log.replay(0)] == [body_of(0), body_of(1, 30)]
    log.close()


def test_a_full_disk_may_show_while_appending(wal: Wal, monkeypatch: pytest.MonkeyPatch) -> None:
    append(wal, 0)
    wal.sync()
    monkeypatch.setattr(wal_module, "write_all", failing(errno.ENOSPC, 4000))
    with pytest.raises(OSError, match="No space"):
        wal.append(1, 1, bytes(2 << 20))
    monkeypatch.undo()
    wal.rollback_to(0)
    append(wal, 1)
    wal.sync()
    assert seqs(wal) == [0, 1]


def test_a_real_write_limit_fails_and_recovers(tmp_path: Path) -> None:
    """The kernel itself cuts the write short (a limit on the file's size stands for a full disk)."""
    resource = pytest.importorskip("resource")
    log = Wal.open(tmp_path / "wal")
    append(log, 0)
    log.sync()
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, old[1]))
    try:
        append(log, 1, size=50_000)
        with pytest.raises(OSError, match="too large"):
            log.sync()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    log.rollback_to(0)
    append(log, 1)
    log.sync()
    assert seqs(log) == [0, 1]
    log.close()


def test_after_a_failed_fdatasync_the_log_is_refused_until_reopened(
    wal: Wal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(wal, 0)
    wal.sync()

    def broken(_fd: int) -> None:
        raise OSError(errno.EIO, "broken disk")

    monkeypatch.setattr(os, "fdatasync", broken)
    append(wal, 1)
    with pytest.raises(OSError, match="broken disk"):
        wal.sync()
    monkeypatch.undo()
    with pytest.raises(OSError, match="opened again"):
        wal.sync()
    with pytest.raises(OSError, match="opened again"):
        append(wal, 2)
    wal.rollback_to(0)
    log = reopened(wal, tmp_path)
    assert seqs(log) == [0]
    log.close()


# --- the front and the back ---------------------------------------------------------------------------


def test_trim_keeps_the_file_that_holds_the_given_seq(small_files: Wal, tmp_path: Path) -> None:
    for first in (0, 2, 4):
        append(small_files, first, first + 1)
        small_files.sync()
    small_files.trim(3)
    assert file_names(tmp_path) == [2, 4]
    assert small_files.first_seq == 2
    with pytest.raises(WalTrimmed, match="begins at seq 2"):
        small_files.replay(1)
    small_files.trim(100)
    assert file_names(tmp_path) == [4]


def test_trim_keeps_the_newest_closed_files_up_to_a_size(small_files: Wal, tmp_path: Path) -> None:
    for seq in range(6):
        append(small_files, seq, size=1000)
        small_files.sync()
    small_files.trim(100, keep_bytes=2500)
    assert file_names(tmp_path) == [2, 3, 4, 5]  # three closed ones, the last is not counted
    small_files.trim(3, keep_bytes=0)
    assert file_names(tmp_path) == [3, 4, 5]
    small_files.trim(4, keep_bytes=10**9)
    assert file_names(tmp_path) == [3, 4, 5]


def test_what_was_kept_on_trimming_is_replayed(small_files: Wal, tmp_path: Path) -> None:
    for seq in range(4):
        append(small_files, seq, size=1000)
        small_files.sync()
    small_files.trim(4, keep_bytes=1)
    log = reopened(small_files, tmp_path)
    assert (log.first_seq, seqs(log)) == (2, [2, 3])
    log.close()


@pytest.mark.parametrize("capacity_mb", [0, 1])
def test_a_log_may_begin_after_what_came_from_elsewhere(tmp_path: Path, capacity_mb: int) -> None:
    log = Wal.begin_after(tmp_path / "wal", 41, 3, capacity_mb=capacity_mb)
    assert (log.first_seq, log.last_seq, log.last_term, log.synced_seq) == (42, 41, 3, 41)
    log = reopened(log, tmp_path)
    assert (log.first_seq, log.last_seq, log.last_term) == (42, 41, 3)
    assert list(log.replay(42)) == []
    with pytest.raises(WalTrimmed, match="begins at seq 42"):
        log.replay(41)
    with pytest.raises(ValueError, match="does not continue"):
        append(log, 42, term=2)
    append(log, 42, term=3)
    log.sync()
    append(log, 43, term=3)
    log.rollback_to(42)
    log = reopened(log, tmp_path)
    assert seqs(log) == [42]
    log.cut_after(41)
    assert (log.last_seq, log.last_term) == (41, 3)
    log.close()


def test_a_log_that_begins_after_nothing_is_a_new_one(tmp_path: Path) -> None:
    log = Wal.begin_after(tmp_path / "wal", -1, 0)
    append(log, 0)
    log.sync()
    log = reopened(log, tmp_path)
    assert seqs(log) == [0]
    log.close()


def test_a_log_does_not_begin_where_there_is_one(wal: Wal, tmp_path: Path) -> None:
    append(wal, 0)
    wal.sync()
    with pytest.raises(FileExistsError, match="a log already"):
        Wal.begin_after(tmp_path / "wal", 7, 1)
    assert seqs(wal) == [0]


def test_a_log_cannot_begin_after_an_impossible_position(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot begin after seq -2"):
        Wal.begin_after(tmp_path / "wal", -2, 0)


def test_a_trimmed_log_remembers_where_it_stands(small_files: Wal, tmp_path: Path) -> None:
    append(small_files, 0, term=3)
    small_files.sync()
    append(small_files, 1, term=4)
    small_files.rollback_to(0)
    small_files.trim(1)
    log = reopened(small_files, tmp_path)
    assert (log.last_seq, log.last_term, log.first_seq) == (0, 3, 1)
    append(log, 1, term=4)
    log.sync()
    assert seqs(log) == [1]
    log.close()


@settings(max_examples=12, deadline=None)
@given(
    groups=st.lists(st.integers(1, 4), min_size=1, max_size=6),
    capacity=st.sampled_from([1, 200, 10_000]),
    data=st.data(),
)
def test_cut_after_leaves_exactly_the_records_up_to_a_seq(
    tmp_path_factory: pytest.TempPathFactory, groups: list[int], capacity: int, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("cut")
    log = Wal.open(directory / "wal")
    log._capacity_bytes = capacity
    last = 9
    for term, size in enumerate(groups, start=1):
        append(log, *range(last + 1, last + 1 + size), term=term)
        last += size
        log.sync()
    before = list(log.replay(10))
    cut = data.draw(st.integers(9, last))
    log.cut_after(cut)
    kept = [record for record in before if record.seq <= cut]
    assert (log.last_seq, log.last_term) == (cut, kept[-1].term if kept else 0)
    append(log, cut + 1, term=99)
    log.sync()
    log = reopened(log, directory)
    assert list(log.replay(10)) == [*kept, WalRecord(99, cut + 1, body_of(cut + 1))]
    log.close()


def test_a_cut_before_the_beginning_or_of_an_open_group_is_refused(wal: Wal) -> None:
    append(wal, 5)
    with pytest.raises(ValueError, match="synced"):
        wal.cut_after(5)
    wal.sync()
    with pytest.raises(ValueError, match="begins at seq 5"):
        wal.cut_after(3)
    wal.cut_after(8)
    assert seqs(wal) == [5]


def test_a_long_last_file_that_nobody_needs_is_ended(
    wal: Wal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wal_module, "NEEDLESS_BYTES_MAX", 1000)
    append(wal, 0, 1, 2, term=3, size=400)
    wal.sync()
    wal.trim(2)  # record 2 is still needed
    wal.trim(3, keep_bytes=1)  # and here others may need them all
    assert file_names(tmp_path) == [0]
    append(wal, 3, term=3)
    wal.trim(4)  # not synced yet
    assert file_names(tmp_path) == [0]
    wal.sync()
    wal.trim(4)
    assert file_names(tmp_path) == [4]
    assert (wal.first_seq, wal.last_seq, wal.last_term) == (4, 3, 3)
    again = reopened(wal, tmp_path)
    assert (again.first_seq, again.last_seq, again.last_term) == (4, 3, 3)
    append(again, 4, term=3)
    again.sync()
    again.trim(5)
    assert (file_names(tmp_path), seqs(again)) == ([4], [4])
    again.close()
