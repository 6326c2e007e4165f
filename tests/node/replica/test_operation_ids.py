"""The bounded memory of operation ids."""

from __future__ import annotations

from node.replica.operation_ids import OperationIds


def test_a_repeated_id_names_the_first_seq() -> None:
    ids = OperationIds()
    ids.remember(b"a", 3, now_ms=0)
    ids.remember(b"a", 9, now_ms=1)
    assert ids.seq_of(b"a", now_ms=2) == 3


def test_unknown_and_empty_ids_have_no_seq() -> None:
    ids = OperationIds()
    ids.remember(b"", 3, now_ms=0)
    assert ids.seq_of(b"", now_ms=0) is None
    assert ids.seq_of(b"b", now_ms=0) is None


def test_an_id_is_forgotten_after_its_time_and_may_be_used_again() -> None:
    ids = OperationIds(ttl_ms=10)
    ids.remember(b"a", 3, now_ms=0)
    assert ids.seq_of(b"a", now_ms=10) == 3
    assert ids.seq_of(b"a", now_ms=11) is None
    ids.remember(b"a", 8, now_ms=11)
    assert ids.seq_of(b"a", now_ms=11) == 8


def test_the_oldest_ids_go_when_there_are_too_many() -> None:
    ids = OperationIds(limit=2)
    for seq, name in enumerate([b"a", b"b", b"c"]):
        ids.remember(name, seq, now_ms=0)
    assert [ids.seq_of(name, now_ms=0) for name in (b"a", b"b", b"c")] == [None, 1, 2]


def test_saved_ids_keep_their_seq_and_age() -> None:
    ids = OperationIds(ttl_ms=10)
    ids.remember(b"a", 3, now_ms=0)
    ids.remember(b"b", 4, now_ms=7)
    other = OperationIds(ttl_ms=10)
    other.load(ids.dump())
    assert other.seq_of(b"b", now_ms=15) == 4
    assert other.seq_of(b"a", now_ms=15) is None
