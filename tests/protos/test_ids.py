"""Point ids: what is accepted, their canonical form and their order (reference 8.1)."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos.errors import MalformedBody
from protos.ids import ID_MAX, PointId, id_from_key, id_key, parse_point_id, parse_point_id_text

POINT_IDS = st.one_of(st.integers(0, ID_MAX), st.uuids().map(str))


@pytest.mark.parametrize(
    "text",
    [
        "936DA01F9ABD4D9D80C702AF85C822A8",
        "936da01f-9abd-4d9d-80c7-02af85c822a8",
        "urn:uuid:936da01f-9abd-4d9d-80c7-02af85c822a8",
        "{936da01f-9abd-4d9d-80c7-02af85c822a8}",
    ],
)
def test_every_form_of_a_uuid_becomes_lower_case_and_hyphenated(text: str) -> None:
    assert parse_point_id(text) == "936da01f-9abd-4d9d-80c7-02af85c822a8"


@pytest.mark.parametrize("value", [-1, ID_MAX + 1, 1.0, True, None, "12", "abc", [], "g" * 32, "é" * 36])
def test_anything_else_is_refused_with_the_documented_text(value: object) -> None:
    with pytest.raises(MalformedBody, match="is not a valid point ID, valid values are either"):
        parse_point_id(value)


def test_a_path_segment_is_read_as_a_number_first() -> None:
    assert parse_point_id_text("00000000000000000000000000000012") == 12
    assert parse_point_id_text("10000000000000000000000000000012") == "10000000-0000-0000-0000-000000000012"
    assert parse_point_id_text("0" * 5000 + "12") == 12
    assert parse_point_id_text("1" * 5000) is None
    assert parse_point_id_text("7") == 7
    assert parse_point_id_text("-7") is None
    assert parse_point_id_text("²") is None


@given(POINT_IDS)
def test_a_key_gives_back_its_id(point_id: PointId) -> None:
    assert id_from_key(id_key(point_id)) == point_id


@given(st.lists(POINT_IDS))
def test_keys_sort_numbers_first_then_uuids_by_bytes(ids: list[PointId]) -> None:
    numbers = sorted(i for i in ids if isinstance(i, int))
    texts = sorted((i for i in ids if isinstance(i, str)), key=lambda text: uuid.UUID(text).bytes)
    assert [id_from_key(key) for key in sorted(map(id_key, ids))] == [*numbers, *texts]
