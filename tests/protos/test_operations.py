"""The log format: what was written yesterday is read today."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos.operations import (
    AddVectorName,
    CreateIndex,
    DropIndex,
    DropPayloadKeys,
    EmptyPayload,
    LogEntry,
    MergePayload,
    Noop,
    PutPoints,
    PutVectors,
    RemovePoints,
    RemoveVectorName,
    RemoveVectors,
    ReplacePayload,
    VectorBatch,
    decode_entry,
    encode_entry,
)

BATCH = VectorBatch("text", 2, np.array([[1, 2], [3, 4]], dtype="<f4").tobytes())
OPERATIONS = [
    PutPoints([1, "936da01f-9abd-4d9d-80c7-02af85c822a8"], (BATCH,), [b'{"a":1}', b"{}"]),
    RemovePoints([1, 2]),
    PutVectors([2**64 - 1], (BATCH,)),
    RemoveVectors([3], ("", "text")),
    MergePayload([1], b'{"a":null}', "b[].c"),
    ReplacePayload([1], b"{}"),
    DropPayloadKeys([1], ("a", "b.c")),
    EmptyPayload([1]),
    CreateIndex("city", b'"keyword"'),
    DropIndex("city"),
    AddVectorName("image", b"{}"),
    RemoveVectorName("image"),
    Noop(),
]

# Format 1, as the first release wrote it. These bytes never change.
FIRST_RELEASE = bytes.fromhex("019394a67365745f706c9101c4027b7da161c4026f7007")


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: type(operation).__name__)
def test_every_log_operation_reads_back_equal(operation: object) -> None:
    entry = LogEntry(operation, b"op", 3)  # type: ignore[arg-type]
    assert decode_entry(encode_entry(entry)) == entry


def test_an_entry_of_the_first_release_is_still_read() -> None:
    expected = LogEntry(MergePayload([1], b"{}", "a"), b"op", 7)
    assert encode_entry(expected)[0] == 1
    assert decode_entry(FIRST_RELEASE) == expected


def test_a_newer_format_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="log format 9 is not known here"):
        decode_entry(b"\x09\x90")


@given(st.binary(min_size=1, max_size=64))
def test_bytes_that_are_no_entry_are_refused(data: bytes) -> None:
    try:
        decode_entry(data)
    except ValueError:
        return
    assert data[0] == 1


def test_a_batch_without_rows_gives_one_vector_to_each_point() -> None:
    assert BATCH.row_of_point(2).tolist() == [0, 1]
    assert BATCH.matrix().tolist() == [[1, 2], [3, 4]]


def test_rows_say_which_points_have_the_vector() -> None:
    batch = VectorBatch("text", 2, BATCH.data, np.array([1, 3], dtype="<u4").tobytes())
    assert batch.row_of_point(4).tolist() == [-1, 0, -1, 1]
