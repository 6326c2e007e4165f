## Custom shard key assignment at insert time
client.upsert(
    collection_name="documents",
    points=[
        PointStruct(
            id=1,
            vector=[0.1, 0.2, ...],
            payload={"tenant_id": "acme_corp", "text": "..."},
        )
    ],
    shard_key_selector="acme_corp"  # routes to acme_corp's shard
)
