client.delete_payload_index(
    collection_name="documents",
    field_name="legacy_category"
)
