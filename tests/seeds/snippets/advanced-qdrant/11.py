from qdrant_client.models import SearchRequest, Filter, FieldCondition, Range, MatchValue

def hybrid_search(client, collection, query_text, embedder, tenant_id, date_from=None):
    query_vector = embedder.embed(query_text)

    # Build filter conditions dynamically
    must_conditions = [
        FieldCondition(key="tenant_id", match=MatchValue(value=tenant_id))
    ]
    if date_from:
        must_conditions.append(
            FieldCondition(
                key="ingested_at",
                range=Range(gte=date_from)
            )
        )

    results = client.search(
        collection_name=collection,
        query_vector=query_vector,
        query_filter=Filter(must=must_conditions),
        limit=20,           # Retrieve more than needed for re-ranking
        with_payload=True,
        score_threshold=0.72  # Discard low-confidence matches
    )
    return results
