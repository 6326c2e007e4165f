"""Retrieve, scroll and count over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.router.rest.conftest import Rest

POINTS = "/collections/c/points"
SHARDS = [1, 3]


@pytest.fixture(params=SHARDS, ids=["one shard", "three shards"])
async def filled(rest: Rest, request: pytest.FixtureRequest) -> Rest:
    """Ids 0..9; ``n`` falls as the id grows; ``t`` is text."""
    await rest.create(shard_number=request.param)
    await rest.upsert(
        [
            {
                "id": number,
                "vector": [number, 0.1],
                "payload": {"n": 9 - number, "t": f"t{number}", "o": {"x": 1}},
            }
            for number in range(10)
        ]
    )
    await rest.put("/collections/c/index", {"field_name": "n", "field_schema": "integer"})
    return rest


# --- retrieve -----------------------------------------------------------------------------------------


async def test_points_come_in_the_order_asked_once_and_only_if_they_exist(filled: Rest) -> None:
    result = (await filled.post(POINTS, {"ids": [7, 99, 3, 7]})).result
    assert result == [{"id": 7}, {"id": 3}]


async def test_a_single_point_comes_with_payload_and_vector(filled: Rest) -> None:
    assert (await filled.get(f"{POINTS}/3")).result == {
        "id": 3,
        "payload": {"n": 6, "t": "t3", "o": {"x": 1}},
        "vector": [3.0, 0.1],
    }


async def test_a_missing_single_point_is_a_404(filled: Rest) -> None:
    answer = await filled.get(f"{POINTS}/77")
    assert (answer.status, answer.error) == (404, "Not found: Point with id 77 does not exists!")


async def test_a_path_that_is_no_id_is_refused(filled: Rest) -> None:
    answer = await filled.get(f"{POINTS}/abc")
    assert (answer.status, answer.error) == (400, 'Wrong input: Can not recognize "abc" as point id')


@pytest.mark.parametrize(
    ("with_payload", "shown"),
    [
        (None, None),
        (False, None),
        (True, {"n": 6, "t": "t3", "o": {"x": 1}}),
        (["t"], {"t": "t3"}),
        (["o.x"], {"o": {"x": 1}}),
        ([], {}),
        ({"include": ["n"]}, {"n": 6}),
        ({"exclude": ["n", "o"]}, {"t": "t3"}),
    ],
)
async def test_the_payload_shown_is_the_part_selected(filled: Rest, with_payload: Any, shown: Any) -> None:
    (point,) = (await filled.post(POINTS, {"ids": [3], "with_payload": with_payload})).result
    assert point.get("payload") == shown


@pytest.mark.parametrize(
    "with_payload",
    [
        {"include": ["n"], "exclude": ["t"]},
        {"only": ["n"]},
        {},
        {"include": "n"},
        {"include": [1]},
        ["a..b"],
        5,
        "n",
    ],
)
async def test_other_payload_selectors_are_refused(filled: Rest, with_payload: Any) -> None:
    answer = await filled.post(POINTS, {"ids": [3], "with_payload": with_payload})
    assert answer.status == 400
    assert answer.error.startswith("Format error in JSON body: ")


@pytest.mark.parametrize("key", ["with_vector", "with_vectors"])
@pytest.mark.parametrize(
    ("value", "shown"), [(True, [3.0, 0.1]), ([""], {"": [3.0, 0.1]}), (False, None), (None, None)]
)
async def test_an_unnamed_vector_is_a_list_unless_asked_for_by_name(
    filled: Rest, key: str, value: Any, shown: Any
) -> None:
    (point,) = (await filled.post(POINTS, {"ids": [3], key: value})).result
    assert point.get("vector") == shown


async def test_an_unknown_vector_name_is_refused(filled: Rest) -> None:
    answer = await filled.post(POINTS, {"ids": [3], "with_vector": ["i_do_no_exist"]})
    assert answer.status == 400
    assert answer.error == "Wrong input: Not existing vector name error: i_do_no_exist"


async def test_named_vectors_are_shown_as_a_map(rest: Rest) -> None:
    await rest.create(vectors={"": {"size": 1, "distance": "Dot"}, "a": {"size": 1, "distance": "Dot"}})
    await rest.upsert(
        [{"id": 1, "vector": {"": [1]}}, {"id": 2, "vector": {"": [1], "a": [2]}}, {"id": 3, "vector": {}}]
    )
    result = (await rest.post(POINTS, {"ids": [1, 2, 3], "with_vector": True})).result
    assert [point["vector"] for point in result] == [{"": [1.0]}, {"": [1.0], "a": [2.0]}, {}]
    result = (await rest.post(POINTS, {"ids": [2], "with_vector": ["a"]})).result
    assert result[0]["vector"] == {"a": [2.0]}


async def test_floats_print_as_the_shortest_float32(rest: Rest) -> None:
    await rest.create()
    await rest.upsert([{"id": 1, "vector": [0.05, 1e-8]}])
    answer = await rest.get(f"{POINTS}/1")
    assert b'"vector":[0.05,1e-8]' in answer.body


# --- scroll -------------------------------------------------------------------------------------------


async def _ids(rest: Rest, **body: Any) -> list[int]:
    return [point["id"] for point in (await rest.post(f"{POINTS}/scroll", body)).result["points"]]


async def test_scroll_pages_through_all_points_by_id(filled: Rest) -> None:
    seen: list[int] = []
    offset: Any = None
    for _ in range(5):
        page = (await filled.post(f"{POINTS}/scroll", {"limit": 4, "offset": offset})).result
        seen += [point["id"] for point in page["points"]]
        offset = page["next_page_offset"]
        if offset is None:
            break
    assert seen == list(range(10))


async def test_scroll_shows_ten_points_with_payload_and_no_vectors_by_default(filled: Rest) -> None:
    await filled.upsert([{"id": 10, "vector": [1, 1]}])
    page = (await filled.post(f"{POINTS}/scroll", {})).result
    assert len(page["points"]) == 10
    assert page["points"][0] == {"id": 0, "payload": {"n": 9, "t": "t0", "o": {"x": 1}}}
    assert page["next_page_offset"] == 10


async def test_a_full_last_page_has_no_next_page(filled: Rest) -> None:
    assert (await filled.post(f"{POINTS}/scroll", {"limit": 10})).result["next_page_offset"] is None


async def test_scroll_filters(filled: Rest) -> None:
    assert await _ids(filled, filter={"must": {"key": "n", "range": {"gte": 7}}}) == [0, 1, 2]


@pytest.mark.parametrize(
    ("order_by", "ids"),
    [
        ("n", [9, 8, 7]),
        ({"key": "n", "direction": "desc"}, [0, 1, 2]),
        ({"key": "n", "start_from": 7}, [2, 1, 0]),
        ({"key": "n", "direction": "desc", "start_from": 2.5}, [7, 8, 9]),
    ],
)
async def test_scroll_orders_by_a_payload_key(filled: Rest, order_by: Any, ids: list[int]) -> None:
    page = (await filled.post(f"{POINTS}/scroll", {"limit": 3, "order_by": order_by})).result
    assert [point["id"] for point in page["points"]] == ids
    assert [point["order_value"] for point in page["points"]] == [9 - number for number in ids]
    assert page["points"][0]["payload"]["t"] == f"t{ids[0]}"
    assert page["next_page_offset"] is None


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"limit": 0}, 422, "limit: value 0 invalid, must be 1 or larger"),
        ({"limit": -1}, 400, "Format error in JSON body"),
        ({"offset": 1, "order_by": "n"}, 400, "Cannot use an `offset` when using `order_by`"),
        ({"offset": -1}, 400, "is not a valid point ID"),
        ({"order_by": "t"}, 400, "No range index for `order_by` key: `t`"),
        ({"order_by": {"key": "n", "direction": "up"}}, 400, "Format error in JSON body"),
        ({"order_by": {}}, 400, "Format error in JSON body"),
        ({"order_by": {"key": "n", "start_from": "soon"}}, 400, "does not match accepted datetime format"),
        ({"with_vector": ["nope"]}, 400, "Not existing vector name error: nope"),
        ({"shard_key": "x"}, 400, "Shard key"),
    ],
)
async def test_wrong_scrolls_are_refused(filled: Rest, body: Any, status: int, text: str) -> None:
    answer = await filled.post(f"{POINTS}/scroll", body)
    assert answer.status == status
    assert text in answer.error


# --- count, parameters ----------------------------------------------------------------------------------


async def test_count_sums_over_shards(filled: Rest) -> None:
    assert (await filled.post(f"{POINTS}/count", {})).result == {"count": 10}
    condition = {"must": {"key": "n", "range": {"gte": 7}}}
    assert (await filled.post(f"{POINTS}/count", {"filter": condition, "exact": False})).result == {
        "count": 3
    }


@pytest.mark.parametrize(
    "query",
    [
        "timeout=0",
        "timeout=x",
        "consistency=0",
        "consistency=most",
        "consistency=-1",
        f"consistency={'1' * 5000}",
    ],
    ids=lambda query: query[:20],
)
@pytest.mark.parametrize("path", ["", "/scroll", "/count", "/query"])
async def test_read_parameters_that_do_not_parse_are_refused(rest: Rest, path: str, query: str) -> None:
    await rest.create()
    answer = await rest.post(f"{POINTS}{path}?{query}", {"ids": []})
    assert answer.status == 400
    assert answer.error.startswith("Deserialize error in query parameters: ")


@pytest.mark.parametrize("query", ["consistency=", "consistency=1", "consistency=majority", "timeout=1"])
async def test_read_parameters_are_accepted(rest: Rest, query: str) -> None:
    await rest.create()
    assert (await rest.post(f"{POINTS}/count?{query}", {})).result == {"count": 0}


async def test_an_unknown_collection_is_a_404_on_every_read(rest: Rest) -> None:
    for method, path, body in [
        ("POST", "", {"ids": [1]}),
        ("GET", "/1", None),
        ("POST", "/scroll", {}),
        ("POST", "/count", {}),
        ("POST", "/query", {}),
        ("POST", "/query/batch", {"searches": []}),
        ("POST", "/search", {"vector": [1], "limit": 1}),
    ]:
        answer = await rest.call(method, POINTS + path, body)
        assert (answer.status, answer.error) == (404, "Not found: Collection `c` doesn't exist!")
