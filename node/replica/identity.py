"""``replica.json``: which collection and shard a directory belongs to.

Written before anything else in a new directory, so a directory without it holds nothing yet.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from node.replica.checkpoint import DamagedFile
from protos.files import replace_synced, sync_directory

FORMAT = 1
IDENTITY_FILE = "replica.json"


class Identity(Struct, frozen=True):
    """``collection`` is the collection's uuid: names are reused, uuids never. ``restored``: the name under
    which these files were ready, if they came from a snapshot."""

    format: int
    collection: str
    shard_id: int
    term: int = 1
    incarnation: int = 1
    restored: str = ""


def write_identity(directory: Path, identity: Identity) -> None:
    """Create the directory, if need be, and the file in it, durably. Raises: OSError."""
    for path in _created(directory):
        sync_directory(path.parent)
    replace_synced(directory / IDENTITY_FILE, msgspec.json.encode(identity))


_decoder = msgspec.json.Decoder(Identity)


def _created(directory: Path) -> list[Path]:
    """What had to be created for it to be there. Whoever discards another shard at the same moment may find
    the collection's directory empty, and remove it before anything is in it."""
    while True:
        missing = [path for path in (directory, *directory.parents) if not path.exists()]
        try:
            for path in reversed(missing):
                path.mkdir(exist_ok=True)
        except FileNotFoundError:
            continue
        return missing


def read_identity(directory: Path) -> Identity | None:
    """None: there is nothing in the directory yet. Raises: DamagedFile, OSError."""
    path = directory / IDENTITY_FILE
    if not path.exists():
        if directory.is_dir() and any(entry.suffix != ".tmp" for entry in directory.iterdir()):
            raise DamagedFile(f"{path} is missing")
        return None
    try:
        identity = _decoder.decode(path.read_bytes())
    except msgspec.DecodeError as error:
        raise DamagedFile(f"{path} makes no sense: {error}") from error
    if identity.format != FORMAT:
        raise DamagedFile(f"{path} has format {identity.format}, this program knows {FORMAT}")
    return identity
