from qdrant_client import QdrantClient
from qdrant_client.models import PayloadSchemaType

client = QdrantClient(url="http://localhost:6333")

## Index the tenant_id field for fast tenant isolation
client.create_payload_index(
    collection_name="legal_docs",
    field_name="tenant_id",
    field_schema=PayloadSchemaType.KEYWORD
)

## Index created_at for range queries
client.create_payload_index(
    collection_name="legal_docs",
    field_name="created_at",
    field_schema=PayloadSchemaType.INTEGER
)
