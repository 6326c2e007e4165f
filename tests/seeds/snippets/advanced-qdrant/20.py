## Create collection with custom shard key support
client.create_collection(
    collection_name="tenant_docs",
    vectors_config=VectorParams(size=1536, distance=Distance.COSINE),
    sharding_method=ShardingMethod.CUSTOM,
    shard_number=12  # 2x a 6-node cluster
)

## Upsert with explicit shard key
client.upsert(
    collection_name="tenant_docs",
    points=[...],
    shard_key_selector="tenant_acme"
)
