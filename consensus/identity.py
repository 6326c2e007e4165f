"""``identity.json``: which cluster this storage belongs to, and as whom.

``incarnation`` grows with each process that runs under the id, and is durable before the process says
anything to anyone. An empty ``cluster_id``: the peer has an id and is in no cluster yet, or no more. The
file is written when the cluster's Raft files are complete, so with it they must be there.
"""

from __future__ import annotations

import random
import shutil
import uuid
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from consensus.raft.files import OsFiles

FORMAT = 1
PEER_ID_MAX = 2**53 - 1  # safe as a JSON number (reference 14.2)

_FILE = "identity.json"
_RAFT = "raft"


class IdentityDamaged(Exception):
    """The file makes no sense here; the storage must not be given a new identity by accident."""


class Identity(Struct, frozen=True):
    """``registered_index``: of the Raft log; the cluster state has this peer from there on. ``removed``: the
    cluster has removed it since, and what lies here is of nobody any more."""

    format: int
    peer_id: int
    cluster_id: str = ""
    incarnation: int = 0
    registered_index: int = 0
    removed: bool = False


def random_peer_id() -> int:
    return random.SystemRandom().randint(1, PEER_ID_MAX)


def new_identity(peer_id: int | None = None) -> Identity:
    return Identity(FORMAT, peer_id or random_peer_id())


def new_cluster_id() -> str:
    return str(uuid.uuid4())


_decoder = msgspec.json.Decoder(Identity)


def load(directory: Path) -> Identity | None:
    """None: there is none. Raises: IdentityDamaged."""
    path = directory / _FILE
    if not path.exists():
        if (directory / _RAFT).exists():
            raise IdentityDamaged(f"{path} is missing, though there is a Raft log")
        return None
    try:
        identity = _decoder.decode(path.read_bytes())
    except msgspec.MsgspecError as error:
        raise IdentityDamaged(f"{path} makes no sense: {error}") from error
    if identity.format != FORMAT:
        raise IdentityDamaged(f"{path} has format {identity.format}, this program knows {FORMAT}")
    return identity


def save(directory: Path, identity: Identity) -> None:
    """Durable on return."""
    files = OsFiles(directory)
    files.replace(_FILE, msgspec.json.format(msgspec.json.encode(identity)))


def begin(directory: Path, identity: Identity) -> Identity:
    """The identity of the process that begins now. Durable on return."""
    identity = replace(identity, incarnation=identity.incarnation + 1)
    save(directory, identity)
    return identity


def raft_directory(directory: Path, identity: Identity) -> Path:
    """Each cluster's log has a directory of its own, so that ``identity.json`` alone says which counts."""
    return directory / _RAFT / identity.cluster_id


def drop_left_over(directory: Path, identity: Identity) -> None:
    """Remove the Raft files of clusters that this peer is no member of any more."""
    kept = raft_directory(directory, identity) if identity.cluster_id else None
    for path in (directory / _RAFT).glob("*"):
        if path != kept:
            shutil.rmtree(path)
