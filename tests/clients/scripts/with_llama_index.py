"""llama-index-vector-stores-qdrant: nodes in, searched dense, filtered, hybrid, also async, and deleted."""

from __future__ import annotations

import asyncio

import toy
from address import equal, options
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import AsyncQdrantClient, QdrantClient

Batch = tuple[list[list[int]], list[list[float]]]


def sparse(texts: list[str]) -> Batch:
    pairs = [toy.sparse(text) for text in texts]
    return [indices for indices, _ in pairs], [values for _, values in pairs]


def opened(*, hybrid: bool) -> QdrantVectorStore:
    return QdrantVectorStore(
        collection_name="llama-hybrid" if hybrid else "llama-dense",
        client=QdrantClient(**options()),
        aclient=AsyncQdrantClient(**options()),
        enable_hybrid=hybrid,
        sparse_doc_fn=sparse if hybrid else None,
        sparse_query_fn=sparse if hybrid else None,
    )


def nodes() -> list[TextNode]:
    return [
        TextNode(
            text=text,
            id_=f"00000000-0000-0000-0000-{number:012}",
            embedding=toy.dense(text),
            metadata={"topic": topic, "number": number},
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"document-{number}")},
        )
        for text, topic, number in toy.TEXTS
    ]


def asked(text: str, count: int, **options: object) -> VectorStoreQuery:
    return VectorStoreQuery(
        query_embedding=toy.dense(text), query_str=text, similarity_top_k=count, **options
    )


def texts(result: VectorStoreQueryResult) -> set[str]:
    return {node.get_content() for node in result.nodes or []}


def check(store: QdrantVectorStore) -> None:
    equal(len(store.add(nodes())), len(toy.TEXTS))
    equal(texts(store.query(asked(toy.WOLVES, 2))), toy.WOLF_PAIR)
    late = MetadataFilter(key="number", value=7, operator=FilterOperator.GTE)
    found = store.query(asked(toy.WOLVES, 9, filters=MetadataFilters(filters=[late])))
    equal(texts(found), {text for text, _, number in toy.TEXTS if number >= 7})
    equal(len(store.get_nodes(node_ids=[nodes()[0].node_id])), 1)
    equal(texts(asyncio.run(store.aquery(asked(toy.WOLVES, 2)))), toy.WOLF_PAIR)


def check_hybrid(store: QdrantVectorStore) -> None:
    mode = VectorStoreQueryMode.HYBRID
    found = store.query(asked(toy.WOLVES, 2, mode=mode, sparse_top_k=5, alpha=0.5))
    equal(texts(found), toy.WOLF_PAIR)
    by_words = store.query(asked(toy.IN_ORBIT, 1, mode=VectorStoreQueryMode.SPARSE, sparse_top_k=1))
    equal(texts(by_words), {toy.TEXTS[7][0]})


def check_deletion(store: QdrantVectorStore) -> None:
    store.delete("document-1")
    store.delete_nodes([nodes()[1].node_id])
    equal(texts(store.query(asked(toy.WOLVES, 9))), {text for text, _, _ in toy.TEXTS[2:]})
    store.clear()


for hybrid in (False, True):
    opened_store = opened(hybrid=hybrid)
    check(opened_store)
    if hybrid:
        check_hybrid(opened_store)
    check_deletion(opened_store)
