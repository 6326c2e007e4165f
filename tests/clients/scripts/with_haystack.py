"""qdrant-haystack: documents in, counted, searched dense, sparse, filtered and hybrid, and deleted."""

from __future__ import annotations

from typing import Any

import toy
from address import equal, options
from haystack import Document
from haystack.dataclasses import SparseEmbedding
from haystack.document_stores.types import DuplicatePolicy
from haystack_integrations.components.retrievers.qdrant import (
    QdrantEmbeddingRetriever,
    QdrantHybridRetriever,
    QdrantSparseEmbeddingRetriever,
)
from haystack_integrations.document_stores.qdrant import QdrantDocumentStore


def sparse(text: str) -> SparseEmbedding:
    return SparseEmbedding(*toy.sparse(text))


def opened() -> QdrantDocumentStore:
    return QdrantDocumentStore(
        index="haystack",
        embedding_dim=toy.DIM,
        recreate_index=True,
        use_sparse_embeddings=True,
        sparse_idf=True,
        progress_bar=False,
        payload_fields_to_index=[{"field_name": "meta.topic", "field_schema": "keyword"}],
        **options(),
    )


def documents() -> list[Document]:
    return [
        Document(
            id=f"00000000-0000-0000-0000-{number:012}",
            content=text,
            meta={"topic": topic, "number": number},
            embedding=toy.dense(text),
            sparse_embedding=sparse(text),
        )
        for text, topic, number in toy.TEXTS
    ]


def contents(answer: dict[str, Any]) -> set[str]:
    return {document.content for document in answer["documents"]}


def about(topic: str) -> dict[str, Any]:
    return {"field": "meta.topic", "operator": "==", "value": topic}


def check_searches(store: QdrantDocumentStore) -> None:
    embedding, words = toy.dense(toy.WOLVES), sparse(toy.WOLVES)
    near = QdrantEmbeddingRetriever(store, top_k=2)
    equal(contents(near.run(query_embedding=embedding)), toy.WOLF_PAIR)
    food = {text for text, kind, _ in toy.TEXTS if kind == "food"}
    equal(contents(near.run(query_embedding=embedding, filters=about("food"), top_k=9)), food)
    by_words = QdrantSparseEmbeddingRetriever(store, top_k=2)
    equal(contents(by_words.run(query_sparse_embedding=words)), toy.WOLF_PAIR)
    both = QdrantHybridRetriever(store, top_k=2)
    found = both.run(query_embedding=embedding, query_sparse_embedding=words)
    equal(contents(found), toy.WOLF_PAIR)
    grouped = near.run(query_embedding=embedding, top_k=3, group_by="meta.topic", group_size=1)
    equal({document.meta["topic"] for document in grouped["documents"]}, {"animal", "food", "space"})


def check_metadata(store: QdrantDocumentStore) -> None:
    equal(store.count_documents(), len(toy.TEXTS))
    equal(store.count_documents_by_filter(about("space")), 3)
    equal(len(store.filter_documents(about("animal"))), 3)
    equal(store.get_metadata_field_min_max("meta.number"), {"min": 1, "max": 9})
    equal(store.count_unique_metadata_by_filter(about("animal"), ["number"]), {"number": 3})


def check_changes(store: QdrantDocumentStore) -> None:
    equal(store.update_by_filter(about("food"), {"topic": "kitchen"}), 3)
    equal(store.count_documents_by_filter(about("kitchen")), 3)
    store.delete_documents([documents()[0].id])
    equal(store.count_documents(), len(toy.TEXTS) - 1)
    equal(store.delete_by_filter(about("kitchen")), 3)
    equal(store.count_documents(), len(toy.TEXTS) - 4)


store = opened()
equal(store.write_documents(documents(), policy=DuplicatePolicy.FAIL), len(toy.TEXTS))
check_metadata(store)
check_searches(store)
check_changes(store)
