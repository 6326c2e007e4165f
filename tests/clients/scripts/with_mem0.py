"""mem0ai's vector store: memories in, searched, filtered, by keywords, changed and deleted.

mem0 makes its keyword vectors with a model that it downloads; here the toy embedder stands in its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import toy
from address import equal, options
from mem0.vector_stores.qdrant import Qdrant
from qdrant_client import QdrantClient


@dataclass
class Keywords:
    indices: np.ndarray
    values: np.ndarray


class Encoder:
    def embed(self, texts: list[str]) -> Iterator[Keywords]:
        for text in texts:
            indices, values = toy.sparse(text)
            yield Keywords(np.array(indices), np.array(values))


def identity(number: int) -> str:
    return f"00000000-0000-0000-0000-{number:012}"


store = Qdrant("mem0", toy.DIM, client=QdrantClient(**options()))
store.reset()
store._bm25_encoder = Encoder()
store.insert(
    vectors=[toy.dense(text) for text, _, _ in toy.TEXTS],
    payloads=[{"data": text, "user_id": topic, "number": n} for text, topic, n in toy.TEXTS],
    ids=[identity(number) for _, _, number in toy.TEXTS],
)
found = store.search(toy.WOLVES, toy.dense(toy.WOLVES), top_k=2)
equal({point.payload["data"] for point in found}, toy.WOLF_PAIR)
found = store.search(toy.WOLVES, toy.dense(toy.WOLVES), top_k=9, filters={"user_id": "food"})
equal({point.payload["number"] for point in found}, {4, 5, 6})
found = store.search(toy.WOLVES, toy.dense(toy.WOLVES), top_k=9, filters={"number": {"gte": 8}})
equal({point.payload["number"] for point in found}, {8, 9})
words = store.keyword_search(toy.IN_ORBIT, top_k=1, filters={"user_id": "space"})
equal([point.payload["number"] for point in words], [8])
batch = store.search_batch([""] * 2, [toy.dense(toy.TEXTS[0][0]), toy.dense(toy.TEXTS[4][0])], top_k=1)
equal([[point.payload["number"] for point in points] for points in batch], [[1], [5]])

store.update(identity(1), vector=toy.dense(toy.TEXTS[0][0]), payload={"data": "changed", "user_id": "animal"})
equal(store.get(identity(1)).payload["data"], "changed")
store.delete(identity(2))
memories, _ = store.list(filters={"user_id": "animal"})
equal({point.id for point in memories}, {identity(1), identity(3)})
store.delete_col()
