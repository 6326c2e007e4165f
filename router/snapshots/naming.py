"""What snapshots are called and where they lie (reference 13.1). Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Struct

from consensus.state import ShardKey
from protos.errors import BadInput, NotFound

SUFFIX = ".snapshot"
NAME_BYTES_MAX = 255  # of a file's name, on common file systems

Folder = tuple[str, ...]  # names of directories below the root of all snapshots
WHOLE: Folder = ()


class SnapshotFile(Struct, frozen=True):
    """As the API shows it: ``creation_time`` in naive UTC, ``checksum`` SHA-256 in hex."""

    name: str
    creation_time: str | None
    size: int
    checksum: str | None = None


def collection_folder(collection: str) -> Folder:
    """Raises: BadInput for a name that is no directory's."""
    if collection in (".", "..") or len(collection.encode()) > NAME_BYTES_MAX:
        raise BadInput(f"Collection `{collection}` cannot have snapshots: no folder can be called so")
    return (collection,)


def shard_folder(collection: str, shard_id: int) -> Folder:
    return (*collection_folder(collection), "shards", str(shard_id))


def collection_file(collection: str, peer_id: int, unix_s: float) -> str:
    return f"{collection}-{peer_id}-{_stamp(unix_s)}{SUFFIX}"


def shard_file(collection: str, shard_id: int, unix_s: float) -> str:
    return f"{collection}-shard-{shard_id}-{_stamp(unix_s)}{SUFFIX}"


def partial_file(collection: str, shard_id: int, unix_s: float) -> str:
    return f"{collection}-shard-{shard_id}-{_stamp(unix_s)}.partial"


def whole_file(unix_s: float) -> str:
    return f"full-snapshot-{_stamp(unix_s)}{SUFFIX}"


def _stamp(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d-%H-%M-%S")


def creation_time(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def is_listed(name: str) -> bool:
    return name.endswith(SUFFIX) and not name.startswith(".")


def check_name(name: str) -> None:
    """A bare name of a snapshot's file. Raises: NotFound: none can be called so."""
    if "/" in name or "\\" in name or "\0" in name or not is_listed(name):
        raise snapshot_not_found(name)


def snapshot_not_found(name: str) -> NotFound:
    return NotFound(f"Snapshot {name} not found")


def shard_not_found(shard_id: int) -> NotFound:
    return NotFound(f"shard {shard_id} not found")


def show_key(key: ShardKey | None) -> str:
    return "" if key is None else f" of shard key {key!r}"
