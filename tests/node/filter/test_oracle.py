"""The payload check against two second opinions: Qdrant's engine and its client's local mode.

Left out on purpose: what newer engines read otherwise than the version emulated (the ``is_null`` condition
on arrays that contain a null, texts without an index), and booleans, which the engine's Python classes
turn into integers.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from qdrant_client.http import models
from qdrant_client.local.payload_filters import check_filter

from node.filter.check import compile_check
from protos.datetimes import parse_datetime
from protos.filters import decode_filter
from protos.json_path import delete_at, exclude, include, parse_path, set_at
from tests.node.filter import strategies
from tests.node.filter.edge import EdgeShard


def as_sent(payload: dict[str, Any]) -> dict[str, Any]:
    """A payload as the wire brings it: no object in it stands in two places, as in generated ones."""
    return msgspec.json.decode(msgspec.json.encode(payload), type=dict[str, Any])


EXAMPLES = settings(max_examples=8, deadline=None)
MANY = settings(max_examples=400, deadline=None)

payload_lists = st.lists(strategies.payloads, min_size=1, max_size=8)
edge_filters = st.lists(
    strategies.filters_of(strategies.shared_conditions | strategies.slices), min_size=1, max_size=4
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> EdgeShard:
    return EdgeShard(tmp_path_factory.mktemp("edge"))


def checked(each: dict[str, Any], payloads: list[dict[str, Any]]) -> list[int]:
    check = compile_check(decode_filter(each))
    return [i for i, payload in enumerate(payloads) if check(i, payload, ())]


@given(payloads=payload_lists, filters=edge_filters)
@EXAMPLES
def test_a_filter_matches_what_it_matches_in_qdrants_engine(
    engine: EdgeShard, payloads: list[dict[str, Any]], filters: list[dict[str, Any]]
) -> None:
    engine.replace(payloads)
    for each in filters:
        assert checked(each, payloads) == engine.matches(each), each


@pytest.mark.slow
@given(payloads=payload_lists, filters=edge_filters)
@MANY
def test_many_filters_match_what_they_match_in_qdrants_engine(
    engine: EdgeShard, payloads: list[dict[str, Any]], filters: list[dict[str, Any]]
) -> None:
    engine.replace(payloads)
    for each in filters:
        assert checked(each, payloads) == engine.matches(each), each


def _is_of_local_mode(condition: Any) -> bool:
    """Local mode asks field forms of emptiness of all values together, the engine of each."""
    if isinstance(condition, dict):
        if "is_empty" in condition and "key" in condition:
            return False
        if "is_null" in condition and "key" in condition:
            return False
        return all(_is_of_local_mode(value) for value in condition.values())
    return all(map(_is_of_local_mode, condition)) if isinstance(condition, list) else True


def _with_objects_as_elements(value: Any) -> Any:
    """Elements of a nested condition are objects (reference 10.2); local mode takes others for some, too."""
    if isinstance(value, dict):
        return {key: _with_objects_as_elements(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_objects_as_elements(each) for each in value if isinstance(each, dict)]
    return value


@given(payloads=payload_lists, each=strategies.filters_of(strategies.shared_conditions | strategies.booleans))
@example(payloads=[{"a": [1, {"b": 2}]}], each={"must": [{"nested": {"key": "a", "filter": {}}}]})
@EXAMPLES
def test_a_filter_matches_what_it_matches_in_local_mode(
    payloads: list[dict[str, Any]], each: dict[str, Any]
) -> None:
    assume(_is_of_local_mode(each))
    if "nested" in str(each):
        payloads = _with_objects_as_elements(payloads)
    theirs = models.Filter.model_validate(each)
    expected = [
        i for i, payload in enumerate(payloads) if check_filter(theirs, payload, point_id=i, has_vector={})
    ]
    assert checked(each, payloads) == expected


corners = st.builds(lambda lon, lat: {"lon": lon, "lat": lat}, st.integers(-3, 3), st.integers(-3, 3))


@given(
    rings=st.lists(corners, min_size=3, max_size=5, unique_by=str),
    points=st.lists(corners, min_size=1, max_size=10),
)
@EXAMPLES
def test_a_polygon_holds_what_it_holds_in_qdrants_engine(
    engine: EdgeShard, rings: list[Any], points: list[Any]
) -> None:
    assume(not _crosses_itself(rings))
    payloads = [{"a": point} for point in points]
    engine.replace(payloads)
    ring = {"points": [*rings, rings[0]]}
    condition = {"key": "a", "geo_polygon": {"exterior": ring}}
    assert checked({"must": [condition]}, payloads) == engine.matches({"must": [condition]})


def _crosses_itself(ring: list[Any]) -> bool:
    """Conservative: anything but a ring whose corners all turn one way, once around."""
    points = [(corner["lon"], corner["lat"]) for corner in ring]
    count = len(points)
    turns = set()
    for i in range(count):
        (ax, ay), (bx, by), (cx, cy) = (points[(i + step) % count] for step in range(3))
        turns.add((bx - ax) * (cy - ay) - (by - ay) * (cx - ax) > 0)
    return len(turns) > 1 or count > 4


paths = st.sampled_from(
    ["a", "a.b", "a[]", "a[].b", "a[0]", "a[0].b", "n[]", "n[].b", "b.c.d", "a[][]", "c[1]"]
)


@given(
    payload=strategies.payloads, path=paths, values=st.dictionaries(st.sampled_from("bcd"), strategies.values)
)
@EXAMPLES
def test_setting_at_a_path_does_what_qdrants_engine_does(
    engine: EdgeShard, payload: dict[str, Any], path: str, values: dict[str, Any]
) -> None:
    ours = as_sent(payload)
    set_at(ours, parse_path(path), values)
    assert ours == engine.set_payload(payload, values, path)


@given(payload=strategies.payloads, path=paths)
@EXAMPLES
def test_deleting_at_a_path_does_what_qdrants_engine_does(
    engine: EdgeShard, payload: dict[str, Any], path: str
) -> None:
    ours = as_sent(payload)
    delete_at(ours, parse_path(path))
    assert ours == engine.delete_payload(payload, [path])


@given(payload=strategies.payloads, texts=st.lists(paths, min_size=1, max_size=2))
@EXAMPLES
def test_selectors_keep_what_qdrants_engine_keeps(
    engine: EdgeShard, payload: dict[str, Any], texts: list[str]
) -> None:
    parsed = [parse_path(text) for text in texts]
    assert include(payload, parsed) == engine.project(payload, texts, include=True)
    assert exclude(payload, parsed) == engine.project(payload, texts, include=False)


DATETIMES = [
    f"{sign}{date}{time}{offset}"
    for sign in ("", " ", "+", "-")
    for date in (
        "2014-01-02",
        "2014-1-2",
        "2014-02-30",
        "14-01-02",
        "0000-02-29",
        "1900-02-29",
        "2014- 01- 02",
    )
    for time in (
        "",
        "T03:04",
        " 3:4",
        "T03:04:05",
        " 03:04:60",
        "t03:04:05.678901234",
        "T24:00:00",
        "  03:04:05.",
    )
    for offset in ("", "Z", "z", "+01:30", " -0130", "+01", " UTC", "+24:00", " Z", "−01:00", "x")
]


def test_datetimes_are_read_as_qdrants_engine_reads_them(tmp_path_factory: pytest.TempPathFactory) -> None:
    engine = EdgeShard(tmp_path_factory.mktemp("datetimes"))
    theirs = engine.order_values("d", DATETIMES)
    ours = {text: parse_datetime(text) for text in DATETIMES}
    assert {text: micros for text, micros in ours.items() if micros is not None} == theirs
