from qdrant_client.models import VectorParams, SparseVectorParams, Distance

client.create_collection(
    collection_name="hybrid_legal_docs",
    vectors_config={
        "dense": VectorParams(size=1536, distance=Distance.COSINE)
    },
    sparse_vectors_config={
        "sparse": SparseVectorParams()
    }
)
