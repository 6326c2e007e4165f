client.delete(
    collection_name='data_collection',
    points_selector=[point_id_1, point_id_2]
)
