"""Which changes a caller who is bound to a tenant may ask for."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos.errors import Forbidden
from protos.ids import PointId
from protos.json_path import delete_at, merge, parse_path, set_at
from protos.operations import (
    ClearPayload,
    DeletePayload,
    DeletePoints,
    DeleteVectors,
    OverwritePayload,
    PointChange,
    SetPayload,
    UpdateVectors,
    Upsert,
)
from router.auth.access import Match, filter_of
from router.tenants import _carries, within

ACME = (Match("org", "acme"),)
NESTED = (Match("meta.org[].id", 7), Match("on", True))
IDS: list[PointId] = [1]


def payload(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    "change",
    [
        Upsert(IDS, (), [payload({"org": "acme", "x": 1})]),
        Upsert(IDS, (), [payload({"org": ["acme"]})]),
        OverwritePayload(payload({"org": "acme"}), ids=IDS),
        SetPayload(payload({"x": 1}), ids=IDS),
        SetPayload(payload({"org": "acme", "x": 1}), ids=IDS),
        SetPayload(payload({"org": "evil"}), path="x", ids=IDS),
        DeletePayload(("x", "organisation"), ids=IDS),
        DeletePoints(ids=IDS),
        UpdateVectors(IDS, ()),
        DeleteVectors((), ids=IDS),
    ],
)
def test_changes_that_keep_to_the_tenant_are_made_of_its_points_alone(change: PointChange) -> None:
    assert within(change, ACME) == msgspec.structs.replace(change, within=filter_of(ACME))


@pytest.mark.parametrize(
    "change",
    [
        Upsert([1, 2], (), [payload({"org": "acme"}), payload({})]),
        Upsert(IDS, (), [payload({"org": "evil"})]),
        Upsert(IDS, (), [payload({"org": ["acme", "evil"]})]),
        Upsert(IDS, (), [payload({"org": []})]),
        Upsert(IDS, (), [b'{"org": "acme", "org": "evil"}']),
        OverwritePayload(payload({"x": 1}), ids=IDS),
        SetPayload(payload({"org": "evil"}), ids=IDS),
        SetPayload(payload({"org": None}), ids=IDS),
        SetPayload(payload({}), path="org", ids=IDS),
        SetPayload(payload({}), path='"org".x', ids=IDS),
        DeletePayload(("x", "org"), ids=IDS),
        DeletePayload(("org[0]",), ids=IDS),
        ClearPayload(ids=IDS),
    ],
)
def test_changes_that_would_move_points_between_tenants_are_refused(change: PointChange) -> None:
    with pytest.raises(Forbidden, match='org = "acme"'):
        within(change, ACME)


@pytest.mark.parametrize(
    ("value", "carried"),
    [
        ({"meta": {"org": [{"id": 7}]}, "on": True}, True),
        ({"meta": {"org": [{"id": 7}]}, "on": 1}, False),
        ({"meta": {"org": [{"id": 7.0}]}, "on": True}, False),
        ({"meta": {"org": [{"id": 7}, {"id": 8}]}, "on": True}, False),
        ({"meta.org[].id": 7, "on": True}, False),
    ],
)
def test_all_values_count_and_so_do_their_types(value: Any, carried: bool) -> None:
    assert all(_carries(value, match) for match in NESTED) == carried


_KEYS = ("org", "x", "meta")
_scalars = st.sampled_from(["acme", "evil", 7, True, None])
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=2),
    max_leaves=4,
)
_payloads = st.dictionaries(st.sampled_from(_KEYS), _values, max_size=3)
_paths = st.sampled_from(["org", "x", "meta", "meta.org", "x[]", "org[0]", '"org"'])
_tenants = st.sampled_from([ACME, (Match("meta.org", "acme"),), (Match("x[]", 7), Match("org", "acme"))])


@given(
    tenant=_tenants,
    before=_payloads,
    given_=_payloads,
    path=st.none() | _paths,
    kind=st.sampled_from(["set", "overwrite", "delete"]),
)
def test_no_allowed_change_takes_a_point_out_of_its_tenant(
    tenant: tuple[Match, ...], before: dict[str, Any], given_: dict[str, Any], path: str | None, kind: str
) -> None:
    before = _made_of(tenant, before)
    after = json.loads(json.dumps(before))
    match kind:
        case "set":
            change: PointChange = SetPayload(payload(given_), path=path, ids=IDS)
            merge(after, given_) if path is None else set_at(after, parse_path(path), given_)
        case "overwrite":
            change, after = OverwritePayload(payload(given_), ids=IDS), given_
        case _:
            change = DeletePayload((path or "x",), ids=IDS)
            delete_at(after, parse_path(path or "x"))
    try:
        within(change, tenant)
    except Forbidden:
        return
    assert all(_carries(after, match) for match in tenant)


def _made_of(tenant: tuple[Match, ...], payload: dict[str, Any]) -> dict[str, Any]:
    own = {
        "org": {"org": "acme"},
        "meta.org": {"meta": {"org": "acme"}},
        "x[]": {"x": [7]},
    }
    for match in tenant:
        payload = {**payload, **own[match.key]}
    return payload
