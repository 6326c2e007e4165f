"""Recommendation, discovery, context and feedback over HTTP: as queries, and by the endpoints of old."""

from __future__ import annotations

from typing import Any

import pytest

from protos.filters import Filter, HasId
from tests.router.rest.conftest import Rest

BASE = "/collections/c/points"
NAIVE = {"naive": {"a": 1, "b": 1, "c": 1}}


@pytest.fixture(params=[1, 3], ids=["one shard", "three shards"])
async def filled(rest: Rest, request: pytest.FixtureRequest) -> Rest:
    """Ids 0..9 at (id, 0) under Euclid; ``n`` is their payload, ``side`` which half they are of."""
    await rest.create(vectors={"size": 2, "distance": "Euclid"}, shard_number=request.param)
    await rest.upsert(
        [
            {"id": number, "vector": [number, 0], "payload": {"n": number, "side": number // 5}}
            for number in range(10)
        ]
    )
    return rest


async def hits(rest: Rest, query: Any, **body: Any) -> list[tuple[int, float]]:
    points = (await rest.post(f"{BASE}/query", {"query": query, **body})).result["points"]
    return [(point["id"], pytest.approx(point["score"], abs=1e-6)) for point in points]


async def ids(rest: Rest, query: Any, **body: Any) -> list[int]:
    return [point for point, _ in await hits(rest, query, **body)]


async def test_the_average_is_searched_by_and_examples_are_left_out(filled: Rest) -> None:
    found = await hits(filled, {"recommend": {"positive": [2, [6, 0]], "negative": [5]}}, limit=3)
    assert found == [(3, 0), (4, 1), (1, 2)]  # 2 * 4 - 5 is 3


async def test_the_best_score_is_of_the_nearest_example(filled: Rest) -> None:
    by = {"recommend": {"positive": [2], "negative": [8], "strategy": "best_score"}}
    found = await hits(filled, by, limit=4)
    assert found == [(3, 0.25), (1, 0.25), (4, 0.1), (0, 0.1)]
    assert (await hits(filled, by))[-1] == (7, -0.25)  # the larger id first among equals, so 9 stands before


async def test_scores_are_summed(filled: Rest) -> None:
    by = {"recommend": {"positive": [2], "negative": [8], "strategy": "sum_scores"}}
    assert await hits(filled, by, limit=2) == [(0, 60), (1, 48)]


async def test_discovery_puts_the_right_side_first(filled: Rest) -> None:
    by = {"discover": {"target": [6, 0], "context": {"positive": 1, "negative": 7}}}
    assert await hits(filled, by, limit=3) == [(3, 1.05), (2, 1 + 1 / 34), (0, 1 + 1 / 74)]


async def test_context_tells_no_points_of_the_right_side_apart(filled: Rest) -> None:
    assert await hits(filled, {"context": [{"positive": 0, "negative": 9}]}, limit=3) == [
        (4, 0),
        (3, 0),
        (2, 0),
    ]
    assert await hits(filled, {"context": None}, limit=2) == [(9, 0), (8, 0)]


async def test_feedback_moves_what_is_near_the_target(filled: Rest) -> None:
    items = [{"example": 7, "score": 1.0}, {"example": 1, "score": 0.5}]
    by = {"relevance_feedback": {"target": [4, 0], "feedback": items, "strategy": NAIVE}}
    # -(x - 4)^2 + 0.5 * (-(x - 7)^2 + (x - 1)^2) is -x^2 + 14 x - 40
    assert await hits(filled, by, limit=3) == [(8, 8), (6, 8), (9, 5)]


async def test_filters_windows_and_thresholds_hold(filled: Rest) -> None:
    by = {"recommend": {"positive": [2, 4], "strategy": "sum_scores"}}
    right = {"must": {"key": "side", "match": {"value": 1}}}
    assert await ids(filled, by, filter=right, limit=2, offset=1) == [6, 7]
    # A distance passes below the threshold, and so do these scores, though the larger is the better.
    assert await ids(filled, by, score_threshold=0, limit=2) == [3, 5]


async def test_a_threshold_does_not_cut_at_an_example(filled: Rest) -> None:
    """The example itself scores 0.5, which does not pass; that must not end the list."""
    by = {"recommend": {"positive": [2], "strategy": "best_score"}}
    assert await ids(filled, by, score_threshold=0.3, limit=2) == [3, 1]
    excluded = Filter(must_not=(HasId((2,)),))
    assert all(shard.searches[-1].filter == excluded for shard in filled.shards())


async def test_examples_rank_what_prefetches_found(filled: Rest) -> None:
    """Of three shards each finds three; 7 is left out of what is found, too."""
    prefetch = {"query": {"recommend": {"positive": [[9, 0]], "strategy": "best_score"}}, "limit": 3}
    assert await ids(filled, {"recommend": {"positive": [7]}}, prefetch=prefetch, limit=2) == [6, 8]


async def test_examples_are_looked_up_elsewhere(filled: Rest) -> None:
    await filled.put("/collections/other", {"vectors": {"size": 2, "distance": "Dot"}})
    await filled.put("/collections/other/points", {"points": [{"id": 3, "vector": [7, 0]}]})
    by = {"recommend": {"positive": [3]}}
    assert await ids(filled, by, lookup_from={"collection": "other"}, limit=2) == [7, 6]


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ({"recommend": {"positive": [2], "strategy": "worst"}}, 400, "Invalid enum value 'worst'"),
        (
            {"recommend": {"negative": [2]}},
            400,
            "Positive vectors should not be empty with `average` strategy",
        ),
        ({"recommend": {}}, 422, "At least one positive or negative vector/id must be provided"),
        ({"recommend": {"positive": [[]]}}, 400, "Vector dimension error: expected dim: 2, got 0"),
        ({"recommend": {"positive": [[1]]}}, 400, "Vector dimension error: expected dim: 2, got 1"),
        ({"recommend": {"positive": [2, 77]}}, 404, "Not found: No point with id 77 found"),
        ({"recommend": {"positive": [True]}}, 400, "Format error in JSON body"),
        ({"recommend": {"positive": 2}}, 400, "Format error in JSON body"),
        ({"discover": {"context": []}}, 400, "target"),
        ({"discover": {"target": 1, "context": [{"positive": 2}]}}, 400, "negative"),
        ({"relevance_feedback": {"target": 1, "feedback": []}}, 400, "strategy"),
        (
            {"relevance_feedback": {"target": 1, "feedback": [], "strategy": NAIVE}},
            422,
            "feedback elements must be non-empty",
        ),
        (
            {
                "relevance_feedback": {
                    "target": 1,
                    "feedback": [{"example": 2, "score": 1}],
                    "strategy": {"naive": {"a": 1, "b": -1, "c": 1}},
                }
            },
            422,
            "[internal.query.relevance_feedback.strategy.naive.b: value -1.0 invalid, must be 0.0 or larger]",
        ),
    ],
)
async def test_wrong_examples_are_refused(filled: Rest, query: Any, status: int, text: str) -> None:
    answer = await filled.post(f"{BASE}/query", {"query": query})
    assert answer.status == status, answer.body
    assert text in answer.error


# --- old clients ------------------------------------------------------------------------------------


async def legacy(rest: Rest, path: str, **body: Any) -> Any:
    return (await rest.post(f"{BASE}/{path}", body)).result


async def test_old_clients_get_bare_lists(filled: Rest) -> None:
    found = await legacy(filled, "recommend", positive=[2, [6, 0]], negative=[5], top=2, with_payload=True)
    assert [(point["id"], point["score"], point["payload"]["n"]) for point in found] == [(3, 0, 3), (4, 1, 4)]
    found = await legacy(filled, "recommend", positive=[2], strategy="best_score", limit=1, using="")
    assert [(point["id"], point["score"]) for point in found] == [(3, 0.25)]
    pair = {"positive": 1, "negative": 7}
    found = await legacy(filled, "discover", target=[6, 0], context=[pair], limit=1)
    assert [point["id"] for point in found] == [3]
    found = await legacy(filled, "discover", target=6, limit=2)
    assert [point["id"] for point in found] == [7, 5]
    found = await legacy(filled, "discover", context=[pair], limit=1)
    assert [(point["id"], point["score"]) for point in found] == [(3, 0)]


async def test_old_clients_ask_in_batches_and_groups(filled: Rest) -> None:
    searches = [{"positive": [number], "limit": 1} for number in (2, 5)]
    batch = await legacy(filled, "recommend/batch", searches=searches)
    assert [[point["id"] for point in points] for points in batch] == [[1], [4]]
    batch = await legacy(filled, "discover/batch", searches=[{"target": 2, "limit": 1}])
    assert [[point["id"] for point in points] for points in batch] == [[3]]
    groups = await legacy(
        filled,
        "recommend/groups",
        positive=[2],
        strategy="best_score",
        group_by="side",
        group_size=2,
        limit=2,
    )
    assert [(group["id"], [hit["id"] for hit in group["hits"]]) for group in groups["groups"]] == [
        (0, [3, 1]),
        (1, [5, 6]),
    ]


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        ("recommend", {"limit": 1}, "At least one positive vector ID required with this strategy"),
        (
            "recommend",
            {"limit": 1, "strategy": "best_score"},
            "At least one positive or negative vector ID required with this strategy",
        ),
        ("recommend", {"positive": [1]}, "missing field `limit`"),
        ("recommend", {"positive": [[]], "limit": 1}, "Vector dimension error: expected dim: 2, got 0"),
        ("discover", {"limit": 1}, "A target, context pairs or both are required"),
    ],
)
async def test_wrong_requests_of_old_clients_are_refused(
    filled: Rest, path: str, body: Any, text: str
) -> None:
    answer = await filled.post(f"{BASE}/{path}", body)
    assert answer.status == 400, answer.body
    assert text in answer.error
