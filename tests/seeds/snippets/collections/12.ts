client.deleteCollection("{collection_name}");
