from qdrant_client import QdrantClient

## Enable gRPC transport for performance-critical paths
client = QdrantClient(
    host="localhost",
    grpc_port=6334,
    prefer_grpc=True  # Falls back to REST when gRPC not available
)
