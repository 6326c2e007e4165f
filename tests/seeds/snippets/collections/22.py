client.get_collection(collection_name="{collection_name}")
