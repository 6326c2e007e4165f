from llama_index.vector_stores.qdrant import QdrantVectorStore
from llama_index.core import VectorStoreIndex, StorageContext
from llama_index.embeddings.openai import OpenAIEmbedding

vector_store = QdrantVectorStore(
    client=client,
    collection_name="documents",
    enable_hybrid=True  # Activates sparse+dense fusion when available
)
storage_context = StorageContext.from_defaults(vector_store=vector_store)

## Build or load index
index = VectorStoreIndex.from_vector_store(
    vector_store,
    embed_model=OpenAIEmbedding(model="text-embedding-3-large")
)

## Query with metadata filters
from llama_index.core.vector_stores import MetadataFilter, MetadataFilters

query_engine = index.as_query_engine(
    filters=MetadataFilters(filters=[
        MetadataFilter(key="tenant_id", value="acme-corp")
    ]),
    similarity_top_k=20
)
response = query_engine.query("Summarize our Q3 performance reviews.")
