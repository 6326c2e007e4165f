from qdrant_client import QdrantClient
from qdrant_client.models import (
    VectorParams, Distance,
    OptimizersConfigDiff, HnswConfigDiff
)

client = QdrantClient(url="http://qdrant-cluster:6333")

client.create_collection(
    collection_name="enterprise_docs",
    vectors_config=VectorParams(
        size=1536,             # OpenAI text-embedding-3-small
        distance=Distance.COSINE
    ),
    shard_number=6,            # 2 shards per node in 3-node cluster
    replication_factor=2,      # 1 leader + 1 replica per shard
    write_consistency_factor=1, # majority writes (floor(2/2)+1)
    optimizers_config=OptimizersConfigDiff(
        indexing_threshold=20000,   # seal segment at 20k KB
        max_segment_size=200000,    # don't merge above 200k KB
    ),
    hnsw_config=HnswConfigDiff(
        m=16,
        ef_construct=100,
        full_scan_threshold=10000
    )
)
