"""Payload operations on one payload (reference 8.5)."""

from __future__ import annotations

import pytest

from node.replica.payloads import DEPTH_MAX, PayloadOperation, edit_of
from protos.errors import MalformedBody
from protos.json_path import STEPS_MAX
from protos.operations import DropPayloadKeys, EmptyPayload, MergePayload, ReplacePayload


@pytest.mark.parametrize(
    ("operation", "before", "after"),
    [
        (MergePayload([1], b'{"b":2,"a":null}'), b'{"a":1,"c":3}', b'{"c":3,"b":2}'),
        (MergePayload([1], b'{"x":1}', "a.b"), b'{"a":{"b":{"y":2}}}', b'{"a":{"b":{"y":2,"x":1}}}'),
        (MergePayload([1], b'{"x":1}', "a"), b"{}", b'{"a":{"x":1}}'),
        (ReplacePayload([1], b'{"z":null}'), b'{"a":1}', b'{"z":null}'),
        (DropPayloadKeys([1], ("a.b", "c")), b'{"a":{"b":1,"d":2},"c":3}', b'{"a":{"d":2}}'),
        (EmptyPayload([1]), b'{"a":1}', b"{}"),
    ],
)
def test_an_edit_changes_a_payload_as_its_operation_says(
    operation: PayloadOperation, before: bytes, after: bytes
) -> None:
    assert edit_of(operation)(before) == after


def test_numbers_keep_their_kind_and_value() -> None:
    before = b'{"big":18446744073709551615,"small":-9223372036854775808,"f":1.0}'
    assert edit_of(MergePayload([1], b"{}"))(before) == before


def test_doing_an_edit_twice_equals_doing_it_once() -> None:
    for operation in (
        MergePayload([1], b'{"b":{"c":1},"a":null}', "k[].j"),
        DropPayloadKeys([1], ("k[]", "a[0]", "b")),
    ):
        edit = edit_of(operation)
        once = edit(b'{"k":[{"j":1},2],"a":[1,2],"b":3}')
        assert edit(once) == once


def test_the_deepest_payload_at_the_end_of_the_longest_path_can_be_stored() -> None:
    """An edit comes after the log, where nothing may fail any more."""
    deepest = b'{"a":' * (DEPTH_MAX - 1) + b"{}" + b"}" * (DEPTH_MAX - 1)
    path = ".".join(["k"] * STEPS_MAX)
    edit = edit_of(MergePayload([1], deepest, path))
    once = edit(deepest)
    assert once.count(b'"k":') == STEPS_MAX
    assert edit(once) == once
    assert edit_of(DropPayloadKeys([1], (path,)))(once).count(b'"k":') == STEPS_MAX - 1
    with pytest.raises(MalformedBody, match="nest at most"):
        edit_of(MergePayload([1], b'{"a":' + deepest + b"}", path))
