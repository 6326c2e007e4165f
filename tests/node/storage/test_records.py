import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.storage.records import RecordCorrupted, StoredRecord, pack_record, unpack_record
from protos.ids import id_key


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
