from qdrant_client.models import PointStruct, Filter, FieldCondition, MatchValue

def upsert_with_version_check(client, collection_name, doc, embedder):
    point_id = make_point_id(doc.url, doc.chunk_index)
    content_hash = hashlib.sha256(doc.text.encode()).hexdigest()

    # Check if the stored version is already current
    existing = client.retrieve(
        collection_name=collection_name,
        ids=[point_id],
        with_payload=True
    )
    if existing and existing[0].payload.get("content_hash") == content_hash:
        return  # Already up to date, skip expensive embedding

    vector = embedder.embed(doc.text)
    client.upsert(
        collection_name=collection_name,
        points=[PointStruct(
            id=point_id,
            vector=vector,
            payload={
                "text": doc.text,
                "source_url": doc.url,
                "chunk_index": doc.chunk_index,
                "content_hash": content_hash,
                "ingested_at": doc.timestamp,
                "tenant_id": doc.tenant_id
            }
        )]
    )
