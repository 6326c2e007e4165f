"""qdrant-client itself, its plain and its asynchronous form, through the life of a collection."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable
from typing import Any

import toy
from address import equal, options
from qdrant_client import AsyncQdrantClient, QdrantClient, models

NAME = "library"


async def answer(value: Any) -> Any:
    """Both forms of the client are asked in the same words."""
    return await value if inspect.isawaitable(value) else value


def sparse(text: str) -> models.SparseVector:
    indices, values = toy.sparse(text)
    return models.SparseVector(indices=indices, values=values)


def about(topic: str) -> models.Filter:
    match = models.FieldCondition(key="topic", match=models.MatchValue(value=topic))
    return models.Filter(must=[match])


def ids(answered: Any) -> list[int]:
    return [point.id for point in answered.points]


async def create(client: Any) -> None:
    await answer(client.delete_collection(NAME))
    dense = models.VectorParams(size=toy.DIM, distance=models.Distance.COSINE)
    words = models.SparseVectorParams(modifier=models.Modifier.IDF)
    await answer(
        client.create_collection(NAME, vectors_config={"text": dense}, sparse_vectors_config={"words": words})
    )
    await answer(client.create_payload_index(NAME, "topic", models.PayloadSchemaType.KEYWORD))
    assert await answer(client.collection_exists(NAME))


async def ingest(client: Any) -> None:
    points = [
        models.PointStruct(
            id=number,
            vector={"text": toy.dense(text), "words": sparse(text)},
            payload={"text": text, "topic": topic, "number": number},
        )
        for text, topic, number in toy.TEXTS
    ]
    done = await answer(client.upsert(NAME, points, wait=True))
    equal(done.status, models.UpdateStatus.COMPLETED)
    equal((await answer(client.count(NAME))).count, len(points))


async def search(client: Any) -> None:
    vector, keywords = toy.dense(toy.WOLVES), sparse(toy.WOLVES)
    near = await answer(client.query_points(NAME, vector, using="text", limit=2, with_payload=True))
    equal({point.payload["text"] for point in near.points}, toy.WOLF_PAIR)
    filtered = client.query_points(NAME, vector, using="text", query_filter=about("food"), limit=9)
    equal(sorted(ids(await answer(filtered))), [4, 5, 6])
    prefetch = [
        models.Prefetch(query=vector, using="text", limit=5),
        models.Prefetch(query=keywords, using="words", limit=5),
    ]
    for fusion in (models.Fusion.RRF, models.Fusion.DBSF):
        query = models.FusionQuery(fusion=fusion)
        fused = await answer(client.query_points(NAME, query, prefetch=prefetch, limit=2))
        equal(sorted(ids(fused)), [1, 2])


async def wanted(client: Any, like: int, unlike: int) -> list[float]:
    """Twice the one vector less the other."""
    records = await answer(client.retrieve(NAME, [like, unlike], with_vectors=["text"]))
    one, other = (record.vector["text"] for record in records)
    return [2 * a - b for a, b in zip(one, other, strict=True)]


async def explore(client: Any) -> None:
    alike = models.RecommendQuery(recommend=models.RecommendInput(positive=[7], negative=[5]))
    found = await answer(client.query_points(NAME, alike, using="text", limit=3))
    by_hand = await answer(client.query_points(NAME, await wanted(client, 7, 5), using="text", limit=5))
    equal(ids(found), [point for point in ids(by_hand) if point not in (5, 7)][:3])
    groups = client.query_points_groups(NAME, "topic", 7, using="text", limit=3, group_size=1)
    equal({group.id for group in (await answer(groups)).groups}, {"animal", "food", "space"})
    facet = await answer(client.facet(NAME, "topic", exact=True))
    equal([(hit.value, hit.count) for hit in facet.hits], [("animal", 3), ("food", 3), ("space", 3)])
    records, following = await answer(client.scroll(NAME, limit=4, scroll_filter=about("animal")))
    equal(([record.id for record in records], following), ([1, 2, 3], None))


async def change(client: Any) -> None:
    await answer(client.set_payload(NAME, {"topic": "kitchen"}, about("food"), wait=True))
    equal((await answer(client.count(NAME, about("kitchen")))).count, 3)
    await answer(client.delete(NAME, models.FilterSelector(filter=about("kitchen")), wait=True))
    equal([record.id for record in await answer(client.retrieve(NAME, [3, 4, 7]))], [3, 7])
    await answer(client.delete_collection(NAME))
    assert not await answer(client.collection_exists(NAME))


async def scenario(client: Any) -> None:
    for step in (create, ingest, search, explore, change):
        await step(client)
    closing: Awaitable[None] | None = client.close()
    await answer(closing)


asyncio.run(scenario(QdrantClient(**options())))
asyncio.run(scenario(AsyncQdrantClient(**options())))
