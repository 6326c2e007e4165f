## Search by text vector only
client.search(
    collection_name="multimodal_docs",
    query_vector=("text", text_query_vector),
    limit=10
)

## Search by image similarity
client.search(
    collection_name="multimodal_docs",
    query_vector=("image", image_query_vector),
    limit=10
)
