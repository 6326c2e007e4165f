from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given

from protos.errors import InvalidField, MalformedBody
from protos.filters import (
    FILTER_DEPTH_MAX,
    DatetimeRange,
    FieldCondition,
    FieldIsEmpty,
    Filter,
    GeoPoint,
    GeoPolygon,
    HasId,
    HasVector,
    IsEmpty,
    IsNull,
    MatchAny,
    MatchExcept,
    MatchPrefix,
    MatchText,
    MatchValue,
    MinShould,
    Nested,
    Range,
    Slice,
    TextMode,
    ValuesCount,
    decode_filter,
    encode_filter,
    leaf_count,
)
from tests.congruence.material import filters


def only(condition: dict[str, Any]) -> Any:
    """The one condition of a decoded filter."""
    decoded = decode_filter({"must": [condition]})
    assert decoded.must is not None
    return decoded.must[0]


def predicate(**operators: Any) -> Any:
    (found,) = only({"key": "k", **operators}).any_of
    return found


def test_a_clause_is_one_condition_or_a_list() -> None:
    condition = {"key": "a", "match": {"value": 1}}
    expected = (FieldCondition("a", (MatchValue(1),)),)
    assert decode_filter({"must": condition}) == Filter(must=expected)
    assert decode_filter({"should": [condition]}) == Filter(should=expected)


def test_a_null_key_is_as_good_as_none() -> None:
    condition = {"key": "a", "match": {"value": "x", "text": None}, "range": None, "is_null": None}
    decoded = decode_filter({"must": [condition], "should": None, "min_should": None})
    assert decoded == Filter(must=(FieldCondition("a", (MatchValue("x"),)),))


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"value": True}, MatchValue(True)),
        ({"any": ["a", "b", "a"]}, MatchAny(("a", "b"))),
        ({"any": []}, MatchAny(())),
        ({"except": [1, 2]}, MatchExcept((1, 2))),
        ({"text": "t"}, MatchText("t")),
        ({"text_any": "t"}, MatchText("t", TextMode.TEXT_ANY)),
        ({"phrase": "t"}, MatchText("t", TextMode.PHRASE)),
        ({"prefix": "p"}, MatchPrefix("p")),
    ],
)
def test_every_kind_of_match(match: dict[str, Any], expected: Any) -> None:
    assert predicate(match=match) == expected


def test_a_range_with_text_bounds_is_of_datetimes() -> None:
    assert predicate(range={"gte": 1, "lt": 2.5}) == Range(gte=1, lt=2.5)
    assert repr(predicate(range={"gte": 2**64 - 1, "lt": 2**64}).lt) == "1.8446744073709552e+19"
    assert predicate(range={"gt": "1970-01-01T00:00:01Z", "lt": None}) == DatetimeRange(gt=1_000_000)


def test_other_kinds_of_condition() -> None:
    uuid = "550E8400E29B41D4A716446655440000"
    assert only({"is_empty": {"key": "a"}}) == IsEmpty("a")
    assert only({"is_null": {"key": "a.b"}}) == IsNull("a.b")
    assert only({"has_id": [1, uuid, 1]}) == HasId((1, "550e8400-e29b-41d4-a716-446655440000"))
    assert only({"has_vector": ""}) == HasVector("")
    assert only({"slice": {"total": 4, "index": 3}}) == Slice(4, 3)
    assert only({"must_not": []}) == Filter(must_not=())
    assert only({"nested": {"key": "a", "filter": {"must": []}}}) == Nested("a", Filter(must=()))
    decoded = decode_filter({"min_should": {"conditions": [{"has_id": []}], "min_count": 1}})
    assert decoded.min_should == MinShould((HasId(()),), 1)


def test_several_operators_of_one_field_are_alternatives() -> None:
    decoded = only({"key": "k", "match": {"value": 1}, "range": {"gt": 5}})
    assert decoded == FieldCondition("k", (MatchValue(1), Range(gt=5)))


def test_counts_and_emptiness_push_other_operators_aside() -> None:
    others = {"match": {"value": 1}, "is_null": True, "is_empty": False}
    assert predicate(**others) == FieldIsEmpty(False)
    assert predicate(**others, values_count={"gt": 1}) == ValuesCount(gt=1)


RING = [{"lon": 0, "lat": 0}, {"lon": 1, "lat": 0}, {"lon": 1, "lat": 1}, {"lon": 0, "lat": 0}]


def test_a_polygon_is_made_of_closed_rings() -> None:
    decoded = predicate(geo_polygon={"exterior": {"points": RING}, "interiors": [{"points": RING}]})
    ring = (GeoPoint(0, 0), GeoPoint(1, 0), GeoPoint(1, 1), GeoPoint(0, 0))
    assert decoded == GeoPolygon(ring, (ring,))


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        ({"unknown": 1}, "Expected some form of condition"),
        ("text", "Expected some form of condition"),
        ({"is_empty": {"key": "a"}, "extra": 1}, "unknown field `extra`"),
        ({"key": 1, "match": {"value": 1}}, "Filter condition 'key' must be a string"),
        ({"key": "a..b", "match": {"value": 1}}, "Invalid json path"),
        ({"key": "a", "matches": {"value": 1}}, "unknown field `matches`"),
        ({"key": "a", "range": {"lt": 10**400}}, "out of range"),
        ({"key": "a", "match": {"value": 1.5}}, "match.value"),
        ({"key": "a", "match": {"value": 2**63}}, "match.value"),
        ({"key": "a", "match": {"any": ["a", 1]}}, "list of strings or a list of integers"),
        ({"key": "a", "match": {"any": [True]}}, "list of strings or a list of integers"),
        ({"key": "a", "match": {"value": 1, "any": [1]}}, "exactly one"),
        ({"key": "a", "match": {}}, "exactly one"),
        ({"key": "a", "range": {"gt": True}}, "expected a number"),
        ({"key": "a", "range": {"gt": 1, "lt": "2020-01-01"}}, "expected a string"),
        ({"key": "a", "range": {"above": 1}}, "unknown field `above`"),
        ({"key": "a", "values_count": {"gt": -1}}, "unsigned integer"),
        ({"key": "a", "is_null": "yes"}, "expected a boolean"),
        ({"key": "a", "geo_radius": {"center": {"lon": 181, "lat": 0}, "radius": 1}}, "within"),
        (
            {"key": "a", "geo_bounding_box": {"top_left": {"lon": 1, "lat": 0}}},
            "missing field `bottom_right`",
        ),
        ({"has_id": 5}, "expected a list"),
        ({"has_id": ["x"]}, "is not a valid point ID"),
        ({"slice": {"total": 2}}, "missing field `index`"),
        ({"nested": {"filter": {}}}, "missing field `key`"),
    ],
)
def test_wrong_shapes_are_malformed(condition: Any, text: str) -> None:
    with pytest.raises(MalformedBody, match=text) as caught:
        decode_filter({"must": [condition]})
    assert str(caught.value).startswith("Format error in JSON body: ")


def test_the_text_of_a_bad_datetime_names_it_and_gives_an_example() -> None:
    with pytest.raises(MalformedBody) as caught:
        predicate(range={"gt": "soon"})
    assert caught.value.message == (
        "'soon' does not match accepted datetime format (RFC3339). Example: 2014-01-01T00:00:00Z"
    )


@pytest.mark.parametrize("body", [5, [], {"must": [], "bust": []}, {"min_should": {"conditions": []}}])
def test_a_filter_has_its_four_clauses_and_no_others(body: object) -> None:
    with pytest.raises(MalformedBody):
        decode_filter(body)


@pytest.mark.parametrize(
    ("condition", "path", "text"),
    [
        ({"key": "a"}, "filter.must[0]", "At least one field condition must be specified"),
        (
            {"key": "a", "geo_polygon": {"exterior": {"points": RING[:3]}}},
            "filter.must[0].geo_polygon.exterior",
            "value invalid, the size must be at least 4, got 3",
        ),
        (
            {
                "key": "a",
                "geo_polygon": {"exterior": {"points": RING}, "interiors": [{"points": RING[1:] * 2}]},
            },
            "filter.must[0].geo_polygon.interiors[0]",
            "value invalid, the first and the last points should be same to form a closed line",
        ),
        (
            {"slice": {"total": 0, "index": 0}},
            "filter.must[0].slice.total",
            "value 0 invalid, must be 1 or larger",
        ),
        (
            {"slice": {"total": 2, "index": 2}},
            "filter.must[0].slice.index",
            "value 2 invalid, must be 1 or smaller",
        ),
        (
            {"min_should": {"conditions": [], "min_count": 0}},
            "filter.must[0].min_should.min_count",
            "value 0 invalid, min_count must be greater than 0",
        ),
    ],
)
def test_broken_constraints_name_their_place(condition: Any, path: str, text: str) -> None:
    with pytest.raises(InvalidField) as caught:
        decode_filter({"must": condition})
    assert (caught.value.path, caught.value.text) == (path, text)


def test_filters_are_nested_only_so_deep() -> None:
    body: dict[str, Any] = {}
    for _ in range(FILTER_DEPTH_MAX):
        body = {"must": [body]}
    decode_filter(body)
    with pytest.raises(MalformedBody, match="deep"):
        decode_filter({"must": [body]})


def test_leaves_are_counted_wherever_they_stand() -> None:
    leaf = {"has_id": [1]}
    body = {
        "must": [leaf, {"should": [leaf, leaf]}],
        "must_not": [{"nested": {"key": "a", "filter": {"must": leaf}}}],
        "min_should": {"conditions": [leaf], "min_count": 1},
    }
    assert leaf_count(decode_filter(body)) == 5


@given(written=filters)
def test_what_is_encoded_decodes_to_the_same_filter(written: dict[str, Any]) -> None:
    found = decode_filter(written)
    assert decode_filter(msgspec.json.decode(msgspec.json.encode(encode_filter(found)))) == found


def test_alternatives_of_one_kind_and_infinite_bounds_are_encoded() -> None:
    both = FieldCondition("a", (Range(lt=float("inf")), DatetimeRange(gte=-(10**17) + 1)))
    (shown,) = encode_filter(Filter(must=(both,)))["must"]
    assert [decode_filter({"must": [part]}).must for part in shown["should"]] == [
        (FieldCondition("a", (Range(lt=1.7976931348623157e308),)),),
        (FieldCondition("a", (DatetimeRange(gte=-(10**17) + 1),)),),
    ]
