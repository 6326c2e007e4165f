"""What a client asks when a snapshot is to be recovered."""

from __future__ import annotations

import enum
import re

from msgspec import Struct

from protos.errors import InvalidField

_SHA256 = re.compile("[0-9a-fA-F]{64}")


class Priority(enum.Enum):
    """Whose points count where a shard has other replicas in sync (reference 13.5).

    ``no_sync`` would let replicas differ for good, which replicas here never do: it is taken as ``snapshot``.
    """

    NO_SYNC = "no_sync"
    SNAPSHOT = "snapshot"
    REPLICA = "replica"


class RecoverOptions(Struct, frozen=True):
    """``checksum``: SHA-256 of the file, in hex."""

    priority: Priority = Priority.SNAPSHOT
    checksum: str | None = None


def check_checksum(checksum: str | None, where: str) -> None:
    """Raises: InvalidField."""
    if checksum is not None and _SHA256.fullmatch(checksum) is None:
        raise InvalidField("checksum", "Validation error: invalid_sha256_hash", where=where)
