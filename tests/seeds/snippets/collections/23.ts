client.getCollection("{collection_name}");
