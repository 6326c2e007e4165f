## Setting ef_construct at collection creation (build quality)
client.create_collection(
    collection_name="embeddings",
    vectors_config=VectorParams(size=1536, distance=Distance.COSINE),
    hnsw_config=HnswConfigDiff(
        m=16,
        ef_construct=200,   # ← higher = better graph, slower build
        full_scan_threshold=10000
    )
)

## Setting ef at query time (search quality)
results = client.search(
    collection_name="embeddings",
    query_vector=query_embedding,
    limit=10,
    search_params=SearchParams(hnsw_ef=128)  # ← higher = better recall, slower query
)
