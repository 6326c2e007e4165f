from qdrant_client.models import VectorParams, Distance

client.recreate_collection(
    collection_name="multimodal_docs",
    vectors_config={
        "text": VectorParams(size=1536, distance=Distance.COSINE),
        "image": VectorParams(size=512,  distance=Distance.COSINE),
        "code":  VectorParams(size=768,  distance=Distance.DOT)
    }
)
