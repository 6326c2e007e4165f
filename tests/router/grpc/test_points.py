"""Points over gRPC: the forms of vectors, ids, values and selectors, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protos.filters import FILTER_DEPTH_MAX
from protos.qdrant import (
    collections_pb2,
    configuration_pb2,
    filters_pb2,
    legacy_pb2,
    points_pb2,
    points_service_pb2,
    queries_pb2,
    updates_pb2,
    values_pb2,
)
from protos.shard import QuantizationSearchParams, SearchParams
from tests.router.grpc.conftest import Grpc

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NAME = "c"


@pytest.fixture
async def filled(server: Grpc) -> Grpc:
    """A collection with one vector of two components and three points."""
    vectors = configuration_pb2.VectorsConfig(
        params=configuration_pb2.VectorParams(size=2, distance=configuration_pb2.Dot)
    )
    await server.call(
        "Collections.Create", collections_pb2.CreateCollection(collection_name=NAME, vectors_config=vectors)
    )
    points = [point(number, [float(number), 1.0], n=number) for number in (1, 2, 3)]
    await server.call(
        "Points.Upsert", updates_pb2.UpsertPoints(collection_name=NAME, points=points, wait=True)
    )
    return server


def point(number: int, vector: list[float], **payload: int) -> points_pb2.PointStruct:
    return points_pb2.PointStruct(
        id=filters_pb2.PointId(num=number),
        vectors=points_pb2.Vectors(vector=dense(vector)),
        payload={key: values_pb2.Value(integer_value=value) for key, value in payload.items()},
    )


def dense(numbers: list[float]) -> points_pb2.Vector:
    return points_pb2.Vector(dense=points_pb2.DenseVector(data=numbers))


async def test_old_clients_send_flat_vectors_and_get_variants(filled: Grpc) -> None:
    vectors = points_pb2.Vectors(vector=points_pb2.Vector(data=[7.0, 8.0]))
    flat = points_pb2.PointStruct(id=filters_pb2.PointId(num=9), vectors=vectors)
    await filled.call("Points.Upsert", updates_pb2.UpsertPoints(collection_name=NAME, points=[flat]))
    everything = points_pb2.WithVectorsSelector(enable=True)
    request = queries_pb2.GetPoints(
        collection_name=NAME, ids=[filters_pb2.PointId(num=9)], with_vectors=everything
    )
    (found,) = (await filled.call("Points.Get", request)).result
    assert list(found.vectors.vector.dense.data) == [7.0, 8.0]
    assert not found.vectors.vector.data


async def test_reads_show_payloads_as_the_api_says_when_not_asked(filled: Grpc) -> None:
    ids = [filters_pb2.PointId(num=1)]
    got = await filled.call("Points.Get", queries_pb2.GetPoints(collection_name=NAME, ids=ids))
    assert not got.result[0].payload
    page = await filled.call("Points.Scroll", queries_pb2.ScrollPoints(collection_name=NAME, limit=2))
    assert page.result[0].payload["n"].integer_value == 1
    assert page.next_page_offset.num == 3
    assert page.time > 0


async def test_a_query_is_asked_with_the_numbers_that_were_sent(filled: Grpc) -> None:
    nearest = points_pb2.VectorInput(dense=points_pb2.DenseVector(data=[0.1, 0.7]))
    request = queries_pb2.QueryPoints(collection_name=NAME, query=queries_pb2.Query(nearest=nearest), limit=1)
    (hit,) = (await filled.call("Points.Query", request)).result
    assert hit.id.num == 3
    np.testing.assert_array_equal(filled.shard.searches[-1].vector, np.float32([0.1, 0.7]))


async def test_parameters_of_a_search_arrive(filled: Grpc) -> None:
    params = queries_pb2.SearchParams(
        hnsw_ef=7,
        indexed_only=True,
        quantization=queries_pb2.QuantizationSearchParams(rescore=False, oversampling=3.0),
    )
    request = legacy_pb2.SearchPoints(collection_name=NAME, vector=[1, 0], limit=1, params=params)
    await filled.call("Points.Search", request)
    wanted = QuantizationSearchParams(rescore=False, oversampling=3.0)
    assert filled.shard.searches[-1].params == SearchParams(7, False, True, wanted)


async def test_the_search_of_old_clients_answers(filled: Grpc) -> None:
    one = legacy_pb2.SearchPoints(collection_name=NAME, vector=[1.0, 0.0], limit=2)
    found = await filled.call("Points.Search", one)
    assert [hit.id.num for hit in found.result] == [3, 2]
    batch = legacy_pb2.SearchBatchPoints(collection_name=NAME, search_points=[one, one])
    assert len((await filled.call("Points.SearchBatch", batch)).result) == 2


async def test_recommendations_and_discoveries_of_old_clients_answer(filled: Grpc) -> None:
    """Messages that lack fields which others have (a discovery has no threshold, groups have no offset)."""
    one, three = filters_pb2.PointId(num=1), filters_pb2.PointId(num=3)
    recommend = legacy_pb2.RecommendPoints(
        collection_name=NAME, positive=[one], negative_vectors=[dense([9.0, 1.0])], limit=2
    )
    assert [hit.id.num for hit in (await filled.call("Points.Recommend", recommend)).result] == [2, 3]
    batch = legacy_pb2.RecommendBatchPoints(collection_name=NAME, recommend_points=[recommend, recommend])
    assert len((await filled.call("Points.RecommendBatch", batch)).result) == 2
    groups = legacy_pb2.RecommendPointGroups(
        collection_name=NAME, positive=[one], limit=2, group_by="n", group_size=1
    )
    found = (await filled.call("Points.RecommendGroups", groups)).result.groups
    assert [group.id.unsigned_value for group in found] == [3, 2]
    target = legacy_pb2.TargetVector(single=legacy_pb2.VectorExample(vector=dense([1.0, 0.0])))
    pair = legacy_pb2.ContextExamplePair(
        positive=legacy_pb2.VectorExample(id=one), negative=legacy_pb2.VectorExample(id=three)
    )
    discover = legacy_pb2.DiscoverPoints(collection_name=NAME, target=target, context=[pair], limit=1)
    (hit,) = (await filled.call("Points.Discover", discover)).result
    assert (hit.id.num, hit.score) == (2, pytest.approx(-1 + 5 / 6))
    several = legacy_pb2.DiscoverBatchPoints(collection_name=NAME, discover_points=[discover])
    assert len((await filled.call("Points.DiscoverBatch", several)).result) == 1
    nothing = legacy_pb2.DiscoverPoints(collection_name=NAME, limit=1)
    code, text = await filled.refused("Points.Discover", nothing)
    assert (code, text) == (INVALID, "Bad request: A target, context pairs or both are required")


async def test_values_of_every_kind_come_back(filled: Grpc) -> None:
    inner = values_pb2.Struct(fields={"x": values_pb2.Value(bool_value=True), "y": values_pb2.Value()})
    sent = {
        "null": values_pb2.Value(null_value=values_pb2.NULL_VALUE),
        "double": values_pb2.Value(double_value=1.0),
        "integer": values_pb2.Value(integer_value=-(2**63)),
        "string": values_pb2.Value(string_value="ü"),
        "struct": values_pb2.Value(struct_value=inner),
        "list": values_pb2.Value(
            list_value=values_pb2.ListValue(values=[values_pb2.Value(double_value=0.1)])
        ),
        "empty": values_pb2.Value(list_value=values_pb2.ListValue()),
    }
    selector = points_pb2.PointsSelector(points=points_pb2.PointsIdsList(ids=[filters_pb2.PointId(num=1)]))
    change = updates_pb2.SetPayloadPoints(collection_name=NAME, payload=sent, points_selector=selector)
    await filled.call("Points.OverwritePayload", change)
    page = await filled.call("Points.Scroll", queries_pb2.ScrollPoints(collection_name=NAME, limit=1))
    sent["struct"].struct_value.fields["y"].null_value = values_pb2.NULL_VALUE
    assert dict(page.result[0].payload) == sent


async def test_payloads_deeper_than_most_clients_read_are_sent(filled: Grpc) -> None:
    """A client that reads no deeper has still the other points, once it leaves the payload out."""
    deep: Any = 1
    for _ in range(60):
        deep = {"a": deep}
    filled.shard.points[1].payload = {"deep": deep}
    answer = await filled.raw("Points.Scroll", queries_pb2.ScrollPoints(collection_name=NAME))
    assert len(answer) > 600


def upsert(**fields: Any) -> tuple[str, Any]:
    return "Points.Upsert", updates_pb2.UpsertPoints(
        collection_name=NAME, points=[points_pb2.PointStruct(**fields)]
    )


def scroll(**fields: Any) -> tuple[str, Any]:
    return "Points.Scroll", queries_pb2.ScrollPoints(collection_name=NAME, **fields)


def where(**fields: Any) -> tuple[str, Any]:
    return scroll(filter=filters_pb2.Filter(must=[filters_pb2.Condition(**fields)]))


def field(**fields: Any) -> tuple[str, Any]:
    return where(field=filters_pb2.FieldCondition(key="n", **fields))


def query(**fields: Any) -> tuple[str, Any]:
    return "Points.Query", queries_pb2.QueryPoints(collection_name=NAME, **fields)


ONE = filters_pb2.PointId(num=1)
NAN = values_pb2.Value(double_value=math.nan)
ONE_HALF = queries_pb2.Expression(constant=0.5)


def boosted(formula: queries_pb2.Formula) -> tuple[str, Any]:
    return query(query=queries_pb2.Query(formula=formula), prefetch=[queries_pb2.PrefetchQuery()])


REFUSED: dict[str, tuple[tuple[str, Any], str]] = {
    "no id": (upsert(vectors=points_pb2.Vectors(vector=dense([1, 2]))), "Empty ID is not allowed"),
    "id that is no UUID": (
        upsert(id=filters_pb2.PointId(uuid="x"), vectors=points_pb2.Vectors(vector=dense([1, 2]))),
        "Unable to parse UUID: x",
    ),
    "no vectors": (upsert(id=ONE), "Expected some vectors"),
    "empty vector": (
        upsert(id=ONE, vectors=points_pb2.Vectors(vector=dense([]))),
        "Validation error in body: [points[0].vector: dense vector must not be empty]",
    ),
    "NaN in a vector": (
        upsert(id=ONE, vectors=points_pb2.Vectors(vector=dense([1, math.nan]))),
        "Wrong input: Vector components must be finite 32-bit floats",
    ),
    "wrong dimension": (
        upsert(id=ONE, vectors=points_pb2.Vectors(vector=dense([1]))),
        "Wrong input: Vector dimension error: expected dim: 2, got 1",
    ),
    "NaN in a payload": (
        upsert(id=ONE, vectors=points_pb2.Vectors(vector=dense([1, 2])), payload={"x": NAN}),
        "cannot convert to json number",
    ),
    "no selector": (
        ("Points.Delete", updates_pb2.DeletePoints(collection_name=NAME)),
        "PointSelector is missing",
    ),
    "no selector of payloads": (
        ("Points.SetPayload", updates_pb2.SetPayloadPoints(collection_name=NAME)),
        "points_selector is expected",
    ),
    "operation of a batch": (
        (
            "Points.UpdateBatch",
            updates_pb2.UpdateBatchPoints(
                collection_name=NAME, operations=[updates_pb2.PointsUpdateOperation()]
            ),
        ),
        "Operation is missing",
    ),
    "type of an index": (
        (
            "Points.CreateFieldIndex",
            updates_pb2.CreateFieldIndexCollection(collection_name=NAME, field_name="x"),
        ),
        "cannot convert field_type",
    ),
    "path of an index that goes": (
        (
            "Points.DeleteFieldIndex",
            updates_pb2.DeleteFieldIndexCollection(collection_name=NAME, field_name="a..b"),
        ),
        "Invalid json path: 'a..b'",
    ),
    "parameters of another type": (
        (
            "Points.CreateFieldIndex",
            updates_pb2.CreateFieldIndexCollection(
                collection_name=NAME,
                field_name="x",
                field_type=updates_pb2.FieldTypeInteger,
                field_index_params=configuration_pb2.PayloadIndexParams(
                    keyword_index_params=configuration_pb2.KeywordIndexParams()
                ),
            ),
        ),
        "field_type (integer) and field_index_params do not match",
    ),
    "condition of no kind": (where(), "Malformed Condition type"),
    "match of no kind": (field(match=filters_pb2.Match()), "Malformed Match condition"),
    "no operator": (
        field(),
        "Validation error in body: [filter.must[0]: At least one field condition must be specified]",
    ),
    "NaN in a range": (field(range=filters_pb2.Range(lt=math.nan)), "NaN is not allowed in range"),
    "path": (
        where(is_empty=filters_pb2.IsEmptyCondition(key="a..b")),
        "Invalid json path: 'a..b'",
    ),
    "slice": (
        where(slice=filters_pb2.SliceCondition(total=2, index=2)),
        "Validation error in body: [filter.must[0].slice.index: value 2 invalid, must be 1 or smaller]",
    ),
    "box without corners": (
        field(geo_bounding_box=filters_pb2.GeoBoundingBox()),
        "Malformed GeoBoundingBox type",
    ),
    "limit": (scroll(limit=0), "Validation error in body: [limit: value 0 invalid, must be 1 or larger]"),
    "timeout": (
        scroll(timeout=0),
        "Validation error in body: [timeout: value 0 invalid, must be 1 or larger]",
    ),
    "factor": (
        scroll(read_consistency=points_pb2.ReadConsistency(factor=0)),
        "Read consistency factor can't be zero",
    ),
    "query of no kind": (query(query=queries_pb2.Query()), "Query variant is missing"),
    "prefetch without a query": (
        query(prefetch=[queries_pb2.PrefetchQuery()]),
        "Bad request: A query is needed to merge the prefetches. "
        "Can't have prefetches without defining a query.",
    ),
    "fusion without prefetches": (
        query(query=queries_pb2.Query(fusion=queries_pb2.RRF)),
        "Wrong input: cannot apply Fusion without prefetches",
    ),
    "formula without prefetches": (
        query(query=queries_pb2.Query(formula=queries_pb2.Formula())),
        "Wrong input: cannot apply Formula without prefetches",
    ),
    "formula without an expression": (boosted(queries_pb2.Formula()), "Formula has no expression"),
    "expression of no kind": (
        boosted(queries_pb2.Formula(expression=queries_pb2.Expression())),
        "Expression variant is missing",
    ),
    "quotient of one number": (
        boosted(
            queries_pb2.Formula(
                expression=queries_pb2.Expression(div=queries_pb2.DivExpression(left=ONE_HALF))
            )
        ),
        "Expression has no `right`: query.formula.div",
    ),
    "decay without a number for scale": (
        boosted(
            queries_pb2.Formula(
                expression=queries_pb2.Expression(
                    gauss_decay=queries_pb2.DecayParamsExpression(x=ONE_HALF, scale=math.nan)
                )
            )
        ),
        "Wrong input: `gauss_decay.scale` must be positive, got nan",
    ),
    "default of a score": (
        boosted(
            queries_pb2.Formula(expression=ONE_HALF, defaults={"$score": values_pb2.Value(string_value="x")})
        ),
        "Validation error in body: [query.defaults.$score: the default of a score must be a number]",
    ),
    "collection's name": (
        ("Points.Count", queries_pb2.CountPoints(collection_name="a/b")),
        'Validation error in body: [collection_name: collection name cannot contain "/" char]',
    ),
}


@pytest.mark.parametrize("what", list(REFUSED))
async def test_what_is_wrong_is_told(filled: Grpc, what: str) -> None:
    (method, request), text = REFUSED[what]
    assert await filled.refused(method, request) == (INVALID, text)


async def test_filters_nest_only_so_deep(filled: Grpc) -> None:
    chosen = filters_pb2.Filter()
    for _ in range(FILTER_DEPTH_MAX + 1):
        chosen = filters_pb2.Filter(must=[filters_pb2.Condition(filter=chosen)])
    code, text = await filled.refused(*scroll(filter=chosen))
    assert (code, text) == (INVALID, f"filters may be nested at most {FILTER_DEPTH_MAX} deep")


# --- whatever is sent --------------------------------------------------------------------------------

BLAMES_THE_CLIENT = {
    grpc.StatusCode.OK,
    INVALID,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.UNIMPLEMENTED,
}
METHODS = [
    f"{service.name}.{method.name}"
    for file in (points_service_pb2.DESCRIPTOR, collections_pb2.DESCRIPTOR)
    for service in file.services_by_name.values()
    for method in service.methods
]


def messages(descriptor: Any, depth: int = 0) -> st.SearchStrategy[dict[str, Any]]:
    """Fields of a message, some of them left out, with numbers that no enum has."""
    optional = {}
    for each in descriptor.fields:
        if each.message_type is not None and (depth > 4 or each.message_type.GetOptions().map_entry):
            continue
        values = value_of(each, depth)
        optional[each.name] = st.lists(values, max_size=2) if each.is_repeated else values
    return st.fixed_dictionaries({}, optional=optional)


def value_of(each: Any, depth: int) -> st.SearchStrategy[Any]:
    if each.message_type is not None:
        return st.deferred(lambda: messages(each.message_type, depth + 1))
    if each.enum_type is not None:
        return st.integers(-1, 12)
    if each.name == "collection_name":
        return st.sampled_from([NAME, "other", "", "a/b"])
    return {
        each.TYPE_STRING: st.sampled_from(["", "n", "a..b", "dot", "x" * 300]),
        each.TYPE_BOOL: st.booleans(),
        each.TYPE_FLOAT: st.sampled_from([0.0, 1.5, -1.0, math.inf, math.nan]),
        each.TYPE_DOUBLE: st.sampled_from([0.0, 1.5, -1.0, math.inf, math.nan]),
        each.TYPE_UINT32: st.sampled_from([0, 1, 2, 2**32 - 1]),
        each.TYPE_UINT64: st.sampled_from([0, 1, 2, 2**32, 2**64 - 1]),
        each.TYPE_INT64: st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63)]),
        each.TYPE_INT32: st.sampled_from([0, 1, -1, 2**31 - 1]),
    }[each.type]


@pytest.mark.slow
@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
async def test_whatever_is_sent_is_no_fault_of_ours(filled: Grpc, data: st.DataObject) -> None:
    method = data.draw(st.sampled_from(METHODS))
    kind = filled.request_class(method)
    request = kind(**data.draw(messages(kind.DESCRIPTOR)))
    code, text = await filled.outcome(method, request)
    assert code in BLAMES_THE_CLIENT, text


async def test_tokens_travel_in_metadata(filled: Grpc) -> None:
    server = filled
    channel_call = server.channel.unary_unary("/qdrant.Points/Delete")
    request = server.request_class("Points.Delete")(collection_name="c")
    request.points.points.ids.add(num=1)
    call = channel_call(request.SerializeToString())
    await call
    token = dict(await call.trailing_metadata())["x-vecraft-token"]
    count = server.request_class("Points.Count")(collection_name="c")
    answer = await server.call("Points.Count", count, metadata=(("x-vecraft-token", token),))
    assert answer.result.count == 2
    with pytest.raises(grpc.aio.AioRpcError, match="malformed token") as told:
        await server.call("Points.Count", count, metadata=(("x-vecraft-token", "AQ"),))
    assert told.value.code() is grpc.StatusCode.INVALID_ARGUMENT
