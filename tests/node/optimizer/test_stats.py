"""Which vector names shall have graphs."""

from __future__ import annotations

from node.index import GraphParams
from node.optimizer.stats import wanted_graphs
from protos.collections import (
    CollectionConfig,
    CollectionParams,
    Distance,
    HnswConfigDiff,
    MultiVectorConfig,
    SparseVectorParams,
    VectorParams,
)

SEVERAL = MultiVectorConfig("max_sim")


def test_dense_vectors_and_multivectors_have_graphs_unless_m_is_zero() -> None:
    without = HnswConfigDiff(m=0)
    vectors = {
        "dense": VectorParams(2, Distance.DOT, hnsw_config=HnswConfigDiff(m=8)),
        "several": VectorParams(2, Distance.DOT, multivector_config=SEVERAL),
        "no dense": VectorParams(2, Distance.DOT, hnsw_config=without),
        "no several": VectorParams(2, Distance.DOT, hnsw_config=without, multivector_config=SEVERAL),
    }
    params = CollectionParams(vectors, sparse_vectors={"words": SparseVectorParams()})
    found = wanted_graphs(CollectionConfig(params=params), [*vectors, "words", "gone"])
    assert found == {"dense": GraphParams(m=8), "several": GraphParams()}
