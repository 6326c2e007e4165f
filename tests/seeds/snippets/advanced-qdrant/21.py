## ❌ WRONG: Attempting manual offset pagination
for page in range(100):
    results = client.scroll(
        collection_name="documents",
        offset=page * 100,    # ← this is NOT how Qdrant scroll works
        limit=100
    )

## ✅ CORRECT: Cursor-based scroll
offset = None
all_points = []

while True:
    results, next_offset = client.scroll(
        collection_name="documents",
        scroll_filter=None,
        limit=250,
        offset=offset,
        with_payload=True,
        with_vectors=False  # omit unless you need vectors — saves bandwidth
    )
    all_points.extend(results)
    
    if next_offset is None:
        break  # ← scroll is complete
    offset = next_offset
