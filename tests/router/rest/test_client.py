"""Qdrant's own client against our REST edge: every answer must parse as its models demand."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from tests.router.rest.conftest import Rest

POINTS = [
    models.PointStruct(id=number, vector=[float(number), 1.0], payload={"n": number, "t": f"t{number}"})
    for number in range(1, 6)
]


@pytest.fixture
async def client(rest: Rest) -> AsyncIterator[AsyncQdrantClient]:
    url = str(rest.client.make_url("/")).rstrip("/")
    client = AsyncQdrantClient(url=url, check_compatibility=False, prefer_grpc=False)
    params = models.VectorParams(size=2, distance=models.Distance.DOT)
    assert await client.create_collection("c", vectors_config=params)
    assert (await client.upsert("c", POINTS)).status is models.UpdateStatus.COMPLETED
    yield client
    await client.close()


async def test_collections(client: AsyncQdrantClient) -> None:
    assert await client.collection_exists("c")
    assert [entry.name for entry in (await client.get_collections()).collections] == ["c"]
    info = await client.get_collection("c")
    assert (info.status, info.points_count) == (models.CollectionStatus.GREEN, 5)
    assert await client.update_collection(
        "c", optimizers_config=models.OptimizersConfigDiff(indexing_threshold=1)
    )
    alias = models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name="c", alias_name="a"))
    assert await client.update_collection_aliases([alias])
    assert (await client.get_collection_aliases("c")).aliases[0].alias_name == "a"
    assert await client.delete_collection("c")


async def test_queries(client: AsyncQdrantClient) -> None:
    found = await client.query_points("c", query=[1.0, 0.0], limit=2, with_payload=True, with_vectors=True)
    assert [(point.id, point.score, point.vector) for point in found.points] == [
        (5, 5.0, [5.0, 1.0]),
        (4, 4.0, [4.0, 1.0]),
    ]
    assert found.points[0].payload == {"n": 5, "t": "t5"}
    by_id = await client.query_points("c", query=5, limit=1)
    assert by_id.points[0].id == 4
    requests = [models.QueryRequest(query=[1.0, 0.0], limit=1), models.QueryRequest(query=1, limit=1)]
    answers = await client.query_batch_points("c", requests)
    assert [answer.points[0].id for answer in answers] == [5, 5]


async def test_reads(client: AsyncQdrantClient) -> None:
    records = await client.retrieve("c", ids=[2, 1], with_vectors=True)
    assert [record.id for record in records] == [2, 1]
    condition = models.Filter(must=[models.FieldCondition(key="n", range=models.Range(gt=3))])
    page, following = await client.scroll("c", scroll_filter=condition, limit=1)
    assert (page[0].id, following) == (4, 5)
    assert (await client.count("c", count_filter=condition)).count == 2


async def test_updates(client: AsyncQdrantClient) -> None:
    await client.set_payload("c", payload={"x": 1}, points=[1])
    await client.overwrite_payload("c", payload={"y": 1}, points=[2])
    await client.delete_payload("c", keys=["n"], points=[3])
    await client.clear_payload("c", points_selector=[4])
    await client.update_vectors("c", points=[models.PointVectors(id=5, vector=[9.0, 9.0])])
    await client.delete_vectors("c", vectors=[""], points=[1])
    records = await client.retrieve("c", ids=[1, 2, 3, 4, 5], with_vectors=True)
    assert [record.payload for record in records] == [
        {"n": 1, "t": "t1", "x": 1},
        {"y": 1},
        {"t": "t3"},
        {},
        {"n": 5, "t": "t5"},
    ]
    assert records[0].vector == {}
    assert records[4].vector == [9.0, 9.0]
    await client.delete("c", points_selector=models.FilterSelector(filter=models.Filter()))
    assert (await client.count("c")).count == 0


async def test_batch_updates(client: AsyncQdrantClient) -> None:
    operations = [
        models.UpsertOperation(upsert=models.PointsList(points=[models.PointStruct(id=9, vector=[1, 2])])),
        models.SetPayloadOperation(set_payload=models.SetPayload(payload={"z": 1}, points=[9])),
        models.DeleteOperation(delete=models.PointIdsList(points=[1])),
    ]
    results = await client.batch_update_points("c", operations)
    assert [result.status for result in results] == [models.UpdateStatus.COMPLETED] * 3


async def test_indexes(client: AsyncQdrantClient) -> None:
    result = await client.create_payload_index("c", "n", field_schema=models.PayloadSchemaType.INTEGER)
    assert result.status is models.UpdateStatus.COMPLETED
    page, _ = await client.scroll(
        "c", order_by=models.OrderBy(key="n", direction=models.Direction.DESC), limit=2
    )
    assert [record.id for record in page] == [5, 4]
    assert (await client.delete_payload_index("c", "n")).status is models.UpdateStatus.COMPLETED


async def test_errors_carry_the_status_and_text(client: AsyncQdrantClient) -> None:
    with pytest.raises(UnexpectedResponse) as caught:
        await client.query_points("nope", query=[1.0, 0.0])
    assert caught.value.status_code == 404
    assert b"Not found: Collection `nope` doesn't exist!" in caught.value.content
