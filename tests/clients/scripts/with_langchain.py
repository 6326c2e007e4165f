"""langchain-qdrant: documents in, searched by similarity, filtered, hybrid and diverse, and deleted."""

from __future__ import annotations

import asyncio

import toy
from address import equal, options
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_qdrant import QdrantVectorStore, RetrievalMode, SparseEmbeddings, SparseVector
from qdrant_client import models


class Dense(Embeddings):
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [toy.dense(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return toy.dense(text)


class Sparse(SparseEmbeddings):
    def embed_documents(self, texts: list[str]) -> list[SparseVector]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> SparseVector:
        indices, values = toy.sparse(text)
        return SparseVector(indices=indices, values=values)


def stored(mode: RetrievalMode) -> QdrantVectorStore:
    documents = [
        Document(page_content=text, metadata={"topic": topic, "number": number})
        for text, topic, number in toy.TEXTS
    ]
    return QdrantVectorStore.from_documents(
        documents,
        ids=[number for _, _, number in toy.TEXTS],
        embedding=Dense(),
        sparse_embedding=Sparse(),
        retrieval_mode=mode,
        collection_name=f"langchain-{mode.value}",
        force_recreate=True,
        **options(),
    )


def topic(value: str) -> models.Filter:
    match = models.FieldCondition(key="metadata.topic", match=models.MatchValue(value=value))
    return models.Filter(must=[match])


def texts(documents: list[Document]) -> set[str]:
    return {document.page_content for document in documents}


def check(store: QdrantVectorStore) -> None:
    equal(texts(store.similarity_search(toy.WOLVES, k=2)), toy.WOLF_PAIR)
    filtered = store.similarity_search(toy.WOLVES, k=9, filter=topic("food"))
    equal(texts(filtered), {text for text, kind, _ in toy.TEXTS if kind == "food"})
    (best, score), *_ = store.similarity_search_with_score(toy.TEXTS[6][0], k=3)
    equal(best.metadata["number"], 7)
    assert score > 0
    equal([document.metadata["number"] for document in store.get_by_ids([3])], [3])
    asked = asyncio.run(store.asimilarity_search(toy.WOLVES, k=2))
    equal(texts(asked), toy.WOLF_PAIR)


def check_diverse(store: QdrantVectorStore) -> None:
    found = store.max_marginal_relevance_search(toy.WOLVES, k=3, fetch_k=9, lambda_mult=0.1)
    equal(len(texts(found)), 3)
    assert texts(found) & toy.WOLF_PAIR


def check_deletion(store: QdrantVectorStore) -> None:
    assert store.delete([1])
    left = texts(store.similarity_search(toy.WOLVES, k=9))
    equal(left, {text for text, _, _ in toy.TEXTS[1:]})


for mode in (RetrievalMode.DENSE, RetrievalMode.HYBRID):
    store = stored(mode)
    check(store)
    if mode is RetrievalMode.DENSE:
        check_diverse(store)
    check_deletion(store)
