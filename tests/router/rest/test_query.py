"""The query API and the legacy search over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from protos.shard import QuantizationSearchParams, SearchParams
from tests.router.rest.conftest import Rest

COLLECTION = "/collections/c"
QUERY = "/collections/c/points/query"


@pytest.fixture(params=[1, 3], ids=["one shard", "three shards"])
async def filled(rest: Rest, request: pytest.FixtureRequest) -> Rest:
    """Ids 0..9 with vector (id, 1) under Dot, ``n`` their payload."""
    await rest.create(shard_number=request.param)
    await rest.upsert(
        [{"id": number, "vector": [number, 1], "payload": {"n": number}} for number in range(10)]
    )
    return rest


async def _points(rest: Rest, path: str = QUERY, **body: Any) -> list[dict[str, Any]]:
    points: list[dict[str, Any]] = (await rest.post(path, body)).result["points"]
    return points


async def _ids(rest: Rest, **body: Any) -> list[int]:
    return [point["id"] for point in await _points(rest, **body)]


# --- nearest --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", [[1, 0], {"nearest": [1, 0]}, {"nearest": [1.0, 0.0], "mmr": None}])
async def test_the_nearest_points_come_best_first(filled: Rest, query: Any) -> None:
    points = await _points(filled, query=query, limit=3)
    assert points == [
        {"id": 9, "version": points[0]["version"], "score": 9.0},
        {"id": 8, "version": points[1]["version"], "score": 8.0},
        {"id": 7, "version": points[2]["version"], "score": 7.0},
    ]


async def test_a_query_is_explained(filled: Rest) -> None:
    answer = await filled.post(f"{QUERY}/explain", {"query": [1, 0], "limit": 2})
    assert answer.status == 200
    (stage,) = answer.result["stages"]
    assert (stage["stage"], stage["kind"], stage["limit"]) == ("query", "search", 2)
    assert [shard["shard"] for shard in stage["shards"]] == list(range(len(filled.shards())))
    assert all(0 < shard["points"] <= 2 for shard in stage["shards"])
    assert answer.result["phases"].keys() == {"vectors", "shards"}
    wrong = await filled.post(f"{QUERY}/explain", {"query": [1, 0], "limit": 0})
    assert wrong.status == 422


async def test_ten_points_are_the_default(filled: Rest) -> None:
    await filled.upsert([{"id": 10, "vector": [10, 1]}])
    assert len(await _points(filled, query=[1, 0])) == 10


async def test_limit_and_offset_cut_a_window_out_of_the_whole_ranking(filled: Rest) -> None:
    assert await _ids(filled, query=[1, 0], limit=3, offset=2) == [7, 6, 5]
    assert await _ids(filled, query=[1, 0], limit=3, offset=9) == [0]
    assert await _ids(filled, query=[1, 0], limit=3, offset=10) == []


async def test_payload_and_vectors_are_shown_when_asked(filled: Rest) -> None:
    (point,) = await _points(filled, query=[1, 0], limit=1, with_payload=True, with_vector=True)
    assert (point["payload"], point["vector"]) == ({"n": 9}, [9.0, 1.0])
    (point,) = await _points(filled, query=[1, 0], limit=1, with_payload=["x"], with_vectors=[""])
    assert (point["payload"], point["vector"]) == ({}, {"": [9.0, 1.0]})


async def test_filter_threshold_and_params_reach_the_search(filled: Rest) -> None:
    condition = {"must": {"key": "n", "range": {"lt": 8}}}
    params = {"hnsw_ef": 64, "exact": True, "indexed_only": True, "quantization": {"rescore": True}}
    ids = await _ids(filled, query=[1, 0], filter=condition, score_threshold=5, params=params)
    assert ids == [7, 6]
    quantization = QuantizationSearchParams(rescore=True)
    assert filled.shards()[0].searches[-1].params == SearchParams(64, True, True, quantization)


async def test_named_vectors_are_searched_by_using(rest: Rest) -> None:
    await rest.create(vectors={"a": {"size": 1, "distance": "Euclid"}, "b": {"size": 1, "distance": "Dot"}})
    await rest.upsert([{"id": 1, "vector": {"a": [1], "b": [9]}}, {"id": 2, "vector": {"a": [3]}}])
    points = await _points(rest, query=[3.5], using="a")
    assert [(point["id"], point["score"]) for point in points] == [(2, 0.5), (1, 2.5)]
    assert await _ids(rest, query=[1], using="b") == [1]


@pytest.mark.parametrize("distance", ["Euclid", "Manhattan"])
async def test_distances_rank_ascending_with_the_smaller_id_first(rest: Rest, distance: str) -> None:
    await rest.create(vectors={"size": 2, "distance": distance}, shard_number=3)
    await rest.upsert([{"id": number, "vector": [number // 2, 0]} for number in range(12)])
    points = await _points(rest, query=[0, 0], limit=5, offset=1)
    assert [(point["id"], point["score"]) for point in points] == [
        (1, 0.0),
        (2, 1.0),
        (3, 1.0),
        (4, 2.0),
        (5, 2.0),
    ]


async def test_similarities_put_the_larger_id_first_on_ties(rest: Rest) -> None:
    await rest.create(shard_number=3)
    await rest.upsert([{"id": number, "vector": [1, 0]} for number in range(12)])
    assert await _ids(rest, query=[1, 0], limit=4) == [11, 10, 9, 8]


async def test_scores_print_as_the_shortest_float32(rest: Rest) -> None:
    await rest.create()
    await rest.upsert([{"id": 1, "vector": [0.05, 0]}])
    assert b'"score":0.05}' in (await rest.post(QUERY, {"query": [1, 0]})).body


async def test_a_point_deleted_between_search_and_fetch_drops_out(rest: Rest) -> None:
    await rest.create(shard_number=3)
    await rest.upsert([{"id": number, "vector": [number, 1]} for number in range(10)])
    for shard in rest.shards():
        shard.before_retrieve = lambda shard=shard: shard.points.pop(8, None)  # type: ignore[misc]
    points = await _points(rest, query=[1, 0], limit=3, with_payload=True)
    assert [(point["id"], point["score"]) for point in points] == [(9, 9.0), (7, 7.0)]


async def test_payloads_of_several_shards_are_fetched_for_the_winners_only(rest: Rest) -> None:
    await rest.create(shard_number=3)
    await rest.upsert(
        [{"id": number, "vector": [number, 1], "payload": {"n": number}} for number in range(10)]
    )
    await _points(rest, query=[1, 0], limit=2, with_payload=True)
    assert all(search.projection.payload is False for shard in rest.shards() for search in shard.searches)


async def test_numbers_beyond_any_sense_are_taken_for_the_largest_that_make_sense(filled: Rest) -> None:
    body = {"query": [1, 0], "limit": 10**18, "params": {"hnsw_ef": 10**18}}
    assert len(await _points(filled, **body)) == 10
    assert await _ids(filled, **body, score_threshold=1e300) == []
    assert len(await _ids(filled, **body, score_threshold=-1e300)) == 10


# --- nearest by id --------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", [9, {"nearest": 9}])
async def test_a_point_searched_by_its_id_is_left_out(filled: Rest, query: Any) -> None:
    assert await _ids(filled, query=query, limit=2) == [8, 7]
    assert await _ids(filled, query=query, limit=2, offset=1) == [7, 6]


async def test_an_example_far_from_itself_takes_no_place_of_others(rest: Rest) -> None:
    await rest.create()
    await rest.upsert([{"id": 0, "vector": [1, 0]}, {"id": 1, "vector": [5, 0]}, {"id": 2, "vector": [4, 0]}])
    assert await _ids(rest, query=0, limit=2) == [1, 2]


async def test_a_missing_example_is_a_404(filled: Rest) -> None:
    answer = await filled.post(QUERY, {"query": 33})
    assert (answer.status, answer.error) == (404, "Not found: No point with id 33 found")


async def test_an_example_without_the_vector_is_a_404(rest: Rest) -> None:
    await rest.create(vectors={"a": {"size": 1, "distance": "Dot"}})
    await rest.upsert([{"id": 1, "vector": {}}])
    answer = await rest.post(QUERY, {"query": 1, "using": "a"})
    assert (answer.status, answer.error) == (404, 'Not found: Vector with name "a" for point not found')


async def test_examples_may_be_looked_up_in_another_collection(filled: Rest) -> None:
    await filled.create("other", vectors={"v": {"size": 2, "distance": "Dot"}})
    await filled.upsert([{"id": 9, "vector": {"v": [-1, 0]}}], "other")
    lookup = {"collection": "other", "vector": "v"}
    assert await _ids(filled, query=9, lookup_from=lookup, limit=2) == [0, 1]
    assert 9 in await _ids(filled, query=9, lookup_from=lookup, limit=10)


async def test_a_lookup_uses_the_searched_name_unless_it_gives_one(rest: Rest) -> None:
    await rest.create(vectors={"v": {"size": 2, "distance": "Dot"}})
    await rest.create("other", vectors={"v": {"size": 2, "distance": "Dot"}})
    await rest.upsert([{"id": 1, "vector": {"v": [1, 0]}}])
    await rest.upsert([{"id": 5, "vector": {"v": [1, 0]}}], "other")
    assert await _ids(rest, query=5, using="v", lookup_from={"collection": "other"}) == [1]


async def test_an_example_looked_up_in_the_same_collection_is_left_out(filled: Rest) -> None:
    assert 9 not in await _ids(filled, query=9, lookup_from={"collection": "c"})


@pytest.mark.parametrize(
    ("lookup", "status", "text"),
    [
        (
            {"collection": "non-existing-collection"},
            404,
            "Not found: Collection non-existing-collection not found",
        ),
        (
            {"collection": "other", "vector": "non-existing-vector"},
            400,
            "Wrong input: Not existing vector name error: non-existing-vector",
        ),
        ({"collection": "other", "vector": "long"}, 400, "Vector dimension error: expected dim: 2, got 3"),
        ({"collection": "other", "vector": "v"}, 404, "Not found: No point with id 5 found"),
    ],
)
async def test_wrong_lookups_are_refused(filled: Rest, lookup: Any, status: int, text: str) -> None:
    vectors = {"v": {"size": 2, "distance": "Dot"}, "long": {"size": 3, "distance": "Dot"}}
    await filled.create("other", vectors=vectors)
    await filled.upsert([{"id": 9, "vector": {"v": [1, 0]}}], "other")
    await filled.upsert([{"id": 5 if "long" in str(lookup) else 6, "vector": {"long": [1, 0, 0]}}], "other")
    answer = await filled.post(QUERY, {"query": 5, "lookup_from": lookup})
    assert answer.status == status
    assert text in answer.error


# --- without a vector -----------------------------------------------------------------------------------


async def test_without_a_query_points_come_by_id_with_score_one(filled: Rest) -> None:
    points = await _points(filled, limit=2, offset=3, with_payload=True)
    assert points == [
        {"id": 3, "version": 0, "score": 1.0, "payload": {"n": 3}},
        {"id": 4, "version": 0, "score": 1.0, "payload": {"n": 4}},
    ]


async def test_order_by_is_a_query(filled: Rest) -> None:
    await filled.put(f"{COLLECTION}/index", {"field_name": "n", "field_schema": "integer"})
    points = await _points(filled, query={"order_by": {"key": "n", "direction": "desc"}}, limit=2, offset=1)
    assert [(point["id"], point["order_value"], point["score"]) for point in points] == [
        (8, 8, 1.0),
        (7, 7, 1.0),
    ]


# --- batch ------------------------------------------------------------------------------------------------


async def test_a_batch_answers_each_search_in_order(filled: Rest) -> None:
    searches = [
        {"query": [1, 0], "limit": 1},
        {"limit": 2},
        {"query": [-1, 0], "limit": 1, "with_payload": True},
    ]
    result = (await filled.post(f"{QUERY}/batch", {"searches": searches})).result
    assert [[point["id"] for point in answer["points"]] for answer in result] == [[9], [0, 1], [0]]
    assert result[2]["points"][0]["payload"] == {"n": 0}


async def test_an_empty_batch_has_an_empty_result(filled: Rest) -> None:
    assert (await filled.post(f"{QUERY}/batch", {"searches": []})).result == []


# --- errors -----------------------------------------------------------------------------------------------

_NAIVE = {"a": 1, "b": 1, "c": 1}
_LATER = "by this version of Vecraft yet"


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (
            {"limit": 0},
            422,
            "Validation error in JSON body: [internal.limit: value 0 invalid, must be 1 or larger]",
        ),
        ({"query": [1, 0], "params": {"hnsw_ef": 0}}, 422, "hnsw_ef"),
        ({"query": []}, 422, "dense vector must not be empty"),
        ({"query": [1, 2, 3]}, 400, "Wrong input: Vector dimension error: expected dim: 2, got 3"),
        ({"query": [1, 2], "using": "x"}, 400, "Wrong input: Not existing vector name error: x"),
        ({"query": 1, "using": "x"}, 400, "Wrong input: Not existing vector name error: x"),
        ({"query": "text"}, 400, "is not a valid point ID"),
        ({"query": -1}, 400, "is not a valid point ID"),
        ({"query": {"nearest": True}}, 400, "is not a valid point ID"),
        ({"query": {"nearest": ["a"]}}, 400, "Format error in JSON body"),
        ({"query": {"unknown": 1}}, 400, "Format error in JSON body"),
        ({"query": [1, 2], "limit": -1}, 400, "Format error in JSON body"),
        ({"query": [1, 2], "filter": {"nope": 1}}, 400, "Format error in JSON body"),
        ({"query": [1, 2], "filter": {"must": {"key": "a"}}}, 422, "Validation error in JSON body"),
        (
            {"prefetch": {"query": [1, 2]}},
            400,
            "Bad request: A query is needed to merge the prefetches. "
            "Can't have prefetches without defining a query.",
        ),
        (
            {"score_threshold": 0.5},
            400,
            "Bad request: A query is needed to use the score_threshold. "
            "Can't have score_threshold without defining a query.",
        ),
        (
            {"query": {"order_by": "n"}, "score_threshold": 0.5},
            400,
            "Bad request: Can't use score_threshold with an order_by query.",
        ),
        (
            {"query": {"fusion": "rrf"}, "using": "x", "prefetch": [{"query": [1, 2]}]},
            400,
            "Bad request: Fusion queries cannot be combined with the 'using' field.",
        ),
        ({"query": {"fusion": "rrf"}}, 400, "cannot apply Fusion without prefetches"),
        ({"query": {"rrf": {}}}, 400, "cannot apply Fusion without prefetches"),
        ({"query": {"formula": 1.0}}, 400, "cannot apply Formula without prefetches"),
        (
            {"query": {"recommend": {"strategy": "best_score"}}},
            422,
            "At least one positive or negative vector/id must be provided",
        ),
        (
            {"query": {"relevance_feedback": {"target": 1, "feedback": [], "strategy": {"naive": _NAIVE}}}},
            422,
            "feedback elements must be non-empty",
        ),
        (
            {"query": [1, 2], "params": {"quantization": {"oversampling": 0.5}}},
            422,
            "[internal.params.quantization.oversampling: value 0.5 invalid, must be 1.0 or larger]",
        ),
        (
            {"query": [1, 2], "params": {"acorn": {"max_selectivity": 2}}},
            422,
            "[internal.params.acorn.max_selectivity: value 2.0 invalid, must be from 0.0 to 1.0]",
        ),
        ({"query": [1, 2], "params": {"quantization": {"ignore": 5}}}, 400, "Expected `bool`"),
        ({"query": {"order_by": "n"}}, 400, "No range index for `order_by` key: `n`"),
        ({"query": {"fusion": "mean"}, "prefetch": [{}]}, 400, "unknown variant `mean`"),
        ({"query": {"rrf": {"k": 0}}, "prefetch": [{}]}, 422, "internal.query.rrf.k: value 0 invalid"),
        ({"query": {"rrf": {"weights": [1, 2]}}, "prefetch": {}}, 400, "got 2, expected 1"),
        (
            {"query": {"fusion": "rrf"}, "prefetch": [{}, {"limit": 0}]},
            422,
            "internal.prefetch[1].limit: value 0 invalid, must be 1 or larger",
        ),
        ({"query": {"sample": "first"}}, 400, "unknown variant `first`, expected `random`"),
        (
            {"query": {"nearest": [1, 2], "mmr": {"diversity": 1.5}}},
            422,
            "internal.query.mmr.diversity: value 1.5 invalid, must be from 0.0 to 1.0",
        ),
        (
            {"query": {"nearest": [1, 2], "mmr": {"candidates_limit": 16385}}},
            422,
            "internal.query.mmr.candidates_limit: value 16385 invalid, must be from 0 to 16384",
        ),
        ({"query": {"text": "hello", "model": "m"}}, 500, "InferenceService URL not configured"),
        ({"query": {"text": "hello", "model": ""}}, 422, "internal.query.model: value invalid"),
        ({"query": [[1, 2]]}, 400, "Conversion between multi and regular vectors failed"),
        (
            {"query": {"indices": [1], "values": [1]}},
            400,
            "Conversion between sparse and regular vectors failed",
        ),
    ],
)
async def test_wrong_queries_are_refused(rest: Rest, body: Any, status: int, text: str) -> None:
    await rest.create()
    answer = await rest.post(QUERY, body)
    assert answer.status == status, answer.body
    assert text in answer.error


# --- legacy search ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", [[1, 0], {"name": "", "vector": [1, 0]}])
@pytest.mark.parametrize("limit", ["limit", "top"])
async def test_legacy_search_returns_a_bare_list(filled: Rest, vector: Any, limit: str) -> None:
    body = {"vector": vector, limit: 2, "with_payload": True, "score_threshold": 1}
    result = (await filled.post(f"{COLLECTION}/points/search", body)).result
    assert [(point["id"], point["score"], point["payload"]) for point in result] == [
        (9, 9.0, {"n": 9}),
        (8, 8.0, {"n": 8}),
    ]


async def test_legacy_searches_run_in_batch(filled: Rest) -> None:
    searches = [{"vector": [1, 0], "limit": 1}, {"vector": [-1, 0], "limit": 2, "offset": 1}]
    result = (await filled.post(f"{COLLECTION}/points/search/batch", {"searches": searches})).result
    assert [[point["id"] for point in points] for points in result] == [[9], [1, 2]]


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"vector": [1, 0]}, 400, "missing field `limit`"),
        ({"limit": 1}, 400, "Format error in JSON body"),
        ({"vector": [1, 0], "limit": 0}, 422, "limit: value 0 invalid, must be 1 or larger"),
        ({"vector": [1, 0], "limit": 1, "params": {"hnsw_ef": 0}}, 422, "hnsw_ef"),
        ({"vector": [1], "limit": 1}, 400, "Wrong input: Vector dimension error: expected dim: 2, got 1"),
        ({"vector": {"name": "x", "vector": [1]}, "limit": 1}, 400, "Not existing vector name error: x"),
        ({"vector": {"name": "x"}, "limit": 1}, 400, "Format error in JSON body"),
        ({"vector": [], "limit": 1}, 422, "dense vector must not be empty"),
    ],
)
async def test_wrong_legacy_searches_are_refused(rest: Rest, body: Any, status: int, text: str) -> None:
    await rest.create()
    answer = await rest.post(f"{COLLECTION}/points/search", body)
    assert answer.status == status, answer.body
    assert text in answer.error


# --- random samples -------------------------------------------------------------------------------------


async def test_a_random_sample_is_of_matching_points_and_has_no_scores(filled: Rest) -> None:
    some = {"must": [{"key": "n", "range": {"gte": 4}}]}
    points = await _points(
        filled, query={"sample": "random"}, filter=some, limit=4, offset=3, with_payload=True
    )
    assert len({point["id"] for point in points}) == 4
    for point in points:
        assert point == {"id": point["id"], "version": 0, "score": 1.0, "payload": {"n": point["id"]}}
        assert point["id"] >= 4


async def test_random_samples_differ(filled: Rest) -> None:
    samples = {tuple(await _ids(filled, query={"sample": "random"}, limit=5)) for _ in range(10)}
    assert len(samples) > 1
