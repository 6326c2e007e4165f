from __future__ import annotations

import uuid

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from qdrant_client.local.siphash import point_id_slice

from node.filter.siphash import id_hash, number_hashes, uuid_hashes
from protos.ids import ID_MAX

PRIME = 2**31 - 1


@given(st.integers(0, ID_MAX) | st.uuids().map(str))
def test_ids_hash_as_the_client_hashes_them(point_id: int | str) -> None:
    assert id_hash(point_id) % PRIME == point_id_slice(point_id, PRIME)


@given(st.lists(st.integers(0, ID_MAX), max_size=5), st.lists(st.uuids(), max_size=5))
def test_arrays_of_ids_hash_as_single_ones(numbers: list[int], uuids: list[uuid.UUID]) -> None:
    assert number_hashes(np.array(numbers, dtype=np.uint64)).tolist() == [
        id_hash(number) for number in numbers
    ]
    raw = np.frombuffer(b"".join(each.bytes for each in uuids), np.uint8).reshape(-1, 16)
    assert uuid_hashes(raw).tolist() == [id_hash(str(each)) for each in uuids]
