## Phase 1: Disable optimizer for bulk load
client.update_collection(
    collection_name="documents",
    optimizer_config=OptimizersConfigDiff(
        indexing_threshold=0  # 0 = disable HNSW indexing during ingest
    )
)

## Phase 2: Bulk upsert your vectors
for batch in batches:
    client.upsert(collection_name="documents", points=batch)

## Phase 3: Re-enable optimizer and allow it to build indices
client.update_collection(
    collection_name="documents",
    optimizer_config=OptimizersConfigDiff(
        indexing_threshold=20000  # restore to production value
    )
)
