import hashlib
import uuid

def make_point_id(source_url: str, chunk_index: int) -> str:
    """Deterministic UUID from source + position."""
    raw = f"{source_url}::{chunk_index}"
    return str(uuid.UUID(hashlib.md5(raw.encode()).hexdigest()))
