import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.storage import unpacking
from node.storage.records import RecordCorrupted, StoredRecord, pack_record, unpack_record
from protos.ids import PointId, id_from_key, id_key


@given(st.integers(0, 2**64 - 1), st.binary(max_size=255), st.binary(max_size=400))
def test_a_record_comes_back_as_it_was_packed(version: int, key: bytes, payload: bytes) -> None:
    packed = pack_record(version, key, payload)
    assert unpack_record(packed) == StoredRecord(version, key, payload)


def test_any_flipped_bit_is_noticed() -> None:
    packed = pack_record(7, id_key(1), b'{"a":1}')
    for bit in range(len(packed) * 8):
        damaged = bytearray(packed)
        damaged[bit >> 3] ^= 1 << (bit & 7)
        with pytest.raises(RecordCorrupted):
            unpack_record(bytes(damaged))


def test_any_shortened_record_is_noticed() -> None:
    packed = pack_record(7, id_key(1), b'{"a":1}')
    for length in range(len(packed)):
        with pytest.raises(RecordCorrupted):
            unpack_record(packed[:length])


def test_a_record_of_a_newer_format_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.storage.records.FORMAT", 2)
    packed = pack_record(7, id_key(1), b"{}")
    monkeypatch.undo()
    with pytest.raises(RecordCorrupted, match="format 2 is not known"):
        unpack_record(packed)


# --- all that a search answers with, in one go ---------------------------------------------------------

ids = st.one_of(st.integers(0, 2**64 - 1), st.uuids().map(str))


@given(st.lists(st.tuples(ids, st.integers(0, 2**64 - 1), st.binary(max_size=100))), st.booleans())
def test_points_are_what_their_records_hold(wanted: list[tuple[PointId, int, bytes]], payloads: bool) -> None:
    packed: list[bytes | None] = [
        pack_record(version, id_key(id_), payload) for id_, version, payload in wanted
    ]
    found = unpacking.points(packed, lambda *point: point, payloads)
    assert found == [(id_, version, payload if payloads else None) for id_, version, payload in wanted]


@pytest.mark.parametrize("id_", [1, "c0ffee00-0000-4000-8000-0000000000ff"])
def test_any_damage_is_left_to_who_can_tell_it(id_: PointId) -> None:
    packed = pack_record(7, id_key(id_), b'{"a":1}')
    for bit in range(len(packed) * 8):
        damaged = bytearray(packed)
        damaged[bit >> 3] ^= 1 << (bit & 7)
        assert unpacking.points([packed, bytes(damaged)], lambda *point: point, True) is None
    for length in range(len(packed)):
        assert unpacking.points([packed[:length]], lambda *point: point, False) is None
    assert unpacking.points([packed, None], lambda *point: point, True) is None


@given(st.binary(max_size=20))
def test_a_key_that_is_no_id_is_left_too(key: bytes) -> None:
    sound = (len(key) == 9 and key[0] == 0) or (len(key) == 17 and key[0] == 1)
    found = unpacking.points([pack_record(1, key, b"{}")], lambda *point: point, True)
    assert found == ([(id_from_key(key), 1, b"{}")] if sound else None)


def test_what_cannot_be_made_is_told() -> None:
    def refuse(*_: object) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        unpacking.points([pack_record(1, id_key(1), b"{}")], refuse, False)
