"""Point update endpoints over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from protos.collections import decode_create
from protos.errors import BadInput
from protos.operations import DeletePoints, UpdateStatus, WriteOrdering
from router.collections import CollectionOperations
from router.points import Draft, PointOperations, WriteOptions
from router.primaries.calls import WRITE_TIMEOUT_MS
from router.rest.bodies.upserts import PAYLOAD_DEPTH_MAX
from router.tokens import decode_tokens
from tests.router.fakes import FakeLog, FakeNode
from tests.router.rest.conftest import Answer, Rest

POINTS = "/collections/c/points"


async def _stored(rest: Rest, **options: Any) -> dict[Any, dict[str, Any]]:
    body = {"limit": 100, "with_payload": True, "with_vector": True, **options}
    page = (await rest.post(f"{POINTS}/scroll", body)).result
    return {point.pop("id"): point for point in page["points"]}


async def _upsert(rest: Rest, body: Any, query: str = "?wait=true") -> Answer:
    return await rest.put(POINTS + query, body)


# --- upsert: forms ------------------------------------------------------------------------------------


async def test_points_are_stored_from_a_list(rest: Rest) -> None:
    await rest.create()
    points = [{"id": 1, "vector": [1, 2.5], "payload": {"a": 1}}, {"id": 2, "vector": [0, 1]}]
    answer = await _upsert(rest, {"points": points})
    assert answer.result == {"operation_id": 0, "status": "completed"}
    assert await _stored(rest) == {
        1: {"payload": {"a": 1}, "vector": [1.0, 2.5]},
        2: {"payload": {}, "vector": [0.0, 1.0]},
    }


async def test_points_are_stored_from_columns(rest: Rest) -> None:
    await rest.create(vectors={"a": {"size": 2, "distance": "Dot"}, "b": {"size": 1, "distance": "Dot"}})
    batch = {
        "ids": [1, 2],
        "vectors": {"a": [[1, 2], [3, 4]], "b": [[5], [6]]},
        "payloads": [{"x": 1}, None],
    }
    assert (await _upsert(rest, {"batch": batch})).status == 200
    assert await _stored(rest) == {
        1: {"payload": {"x": 1}, "vector": {"a": [1.0, 2.0], "b": [5.0]}},
        2: {"payload": {}, "vector": {"a": [3.0, 4.0], "b": [6.0]}},
    }


async def test_columns_may_be_unnamed_and_without_payloads(rest: Rest) -> None:
    await rest.create()
    assert (await _upsert(rest, {"batch": {"ids": [1], "vectors": [[1, 2]]}})).status == 200
    assert await _stored(rest) == {1: {"payload": {}, "vector": [1.0, 2.0]}}


async def test_batch_wins_over_points(rest: Rest) -> None:
    await rest.create()
    body = {"batch": {"ids": [1], "vectors": [[1, 2]]}, "points": [{"id": 2, "vector": [1, 2]}]}
    assert (await _upsert(rest, body)).status == 200
    assert (await _stored(rest)).keys() == {1}


async def test_some_points_may_lack_a_vector(rest: Rest) -> None:
    await rest.create(vectors={"a": {"size": 1, "distance": "Dot"}, "b": {"size": 1, "distance": "Dot"}})
    points = [
        {"id": 1, "vector": {"a": [1]}},
        {"id": 2, "vector": {}},
        {"id": 3, "vector": {"b": [3], "a": [2]}},
    ]
    assert (await _upsert(rest, {"points": points})).status == 200
    vectors = {point_id: point["vector"] for point_id, point in (await _stored(rest)).items()}
    assert vectors == {1: {"a": [1.0]}, 2: {}, 3: {"a": [2.0], "b": [3.0]}}


async def test_vectors_is_an_alias_of_vector(rest: Rest) -> None:
    await rest.create()
    assert (await _upsert(rest, {"points": [{"id": 1, "vectors": [1, 2]}]})).status == 200
    assert (await _stored(rest))[1]["vector"] == [1.0, 2.0]


async def test_the_unnamed_vector_can_be_given_by_its_name(rest: Rest) -> None:
    await rest.create()
    assert (await _upsert(rest, {"points": [{"id": 1, "vector": {"": [1, 2]}}]})).status == 200
    assert (await _stored(rest))[1]["vector"] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        ("550e8400-e29b-41d4-a716-446655440000",) * 2,
        ("550E8400E29B41D4A716446655440000", "550e8400-e29b-41d4-a716-446655440000"),
        ("urn:uuid:550e8400-e29b-41d4-a716-446655440000", "550e8400-e29b-41d4-a716-446655440000"),
        (2**64 - 1, 2**64 - 1),
        (0, 0),
    ],
)
async def test_ids_are_numbers_or_uuids_in_any_form(rest: Rest, sent: Any, returned: Any) -> None:
    await rest.create()
    assert (await _upsert(rest, {"points": [{"id": sent, "vector": [1, 2]}]})).status == 200
    assert (await _stored(rest)).keys() == {returned}
    assert (await rest.get(f"{POINTS}/{sent}")).result["id"] == returned


@pytest.mark.parametrize("bad", [-1, 1.5, "12", "text", 2**64, True, None, [1]])
async def test_other_ids_are_refused(rest: Rest, bad: Any) -> None:
    await rest.create()
    answer = await _upsert(rest, {"points": [{"id": bad, "vector": [1, 2]}]})
    assert answer.status == 400
    text = "is not a valid point ID, valid values are either an unsigned integer or a UUID"
    assert text in answer.error


async def test_payload_numbers_keep_their_kind_and_keys_their_order(rest: Rest) -> None:
    await rest.create()
    payload = (
        b'{"z": 1.0, "a": 18446744073709551615, "m": -9223372036854775808, "e": 1e3, '
        b'"big": 123456789012345678901, "s": "\xc3\xa9\\u00e9", "n": null, "l": [ 1 , {"k" : []} ]}'
    )
    body = b'{"points":[{"id":1,"vector":[1,2],"payload":%b}]}' % payload
    headers = {"Content-Type": "application/json"}
    assert (await rest.call("PUT", POINTS, data=body, headers=headers)).status == 200
    change = rest.shards()[0].requests[0].change
    assert change.payloads == [  # type: ignore[union-attr]
        b'{"z":1.0,"a":18446744073709551615,"m":-9223372036854775808,"e":1000.0,'
        b'"big":1.2345678901234568e+20,"s":"\xc3\xa9\xc3\xa9","n":null,"l":[1,{"k":[]}]}'
    ]


# --- upsert: modes ------------------------------------------------------------------------------------


async def test_insert_only_keeps_points_that_exist(rest: Rest) -> None:
    await rest.create()
    await rest.upsert([{"id": 1, "vector": [1, 1], "payload": {"old": True}}])
    points = [{"id": 1, "vector": [9, 9]}, {"id": 2, "vector": [2, 2]}]
    assert (await _upsert(rest, {"points": points, "update_mode": "insert_only"})).result[
        "status"
    ] == "completed"
    stored = await _stored(rest)
    assert stored[1] == {"payload": {"old": True}, "vector": [1.0, 1.0]}
    assert stored.keys() == {1, 2}


async def test_update_only_skips_points_that_do_not_exist(rest: Rest) -> None:
    await rest.create()
    await rest.upsert([{"id": 1, "vector": [1, 1]}])
    points = [{"id": 1, "vector": [9, 9]}, {"id": 2, "vector": [2, 2]}]
    assert (await _upsert(rest, {"points": points, "update_mode": "update_only"})).status == 200
    assert await _stored(rest) == {1: {"payload": {}, "vector": [9.0, 9.0]}}


async def test_an_update_filter_guards_existing_points_only(rest: Rest) -> None:
    await rest.create()
    await rest.upsert([{"id": number, "vector": [1, 1], "payload": {"v": number}} for number in (1, 2)])
    condition = {"must": [{"key": "v", "match": {"value": 1}}]}
    points = [{"id": number, "vector": [9, 9]} for number in (1, 2, 3)]
    assert (await _upsert(rest, {"points": points, "update_filter": condition})).status == 200
    stored = await _stored(rest)
    assert [stored[number]["vector"] for number in (1, 2, 3)] == [[9.0, 9.0], [1.0, 1.0], [9.0, 9.0]]


async def test_an_unknown_update_mode_is_refused(rest: Rest) -> None:
    await rest.create()
    answer = await _upsert(rest, {"points": [{"id": 1, "vector": [1, 2]}], "update_mode": "replace"})
    assert answer.status == 400
    assert "unknown variant `replace`" in answer.error


# --- upsert: errors -----------------------------------------------------------------------------------

_FORMAT = "Format error in JSON body: "
_POINT = {"id": 1, "vector": [1, 2]}


@pytest.mark.parametrize("wait", ["true", "false"])
@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"points": []}, 400, "Bad request: Empty update request"),
        ({}, 400, "Format error in JSON body: Invalid PointInsertOperations format"),
        (
            {"points": [{"id": 1, "vector": [1, 2, 3]}]},
            400,
            "Wrong input: Vector dimension error: expected dim: 2, got 3",
        ),
        (
            {"points": [_POINT, {"id": 2, "vector": [1]}]},
            400,
            "Wrong input: Vector dimension error: expected dim: 2, got 1",
        ),
        (
            {"points": [{"id": 1, "vector": {"nope": [1, 2]}}]},
            400,
            "Wrong input: Not existing vector name error: nope",
        ),
        (
            {"points": [{"id": 1, "vector": []}]},
            422,
            "Validation error in JSON body: [points[0].vector: dense vector must not be empty]",
        ),
        (
            {"points": [_POINT, {"id": 1, "vector": {"": []}}]},
            422,
            "Validation error in JSON body: [points[1].vector.?: dense vector must not be empty]",
        ),
        (
            {"batch": {"ids": [1, 2], "vectors": [[1, 2]]}},
            422,
            "Validation error in JSON body: [batch: number of ids and vectors must be equal (2 != 1)]",
        ),
        (
            {"batch": {"ids": [1], "vectors": [[1, 2]], "payloads": []}},
            422,
            "Validation error in JSON body: [batch: number of ids and payloads must be equal (1 != 0)]",
        ),
        ({"batch": {"ids": [1], "vectors": [[]]}}, 422, "dense vector must not be empty"),
        ({"points": [{"id": 1}]}, 400, f"{_FORMAT}missing field `vector`"),
        ({"points": [{"id": 1, "vector": None}]}, 400, _FORMAT),
        ({"points": [{"id": 1, "vector": ["a", "b"]}]}, 400, _FORMAT),
        ({"points": [{"id": 1, "vector": [True, 1]}]}, 400, _FORMAT),
        ({"points": [{"id": 1, "vector": [None, 1]}]}, 400, _FORMAT),
        ({"points": [{"vector": [1, 2]}]}, 400, _FORMAT),
        ({"points": [{**_POINT, "payload": [1]}]}, 400, _FORMAT),
        ({"points": [{**_POINT, "payload": "x"}]}, 400, _FORMAT),
        ({"points": [{"id": 1, "vector": [1e39, 0]}]}, 400, "must be finite"),
        (
            {"points": [{"id": 1, "vector": [[1, 2], [3, 4]]}]},
            400,
            "Wrong input: Conversion between multi and regular vectors failed",
        ),
        (
            {"points": [{"id": 1, "vector": {"": {"indices": [1], "values": [0.5]}}}]},
            400,
            "Wrong input: Conversion between sparse and regular vectors failed",
        ),
        (
            {"points": [{"id": 1, "vector": {"text": "hello", "model": "m"}}]},
            500,
            "InferenceService URL not configured - please provide valid address in config",
        ),
        (
            {"batch": {"ids": [1], "vectors": [{"text": "hello", "model": "m"}]}},
            500,
            "InferenceService URL not configured - please provide valid address in config",
        ),
        (
            {"points": [{"id": 1, "vector": {"": {"text": "hello", "model": ""}}}]},
            422,
            "points[0].vector.?.model: value invalid, must not be empty",
        ),
        ({"points": [{"id": 1, "vector": {"text": 5, "model": "m"}}]}, 400, _FORMAT),
        ({"points": [{"id": 1, "vector": {"": {"text": "x", "model": "m"}, "b": "x"}}]}, 400, _FORMAT),
        ({"points": [_POINT], "shard_key": "a"}, 400, "Shard key"),
        ({"points": [_POINT], "update_filter": {"nope": []}}, 400, _FORMAT),
    ],
)
async def test_a_wrong_upsert_is_refused_before_it_reaches_a_shard(
    rest: Rest, body: Any, status: int, text: str, wait: str
) -> None:
    await rest.create()
    answer = await _upsert(rest, body, f"?wait={wait}")
    assert answer.status == status, answer.body
    assert text in answer.error
    assert rest.shards()[0].requests == []


@pytest.mark.parametrize("nest", [lambda value: {"a": value}, lambda value: [value]])
async def test_payloads_have_a_greatest_depth(rest: Rest, nest: Callable[[Any], Any]) -> None:
    await rest.create()
    payload: Any = {"wide": [[]] * PAYLOAD_DEPTH_MAX}
    value: Any = {}
    for _ in range(PAYLOAD_DEPTH_MAX - 2):
        value = nest(value)
    payload["deep"] = value
    point = {"id": 1, "vector": [1, 2], "payload": payload}
    assert (await _upsert(rest, {"points": [point]})).status == 200
    assert (await _stored(rest))[1]["payload"] == payload
    point["payload"] = {"deep": nest(value)}
    answer = await _upsert(rest, {"points": [point]})
    assert (answer.status, "recursion limit exceeded" in answer.error) == (400, True)


async def test_a_body_that_is_not_utf8_is_a_client_error(rest: Rest) -> None:
    await rest.create()
    for method, path in (("PUT", "points"), ("PUT", "points/vectors"), ("POST", "points/query")):
        answer = await rest.call(
            method,
            f"/collections/c/{path}",
            data=b'{"query": "\xff", "points": [{"id": 1, "vector": [1], "payload": {"\xff": 1}}]}',
            headers={"Content-Type": "application/json"},
        )
        assert answer.status == 400, (path, answer.body)


async def test_a_deeply_nested_payload_is_a_client_error(rest: Rest) -> None:
    await rest.create()
    nested = b'{"a":' * 2000 + b"1" + b"}" * 2000
    body = b'{"points":[{"id":1,"vector":[1,2],"payload":%b}]}' % nested
    answer = await rest.call("PUT", POINTS, data=body, headers={"Content-Type": "application/json"})
    assert answer.status == 400


# --- parameters ---------------------------------------------------------------------------------------


async def test_without_wait_a_write_is_acknowledged(rest: Rest) -> None:
    await rest.create()
    answer = await _upsert(rest, {"points": [_POINT]}, "")
    assert answer.result == {"operation_id": 0, "status": "acknowledged"}


async def test_parameters_reach_the_shard(rest: Rest) -> None:
    await rest.create()
    await _upsert(rest, {"points": [_POINT]}, "?wait=true&ordering=strong&timeout=3")
    request = rest.shards()[0].requests[0]
    assert (request.wait, request.ordering, request.timeout_ms) == (True, WriteOrdering.STRONG, 3000)
    assert request.operation_id == b""


async def test_a_wait_that_ends_without_the_change_is_told(rest: Rest) -> None:
    await rest.create()
    rest.shards()[0].status = UpdateStatus.WAIT_TIMEOUT
    answer = await _upsert(rest, {"points": [_POINT]}, "?wait=true&timeout=1")
    assert answer.result["status"] == "wait_timeout"


async def test_a_write_without_a_timeout_of_its_own_may_take_as_long_as_calls_between_nodes(
    rest: Rest,
) -> None:
    await rest.create()
    await _upsert(rest, {"points": [_POINT]}, "?wait=true")
    assert rest.shards()[0].requests[-1].timeout_ms == WRITE_TIMEOUT_MS
    log, node = FakeLog(), FakeNode()
    collections = CollectionOperations(log, node)
    await collections.create("c", decode_create({"vectors": {"size": 2, "distance": "Dot"}}))
    points = PointOperations(collections, node, timeout_ms=1234)
    draft = Draft(lambda _: DeletePoints(ids=[1]))
    await points.apply("c", draft, WriteOptions(wait=True))
    await points.apply("c", draft, WriteOptions(wait=True, timeout_ms=5))
    assert [request.timeout_ms for request in node.shards["c", 0].requests] == [1234, 5]
    await collections.close()


async def test_a_timeout_of_zero_is_accepted_on_writes(rest: Rest) -> None:
    await rest.create()
    answer = await _upsert(rest, {"points": [_POINT]}, "?wait=true&timeout=0")
    assert answer.status == 200
    assert rest.shards()[0].requests[0].timeout_ms == 0


@pytest.mark.parametrize(
    "query", ["wait=1", "wait=", "ordering=fast", "timeout=-1", "timeout=x", "timeout=1.5"]
)
async def test_parameters_that_do_not_parse_are_refused(rest: Rest, query: str) -> None:
    await rest.create()
    answer = await _upsert(rest, {"points": [_POINT]}, f"?{query}")
    assert answer.status == 400
    assert answer.error.startswith("Deserialize error in query parameters: ")


async def test_the_same_idempotency_key_gives_the_same_operation_id(rest: Rest) -> None:
    await rest.create()
    for key in ("a", "a", "b"):
        await rest.put(POINTS, {"points": [_POINT]}, headers={"Idempotency-Key": key})
    first, second, third = (request.operation_id for request in rest.shards()[0].requests)
    assert first == second != third
    assert len(first) == 16


async def test_an_unknown_collection_is_a_404_on_every_write(rest: Rest) -> None:
    calls = [
        ("PUT", "", {"points": [_POINT]}),
        ("POST", "/delete", {"points": [1]}),
        ("PUT", "/vectors", {"points": [_POINT]}),
        ("POST", "/vectors/delete", {"points": [1], "vector": [""]}),
        ("POST", "/payload", {"points": [1], "payload": {}}),
        ("PUT", "/payload", {"points": [1], "payload": {}}),
        ("POST", "/payload/delete", {"points": [1], "keys": ["a"]}),
        ("POST", "/payload/clear", {"points": [1]}),
        ("POST", "/batch", {"operations": []}),
    ]
    for method, path, body in calls:
        answer = await rest.call(method, POINTS + path, body)
        assert (answer.status, answer.error) == (404, "Not found: Collection `c` doesn't exist!")


async def test_an_alias_stands_for_its_collection(rest: Rest) -> None:
    await rest.create()
    action = {"create_alias": {"collection_name": "c", "alias_name": "other"}}
    assert (await rest.post("/collections/aliases", {"actions": [action]})).result is True
    assert (await rest.put("/collections/other/points", {"points": [_POINT]})).status == 200
    assert (await _stored(rest)).keys() == {1}


# --- delete, vectors, payload --------------------------------------------------------------------------


@pytest.fixture
async def filled(rest: Rest) -> Rest:
    named = {"a": {"size": 2, "distance": "Dot"}, "b": {"size": 2, "distance": "Dot"}}
    await rest.create(vectors=named)
    await rest.upsert(
        [
            {
                "id": number,
                "vector": {"a": [number, 0], "b": [0, number]},
                "payload": {"n": number, "o": {"x": 1, "y": [1, 2]}},
            }
            for number in (1, 2, 3)
        ]
    )
    return rest


_IS_TWO = {"must": [{"key": "n", "match": {"value": 2}}]}


@pytest.mark.parametrize(
    ("selector", "left"),
    [
        ({"points": [1, 3, 99]}, {2}),
        ({"filter": _IS_TWO}, {1, 3}),
        ({"filter": {}}, set()),
        ({"points": [1], "filter": _IS_TWO}, {2, 3}),
    ],
)
async def test_points_are_deleted_by_id_or_filter(filled: Rest, selector: Any, left: set[int]) -> None:
    assert (await filled.post(f"{POINTS}/delete?wait=true", selector)).result["status"] == "completed"
    assert (await _stored(filled)).keys() == left


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/delete", {}),
        ("POST", "/payload", {"payload": {}}),
        ("PUT", "/payload", {"payload": {}}),
        ("POST", "/payload/delete", {"keys": ["a"]}),
        ("POST", "/payload/clear", {}),
        ("POST", "/payload", {"points": [1]}),
        ("POST", "/payload", {"points": [1], "payload": None}),
        ("POST", "/payload", {"points": [1], "payload": 5}),
        ("POST", "/payload", {"points": [1], "payload": {}, "key": "a..b"}),
        ("POST", "/payload/delete", {"points": [1]}),
        ("POST", "/payload/delete", {"points": [1], "keys": ["[0]"]}),
        ("POST", "/vectors/delete", {"points": [1]}),
        ("POST", "/delete", {"points": ["x"]}),
        ("POST", "/delete", {"filter": []}),
    ],
)
async def test_incomplete_changes_are_format_errors(filled: Rest, method: str, path: str, body: Any) -> None:
    answer = await filled.call(method, POINTS + path, body)
    assert answer.status == 400
    assert answer.error.startswith("Format error in JSON body: ")


async def test_vectors_are_merged_by_name(filled: Rest) -> None:
    body = {"points": [{"id": 1, "vector": {"b": [7, 7]}}, {"id": 2, "vectors": {"a": [8, 8]}}]}
    assert (await filled.put(f"{POINTS}/vectors?wait=true", body)).status == 200
    stored = await _stored(filled)
    assert stored[1]["vector"] == {"a": [1.0, 0.0], "b": [7.0, 7.0]}
    assert stored[2]["vector"] == {"a": [8.0, 8.0], "b": [0.0, 2.0]}
    assert stored[1]["payload"]["n"] == 1


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"points": []}, 422, "must specify points to update"),
        ({"points": [{"id": 1, "vector": {}}]}, 422, "must specify vectors to update for point"),
        ({"points": [{"id": 1}]}, 400, "missing field `vector`"),
        ({"points": [{"id": 1, "vector": {"c": [1, 2]}}]}, 400, "Not existing vector name error: c"),
        ({"points": [{"id": 1, "vector": {"a": [1]}}]}, 400, "expected dim: 2, got 1"),
        ({"points": [{"id": 9, "vector": {"a": [1, 2]}}]}, 404, "Not found: No point with id 9 found"),
    ],
)
async def test_wrong_vector_updates_are_refused(filled: Rest, body: Any, status: int, text: str) -> None:
    answer = await filled.put(f"{POINTS}/vectors?wait=true", body)
    assert answer.status == status
    assert text in answer.error


async def test_vectors_are_deleted_by_filter_and_by_id(filled: Rest) -> None:
    body = {"vector": ["a"], "points": [1], "filter": _IS_TWO}
    assert (await filled.post(f"{POINTS}/vectors/delete?wait=true", body)).status == 200
    names = {number: set(point["vector"]) for number, point in (await _stored(filled)).items()}
    assert names == {1: {"b"}, 2: {"b"}, 3: {"a", "b"}}


async def test_deleting_vectors_needs_a_selector(filled: Rest) -> None:
    answer = await filled.post(f"{POINTS}/vectors/delete", {"vector": ["a"]})
    assert (answer.status, answer.error) == (400, "Bad request: No filter or points provided")


async def test_payload_is_set_replaced_deleted_and_cleared(filled: Rest) -> None:
    async def change(method: str, path: str, body: Any) -> dict[str, Any]:
        assert (await filled.call(method, f"{POINTS}/payload{path}?wait=true", body)).status == 200
        payload: dict[str, Any] = (await _stored(filled))[1]["payload"]
        return payload

    assert await change("POST", "", {"points": [1], "payload": {"k": 1, "n": None}}) == {
        "o": {"x": 1, "y": [1, 2]},
        "k": 1,
    }
    assert (await change("POST", "", {"points": [1], "key": "o", "payload": {"x": 2}}))["o"]["x"] == 2
    assert (await change("POST", "/delete", {"points": [1], "keys": ["o.y[]", "k"]})) == {
        "o": {"x": 2, "y": []}
    }
    assert await change("PUT", "", {"points": [1], "payload": {"only": None}, "key": "ignored"}) == {
        "only": None
    }
    assert await change("POST", "/clear", {"points": [1]}) == {}


async def test_ids_win_over_a_filter_in_payload_changes(filled: Rest) -> None:
    body = {"points": [1], "filter": _IS_TWO, "payload": {"hit": True}}
    assert (await filled.post(f"{POINTS}/payload?wait=true", body)).status == 200
    hit = [number for number, point in (await _stored(filled)).items() if "hit" in point["payload"]]
    assert hit == [1]


async def test_payload_of_a_missing_point_is_a_404(filled: Rest) -> None:
    answer = await filled.post(f"{POINTS}/payload?wait=true", {"points": [9], "payload": {"a": 1}})
    assert (answer.status, answer.error) == (404, "Not found: No point with id 9 found")


# --- batch ---------------------------------------------------------------------------------------------


async def test_a_batch_runs_every_kind_of_operation_in_order(filled: Rest) -> None:
    operations: list[dict[str, Any]] = [
        {"upsert": {"points": [{"id": 4, "vector": {"a": [4, 4]}, "payload": {"n": 4}}]}},
        {"set_payload": {"points": [4], "payload": {"s": 1}}},
        {"update_vectors": {"points": [{"id": 4, "vector": {"b": [5, 5]}}]}},
        {"delete_vectors": {"points": [4], "vector": ["a"]}},
        {"delete_payload": {"points": [4], "keys": ["n"]}},
        {"overwrite_payload": {"points": [3], "payload": {"o": 1}}},
        {"clear_payload": {"points": [2]}},
        {"delete": {"points": [1]}},
    ]
    result = (await filled.post(f"{POINTS}/batch?wait=true", {"operations": operations})).result
    assert [entry["operation_id"] for entry in result] == list(range(1, 9))
    assert await _stored(filled) == {
        2: {"payload": {}, "vector": {"a": [2.0, 0.0], "b": [0.0, 2.0]}},
        3: {"payload": {"o": 1}, "vector": {"a": [3.0, 0.0], "b": [0.0, 3.0]}},
        4: {"payload": {"s": 1}, "vector": {"b": [5.0, 5.0]}},
    }


async def test_a_failing_operation_ends_the_batch_and_earlier_ones_stay(filled: Rest) -> None:
    operations: list[dict[str, Any]] = [
        {"delete": {"points": [1]}},
        {"upsert": {"points": [{"id": 4, "vector": {"a": [1]}}]}},
        {"delete": {"points": [2]}},
    ]
    answer = await filled.post(f"{POINTS}/batch?wait=true", {"operations": operations})
    assert answer.status == 400
    assert (await _stored(filled)).keys() == {2, 3}


async def test_an_empty_batch_has_an_empty_result(filled: Rest) -> None:
    assert (await filled.post(f"{POINTS}/batch", {"operations": []})).result == []


@pytest.mark.parametrize("operation", [{}, {"unknown": {}}, {"delete": {"points": [1]}, "upsert": {}}])
async def test_an_unknown_operation_refuses_the_whole_batch(filled: Rest, operation: Any) -> None:
    operations = [{"delete": {"points": [1]}}, operation]
    answer = await filled.post(f"{POINTS}/batch", {"operations": operations})
    assert answer.status == 400
    assert (await _stored(filled)).keys() == {1, 2, 3}


# --- several shards -------------------------------------------------------------------------------------


async def test_points_are_spread_over_shards_and_all_of_them_are_found(rest: Rest) -> None:
    await rest.create(shard_number=3)
    points = [{"id": number, "vector": [number, 1], "payload": {"n": number}} for number in range(60)]
    result = await rest.upsert(points)
    assert result["status"] == "completed"
    assert all(shard.points for shard in rest.shards())
    assert sum(len(shard.points) for shard in rest.shards()) == 60
    stored = await _stored(rest)
    assert {number: point["vector"] for number, point in stored.items()} == {
        number: [float(number), 1.0] for number in range(60)
    }
    assert {number: point["payload"] for number, point in stored.items()} == {
        number: {"n": number} for number in range(60)
    }


async def test_a_filter_reaches_every_shard(rest: Rest) -> None:
    await rest.create(shard_number=3)
    await rest.upsert(
        [{"id": number, "vector": [1, 1], "payload": {"even": number % 2 == 0}} for number in range(20)]
    )
    even = {"must": [{"key": "even", "match": {"value": True}}]}
    await rest.post(f"{POINTS}/delete?wait=true", {"filter": even})
    assert sorted(await _stored(rest)) == list(range(1, 20, 2))


async def test_a_shard_that_fails_is_told_with_the_class_of_its_error(rest: Rest) -> None:
    await rest.create(shard_number=3)
    rest.shards()[1].failure = BadInput("no")
    answer = await _upsert(rest, {"points": [{"id": number, "vector": [1, 1]} for number in range(60)]})
    assert answer.status == 400
    assert answer.error == (
        "Wrong input: 1 out of 3 shards failed to apply operation. First error captured: Wrong input: no"
    )


async def test_an_error_of_all_shards_keeps_its_text(rest: Rest) -> None:
    await rest.create(shard_number=2)
    for shard in rest.shards():
        shard.failure = BadInput("no")
    answer = await _upsert(rest, {"points": [{"id": number, "vector": [1, 1]} for number in range(60)]})
    assert answer.error == "Wrong input: no"


async def test_the_result_of_several_shards_is_the_worst_of_theirs(rest: Rest) -> None:
    await rest.create(shard_number=2)
    slow, other = rest.shards()
    slow.status, other.operations = UpdateStatus.WAIT_TIMEOUT, 41
    result = await rest.upsert([{"id": number, "vector": [1, 1]} for number in range(60)])
    assert result == {"operation_id": 41, "status": "wait_timeout"}


async def test_a_write_gives_a_token_that_reads_and_later_writes_may_present(rest: Rest) -> None:
    await rest.create()
    first = await _upsert(rest, {"points": [_POINT]}, "?wait=true")
    token = first.headers["x-vecraft-token"]
    presented = {"headers": {"x-vecraft-token": token}}
    for path, body in (
        ("/points", {"ids": [1]}),
        ("/points/scroll", {}),
        ("/points/query?timeout=5", {"query": [1, 2]}),
        ("/points/count", {}),
    ):
        answer = await rest.post(f"/collections/c{path}", body, **presented)
        assert answer.status == 200
        assert "x-vecraft-token" not in answer.headers
    deleted = await rest.post("/collections/c/points/delete", {"points": [1]}, **presented)
    known = decode_tokens(deleted.headers["x-vecraft-token"])
    assert known.keys() == decode_tokens(token).keys()
    assert max(known.values()) > max(decode_tokens(token).values())
    batch = {"operations": [{"delete": {"points": [1]}}, {"delete": {"points": [2]}}]}
    assert (await rest.post("/collections/c/points/batch", batch)).headers["x-vecraft-token"]


@pytest.mark.parametrize("token", ["", "nonsense!", "AQ"])
async def test_a_malformed_token_is_refused_by_reads_and_writes(rest: Rest, token: str) -> None:
    await rest.create()
    headers = {"x-vecraft-token": token}
    for answer in (
        await rest.post("/collections/c/points/count", {}, headers=headers),
        await rest.put("/collections/c/points", {"points": [_POINT]}, headers=headers),
    ):
        assert answer.status == 400
        assert answer.error.startswith("Wrong input: malformed token in x-vecraft-token")
    assert not any(shard.requests for shard in rest.shards())
