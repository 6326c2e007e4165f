"""The Raft log on disk: what was synced comes back, what was torn is cut, what was damaged is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from consensus.raft.files import OsFiles
from consensus.raft.journal import LOG, META, DurableJournal, JournalDamaged, encode_record

ENTRIES = [(b"\x01", 1, 0), (b"\x00one", 2, 1), (b"\x00two", 3, 1), (b"\x00" * 300, 4, 2)]

# Format 1 as the first release wrote it: one record of index 2, term 1. These bytes never change.
FIRST_RELEASE = encode_record((b"\x00one", 2, 1))


def written(directory: Path) -> DurableJournal:
    journal = DurableJournal(OsFiles(directory))
    for entry in ENTRIES:
        journal.add(*entry)
    journal.setCurrentTerm(7, "n1")
    journal.setRaftCommitIndex(3)
    return journal


def reopened(directory: Path) -> DurableJournal:
    return DurableJournal(OsFiles(directory))


def test_a_reopened_journal_has_its_entries_term_and_vote(tmp_path: Path) -> None:
    written(tmp_path)
    journal = reopened(tmp_path)
    assert journal[:] == ENTRIES
    assert (journal.getCurrentTerm(), journal.getVotedForNodeId()) == (7, "n1")


def test_the_commit_index_never_passes_the_last_entry(tmp_path: Path) -> None:
    journal = written(tmp_path)
    journal.setRaftCommitIndex(4)
    journal.setCurrentTerm(8, None)
    journal.deleteEntriesFrom(2)
    assert journal.getRaftCommitIndex() == 2


def test_the_commit_index_is_kept_once_a_second_and_never_ahead_of_the_log(tmp_path: Path) -> None:
    journal = written(tmp_path)
    assert reopened(tmp_path).getRaftCommitIndex() == 1
    journal.onOneSecondTimer()
    assert reopened(tmp_path).getRaftCommitIndex() == 3


def test_cutting_and_trimming_survive_a_restart(tmp_path: Path) -> None:
    journal = written(tmp_path)
    journal.deleteEntriesFrom(3)
    journal.deleteEntriesTo(1)
    journal.add(b"\x00new", 4, 3)
    journal.sync()
    assert journal[:] == reopened(tmp_path)[:] == [*ENTRIES[1:3], (b"\x00new", 4, 3)]


@pytest.mark.parametrize("cut", range(1, len(encode_record(ENTRIES[-1])), 37))
def test_a_torn_last_record_is_cut_and_the_rest_kept(tmp_path: Path, cut: int) -> None:
    written(tmp_path)
    data = (tmp_path / LOG).read_bytes()
    (tmp_path / LOG).write_bytes(data[:-cut])
    journal = reopened(tmp_path)
    assert journal[:] == ENTRIES[:-1]
    assert (tmp_path / LOG).stat().st_size == sum(len(encode_record(entry)) for entry in ENTRIES[:-1])


def test_a_flipped_bit_before_the_last_record_is_refused(tmp_path: Path) -> None:
    written(tmp_path)
    data = (tmp_path / LOG).read_bytes()
    end_of_last_but_one = len(data) - len(encode_record(ENTRIES[-1]))
    for position in range(end_of_last_but_one):
        damaged = bytearray(data)
        damaged[position] ^= 0x10
        (tmp_path / LOG).write_bytes(damaged)
        with pytest.raises(JournalDamaged, match="is damaged"):
            reopened(tmp_path)


def test_damaged_terms_and_votes_are_refused(tmp_path: Path) -> None:
    written(tmp_path)
    damaged = bytearray((tmp_path / META).read_bytes())
    damaged[-2] ^= 1
    (tmp_path / META).write_bytes(damaged)
    with pytest.raises(JournalDamaged, match="checksum"):
        reopened(tmp_path)


def test_the_record_format_is_fixed() -> None:
    assert FIRST_RELEASE.hex() == (
        "04000000" + FIRST_RELEASE[4:8].hex() + "0200000000000000" + "0100000000000000" + "006f6e65"
    )
