"""Damage to the log's files: what was synced is reported when damaged, what was not is cut."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.storage import wal as wal_module
from node.storage.wal import Wal, WalCorrupted, WalFormatUnknown, WalRecord, WalTrimmed
from node.storage.wal_format import FILE_HEADER_BYTES, FRAME_HEADER_BYTES, read_file_header, synced_claim
from protos.files import write_all

SYNCED = [WalRecord(1 + seq // 3, seq, b"record %d" % seq) for seq in range(7)]
UNSYNCED = [WalRecord(9, seq, b"unsynced %d" % seq) for seq in (7, 8)]


def build(directory: Path, *, unsynced: bool, capacity_mb: int = 32) -> list[Path]:
    """Groups of three synced records, and two more written but not synced; returns the files."""
    log = Wal.open(directory, capacity_mb=capacity_mb)
    for record in SYNCED:
        log.append(*record)
        if record.seq % 3 == 2:
            log.sync()
    log.sync()
    if unsynced:
        for record in UNSYNCED:
            log.append(*record)
        log._flush()
    log.close()
    return sorted(directory.iterdir())


def outcome(directory: Path) -> list[WalRecord] | None:
    """The records after reopening, None if the log is reported as damaged."""
    try:
        log = Wal.open(directory)
    except WalCorrupted:
        return None
    try:
        return list(log.replay(0))
    except (WalCorrupted, WalTrimmed):
        return None
    finally:
        log.close()


def with_flipped_bit(path: Path, content: bytes, bit: int) -> None:
    damaged = bytearray(content)
    damaged[bit >> 3] ^= 1 << (bit & 7)
    path.write_bytes(damaged)


def flip_bits(directory: Path, path: Path, step: int) -> list[list[WalRecord] | None]:
    """The outcome of flipping every ``step``-th bit of the file, each on a fresh copy."""
    content = path.read_bytes()
    outcomes = []
    for bit in range(0, len(content) * 8, step):
        copy = directory.with_name("copy")
        shutil.copytree(directory, copy)
        with_flipped_bit(copy / path.name, content, bit)
        outcomes.append(outcome(copy))
        shutil.rmtree(copy)
    return outcomes


@pytest.mark.slow
@pytest.mark.parametrize("unsynced", [False, True])
def test_a_flipped_bit_in_any_byte_is_reported_or_touches_only_what_was_never_synced(
    tmp_path: Path, unsynced: bool
) -> None:
    [path] = build(tmp_path / "wal", unsynced=unsynced)
    for found in flip_bits(tmp_path / "wal", path, step=7):  # so every bit of a byte has its turn
        if found is not None:
            assert found[: len(SYNCED)] == SYNCED
            assert found[len(SYNCED) :] == UNSYNCED[: len(found) - len(SYNCED)]


def test_a_flipped_bit_in_any_synced_record_is_reported(tmp_path: Path) -> None:
    """The quick form of the test above."""
    [path] = build(tmp_path / "wal", unsynced=False)
    last_mark = 8 * (path.stat().st_size - FRAME_HEADER_BYTES)
    outcomes = flip_bits(tmp_path / "wal", path, step=57)
    for at, found in enumerate(outcomes):
        assert found is None or (at * 57 >= last_mark and found == SYNCED)
    assert outcomes.count(None) >= last_mark // 57


def test_a_flipped_bit_in_an_earlier_file_is_reported_when_it_is_replayed(tmp_path: Path) -> None:
    first, *_ = build(tmp_path / "wal", unsynced=False, capacity_mb=0)
    last_mark = 8 * (first.stat().st_size - FRAME_HEADER_BYTES)
    for at, found in enumerate(flip_bits(tmp_path / "wal", first, step=41)):
        assert found is None or (at * 41 >= last_mark and found == SYNCED)


def test_a_report_names_file_offset_and_seq(tmp_path: Path) -> None:
    [path] = build(tmp_path / "wal", unsynced=False)
    content = path.read_bytes()
    at = content.index(b"record 4")
    with_flipped_bit(path, content, 8 * at)
    with pytest.raises(WalCorrupted) as caught:
        Wal.open(tmp_path / "wal")
    assert (caught.value.path, caught.value.offset) == (path, at - FRAME_HEADER_BYTES)
    assert caught.value.seq == 4
    assert str(path) in str(caught.value)


def test_a_log_cut_at_any_byte_of_its_unsynced_tail_keeps_all_that_was_synced(tmp_path: Path) -> None:
    [path] = build(tmp_path / "wal", unsynced=True)
    content = path.read_bytes()
    tail = content.index(b"unsynced 7") - FRAME_HEADER_BYTES
    for size in range(tail - FRAME_HEADER_BYTES, len(content)):
        path.write_bytes(content[:size])
        found = outcome(tmp_path / "wal")
        assert found is not None
        assert found == (SYNCED + UNSYNCED)[: len(found)]
        assert len(found) >= len(SYNCED)


def test_a_torn_tail_is_cut_and_the_log_goes_on(tmp_path: Path) -> None:
    [path] = build(tmp_path / "wal", unsynced=True)
    os.truncate(path, path.stat().st_size - 1)
    log = Wal.open(tmp_path / "wal")
    assert log.last_seq == 7
    log.append(9, 8, b"again")
    log.sync()
    log.close()
    assert outcome(tmp_path / "wal") == [*SYNCED, UNSYNCED[0], WalRecord(9, 8, b"again")]


@pytest.mark.parametrize("garbage", [b"\x00" * 5000, b"\xff" * 7, bytes(range(256)) * 20])
def test_garbage_after_the_last_sync_is_cut(tmp_path: Path, garbage: bytes) -> None:
    [path] = build(tmp_path / "wal", unsynced=False)
    with path.open("ab") as file:
        file.write(garbage)
    assert outcome(tmp_path / "wal") == SYNCED


def test_a_hole_within_the_unsynced_group_takes_the_rest_of_the_group_with_it(tmp_path: Path) -> None:
    """Blocks of one group reach the disk in any order: the second record may be there, the first not."""
    [path] = build(tmp_path / "wal", unsynced=True)
    content = bytearray(path.read_bytes())
    at = content.index(b"unsynced 7")
    content[at : at + 10] = bytes(10)
    path.write_bytes(content)
    assert outcome(tmp_path / "wal") == SYNCED


def test_without_a_mark_the_next_group_still_vouches_for_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Wal, "_write_mark", lambda self: None)
    [path] = build(tmp_path / "wal", unsynced=True)
    monkeypatch.undo()
    content = path.read_bytes()
    with_flipped_bit(path, content, 8 * content.index(b"record 6"))
    assert outcome(tmp_path / "wal") is None


def test_what_opening_or_cutting_kept_is_vouched_for_from_then_on(tmp_path: Path) -> None:
    [path] = build(tmp_path / "wal", unsynced=True)
    for body, cut in ((b"unsynced 7", 7), (b"record 4", 4)):
        log = Wal.open(tmp_path / "wal")
        log.cut_after(cut)
        log.close()
        content = path.read_bytes()
        with_flipped_bit(path, content, 8 * content.index(body))
        assert outcome(tmp_path / "wal") is None
        path.write_bytes(content)


@pytest.mark.parametrize("scan_bytes", [1, 7, 40, 41, 64])
def test_claims_are_found_wherever_the_reading_of_the_file_is_divided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scan_bytes: int
) -> None:
    [path] = build(tmp_path / "wal", unsynced=False)
    monkeypatch.setattr("node.storage.wal_format._SCAN_BYTES", scan_bytes)
    with path.open("rb") as file:
        seed = read_file_header(file, path).seed
        size = path.stat().st_size
        for offset in range(0, size - FRAME_HEADER_BYTES, 11):
            assert synced_claim(file, offset, seed) == size - FRAME_HEADER_BYTES
        assert synced_claim(file, size - FRAME_HEADER_BYTES + 1, seed) == 0


def test_a_mark_that_cannot_be_written_does_not_fail_the_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Wal.open(tmp_path / "wal")
    log.append(1, 0, b"first")

    def full_after_the_records(fd: int, chunks: list[bytes]) -> None:
        if len(chunks) == 1:
            os.write(fd, chunks[0][:10])
            raise OSError(errno.ENOSPC, "full")
        write_all(fd, chunks)

    monkeypatch.setattr(wal_module, "write_all", full_after_the_records)
    log.sync()
    monkeypatch.undo()
    log.append(1, 1, b"second")
    log.sync()
    log.close()
    assert outcome(tmp_path / "wal") == [WalRecord(1, 0, b"first"), WalRecord(1, 1, b"second")]


def test_a_missing_or_shortened_earlier_file_is_reported(tmp_path: Path) -> None:
    first, second, _ = build(tmp_path / "wal", unsynced=False, capacity_mb=0)
    content = second.read_bytes()
    second.unlink()
    assert outcome(tmp_path / "wal") is None
    for size in (0, FILE_HEADER_BYTES, content.index(b"record 5") - FRAME_HEADER_BYTES):
        second.write_bytes(content[:size])
        assert outcome(tmp_path / "wal") is None
    second.write_bytes(content)
    assert outcome(tmp_path / "wal") == SYNCED
    first.unlink()
    log = Wal.open(tmp_path / "wal")
    assert log.first_seq == 3
    log.close()


def test_files_exchanged_for_one_another_are_reported(tmp_path: Path) -> None:
    first, second, _ = build(tmp_path / "wal", unsynced=False, capacity_mb=0)
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    assert outcome(tmp_path / "wal") is None


def test_a_file_of_a_newer_program_is_refused_without_calling_it_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.storage.wal_format.FORMAT", 2)
    build(tmp_path / "wal", unsynced=False)
    monkeypatch.undo()
    with pytest.raises(WalFormatUnknown, match="format 2"):
        Wal.open(tmp_path / "wal")


def test_a_frame_inside_a_clients_body_vouches_for_nothing(tmp_path: Path) -> None:
    """A body that holds another log's bytes must not turn a torn tail into a report of damage."""
    [other] = build(tmp_path / "other", unsynced=False)
    log = Wal.open(tmp_path / "wal")
    log.append(1, 0, b"kept")
    log.sync()
    log.append(1, 1, b"x" * 3000 + other.read_bytes())
    log._flush()
    log.close()
    [path] = (tmp_path / "wal").iterdir()
    os.truncate(path, path.stat().st_size - 1)
    assert outcome(tmp_path / "wal") == [WalRecord(1, 0, b"kept")]


def test_a_left_over_draft_of_a_file_is_removed(tmp_path: Path) -> None:
    build(tmp_path / "wal", unsynced=False)
    (tmp_path / "wal" / "00000000000000000007.tmp").write_bytes(b"VCR")
    assert outcome(tmp_path / "wal") == SYNCED
    assert [path.suffix for path in (tmp_path / "wal").iterdir()] == [".wal"]


@settings(max_examples=15, deadline=None)
@given(
    groups=st.lists(st.lists(st.integers(1, 600), min_size=1, max_size=4), min_size=1, max_size=4),
    hurt=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=3),
    data=st.data(),
)
def test_a_crash_that_spoils_any_part_of_the_last_group_loses_only_that_group(
    tmp_path_factory: pytest.TempPathFactory,
    groups: list[list[int]],
    hurt: list[tuple[float, int]],
    data: st.DataObject,
) -> None:
    directory = tmp_path_factory.mktemp("crash") / "wal"
    log = Wal.open(directory)
    records: list[WalRecord] = []
    for group in groups:
        safe, size = len(records), log.size_bytes
        for length in group:
            records.append(WalRecord(1, len(records), os.urandom(length)))
            log.append(*records[-1])
        if group is groups[-1]:
            log._flush()
        else:
            log.sync()
    log.close()
    [path] = directory.iterdir()
    content = bytearray(path.read_bytes())
    start = max(size, FILE_HEADER_BYTES)
    for where, flip in hurt:
        content[start + int(where * (len(content) - start - 1))] ^= flip
    path.write_bytes(content[: data.draw(st.integers(start, len(content)))])
    found = outcome(directory)
    assert found is not None
    assert found == records[: len(found)]
    assert len(found) >= safe


def test_what_fdatasync_covered_holds_every_acknowledged_record_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that stops keeps, of each file, what it had at its last sync."""
    image = tmp_path / "image"
    image.mkdir()

    def keep(fd: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{fd}"))
        (image / path.name).write_bytes(path.read_bytes())

    monkeypatch.setattr(os, "fdatasync", keep)
    log = Wal.open(tmp_path / "wal")
    for record in SYNCED:
        log.append(*record)
        log.sync()
        assert outcome(image) == SYNCED[: record.seq + 1]
    log.append(*UNSYNCED[0])
    log._flush()
    log.close()
    log = Wal.open(tmp_path / "wal")  # after a mere kill the record is there, and from now on it counts
    assert outcome(image) == [*SYNCED, UNSYNCED[0]]
    log.cut_after(3)
    assert outcome(image) == SYNCED[:4]
    log.close()


_WRITER = """
import sys
from pathlib import Path
from node.storage.wal import Wal
log = Wal.open(Path(sys.argv[1]), capacity_mb=1)
seq = 0
while True:
    for _ in range(3):
        log.append(1, seq, b"%d" % seq + bytes(5000))
        seq += 1
    log.sync()
    print(seq - 1, flush=True)
"""


def test_every_record_acknowledged_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path / "wal")], stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        acknowledged = [int(child.stdout.readline()) for _ in range(200)][-1]
        child.send_signal(signal.SIGKILL)
        acknowledged = [acknowledged, *map(int, child.stdout.read().split())][-1]
    found = outcome(tmp_path / "wal")
    assert found is not None
    assert len(found) > acknowledged
    assert all(record.body.startswith(b"%d\x00" % at) for at, record in enumerate(found))
