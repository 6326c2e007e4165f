"""What a shard's replica needs of the node that holds it: the port, implemented by ``node.cluster.node``."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from msgspec import Struct

from consensus.commands import Command
from consensus.state import Transfer
from node.directories import ShardDirectories
from node.replica.opened import Machinery
from node.replication.tuning import Tuning
from node.snapshots.ready import ReadyFiles


class Base(Struct, frozen=True):
    """Files of a replica as of a committed operation, in a directory that is the caller's."""

    directory: Path
    term: int


class Node(Protocol):
    """What a shard needs of its node; on the event loop."""

    @property
    def me(self) -> int: ...

    @property
    def machinery(self) -> Machinery: ...

    @property
    def directories(self) -> ShardDirectories: ...

    @property
    def ready(self) -> ReadyFiles: ...

    @property
    def tuning(self) -> Tuning: ...

    @property
    def recovery_mode(self) -> str | None:
        """Why no replica is to be opened; None: they are."""
        ...

    def now_ms(self) -> int: ...

    def next_incarnation(self) -> int:
        """Greater than any before, over restarts too."""
        ...

    def send(self, peer: int, collection_uuid: str, shard_id: int, message: bytes) -> None: ...

    async def propose(self, command: Command) -> None:
        """Raises: VecraftError."""
        ...

    async def barrier(self) -> None:
        """Return when all that was agreed on before the call is known here. Raises: VecraftError."""
        ...

    async def fetch_base(self, collection_uuid: str, transfer: Transfer) -> Base:
        """Raises: VecraftError, OSError."""
        ...

    def report_soon(self) -> None:
        """Something changed that the controller should hear of."""
        ...
