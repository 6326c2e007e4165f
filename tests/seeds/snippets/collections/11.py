client.delete_collection(collection_name="{collection_name}")
