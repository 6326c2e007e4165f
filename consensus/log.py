"""The ``MetadataLog`` port: an agreed order of commands, and the state they add up to.

One node's durable form is ``consensus.local_log``, a cluster's is ``consensus.raft_log``; every form passes
one suite of tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from consensus.commands import Command
from consensus.state import ClusterState
from consensus.transitions import Events

Subscriber = Callable[[ClusterState, Events], None]


class RaftStatus(Struct, frozen=True):
    """What ``GET /cluster`` shows (reference 14.2). ``error``: why the Raft thread ended, if it failed."""

    term: int
    commit: int
    applied: int
    pending_operations: int
    leader: int | None
    role: str | None
    is_voter: bool
    voters: tuple[int, ...]
    has_quorum: bool
    stopped: bool
    error: str | None
    last_update_unix_s: float


class MetadataLog(Protocol):
    @property
    def peer_id(self) -> int:
        """This member's id; kept for good, 1 .. 2**53 - 1."""
        ...

    @property
    def state(self) -> ClusterState:
        """The latest applied state; immutable."""
        ...

    async def propose(self, command: Command) -> Events:
        """Return the command's events once it is durable and applied; no events: nothing to change.

        Raises: the error of a rejected command; ServiceError or InsufficientStorage if the log cannot
        take it, in which case nothing was applied; Timeout if it may be applied, now or later. A caller
        that is cancelled may have been heard.
        """
        ...

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call ``subscriber`` on the event loop after each change, in order. Returns: how to stop.

        No events: the state was replaced as a whole, by that of a member further ahead. A subscriber that
        raises is logged: what it is told of has happened, for the proposer and for the others.
        """
        ...

    async def close(self) -> None: ...


class ClusterLog(MetadataLog, Protocol):
    """That of a node in a cluster, be it a peer or one that follows them."""

    @property
    def applied_index(self) -> int:
        """Of the last entry in ``state``."""
        ...

    def status(self) -> RaftStatus: ...

    async def barrier(self) -> int:
        """Return when all that was acknowledged anywhere before the call is applied here. Returns: an index
        at or after which that is so. Raises: as ``propose``.
        """
        ...
