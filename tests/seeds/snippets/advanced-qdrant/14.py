from langchain_qdrant import QdrantVectorStore
from langchain_openai import OpenAIEmbeddings
from qdrant_client import QdrantClient

client = QdrantClient(url="http://qdrant-cluster:6333", api_key="...")
embeddings = OpenAIEmbeddings(model="text-embedding-3-large")

vectorstore = QdrantVectorStore(
    client=client,
    collection_name="documents",
    embedding=embeddings,
    content_payload_key="text",    # Maps to your payload field name
    metadata_payload_key="meta"    # For additional metadata passthrough
)

## Create a retriever with tenant filtering
retriever = vectorstore.as_retriever(
    search_type="similarity",
    search_kwargs={
        "k": 20,
        "filter": {"tenant_id": "acme-corp"},
        "score_threshold": 0.72
    }
)
