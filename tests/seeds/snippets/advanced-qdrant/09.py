client.create_payload_index(
    collection_name="documents",
    field_name="tenant_id",
    field_schema=models.PayloadSchemaType.KEYWORD,
    # Qdrant 1.7+ tenant optimization
)
