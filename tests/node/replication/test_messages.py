import pytest

from node.replication.messages import (
    Align,
    Append,
    Detach,
    Entry,
    Grant,
    Message,
    Reply,
    Status,
    decode_message,
    encode_message,
)

APPEND = Append(
    term=3,
    session=2,
    number=7,
    sent_ms=1000,
    prev_term=2,
    prev_seq=41,
    committed=40,
    entries=(Entry(3, 42, b"one"), Entry(3, 43, b"two")),
    grant=Grant(incarnation=5, clock_ms=99, lease_ms=750),
)
# Bytes that a program of this format has written; they must stay readable, and mean the same.
WRITTEN: list[tuple[Message, str]] = [
    (Align(3, 2, 1, 1000, ((0, -1), (1, 0), (3, 42))), "0196a5616c69676e030201cd03e8939200ff92010092032a"),
    (Detach(3, 2, 6, 1000, 5), "0196a6646574616368030206cd03e805"),
    (APPEND, "019aa6617070656e64030207cd03e80229289293032ac4036f6e6593032bc40374776f930563cd02ee"),
    (
        Reply(3, 2, 7, 1000, 5, 99, Status.GAP, 41, 40, 39, -1, True),
        "019ea57265706c79030207cd03e8056301292827ffc3c2",
    ),
]
# Written before a field was added.
OLDER: list[tuple[Message, str]] = [
    (
        Reply(3, 2, 7, 1000, 5, 99, Status.GAP, 41, 40, 39, -1, True, wants_lease=False),
        "019da57265706c79030207cd03e8056301292827ffc3",
    ),
]


@pytest.mark.parametrize(("message", "written"), WRITTEN)
def test_bytes_written_by_format_1_mean_what_they_meant(message: Message, written: str) -> None:
    assert decode_message(bytes.fromhex(written)) == message
    assert encode_message(message).hex() == written


@pytest.mark.parametrize(("message", "written"), OLDER)
def test_bytes_of_before_a_field_was_added_stay_readable(message: Message, written: str) -> None:
    assert decode_message(bytes.fromhex(written)) == message


def test_a_heartbeat_needs_neither_entries_nor_a_lease() -> None:
    message = Append(1, 1, 1, 1, 0, -1, -1)
    assert decode_message(encode_message(message)) == message


@pytest.mark.parametrize(
    "data", [b"", b"\x02\x90", b"\x01", b"\x01\x90", b"\x01\x91\xa7unknown", b"\x01\xff"]
)
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="message"):
        decode_message(data)
