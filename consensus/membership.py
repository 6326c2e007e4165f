"""Who votes in the Raft group follows who is a peer of the cluster.

Lives here: the next small change of the voters (``next_change``, pure), who may connect (``why_refuse``,
pure), and ``Keeper``, which carries the changes out on the leader.
May not live here: sockets; how a peer becomes one (``RegisterPeer``, ``RemovePeer``).

The cluster state says who the peers are. A peer without a vote is sent the log all the same; it gets a
vote when it has caught up, and loses it when it is a peer no more. One change at a time, each applied
before the next. Whoever leads goes on where the last leader stopped, for the state says what to do.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Mapping
from typing import Literal

from msgspec import Struct

from consensus.log import RaftStatus
from consensus.raft.driver import NotAppended, OutcomeUnknown
from consensus.raft.members import ADD, REMOVE
from consensus.raft_log import RaftLog
from consensus.state import ClusterState
from protos.logger import get_logger

LAG_MAX = 64  # entries: a peer so close behind has caught up
KEEP_S = 0.1

_log = get_logger(__name__)


class Change(Struct, frozen=True):
    """``hand_over``: to ``peer``, so that the present leader can be removed."""

    verb: Literal["add", "rem", "hand_over"]
    peer: int


def next_change(
    *, own: int, voters: frozenset[int], peers: frozenset[int], matched: Mapping[int, int], last_index: int
) -> Change | None:
    """The next change that the leader ``own`` makes; ``matched`` tells how far each peer's log reaches.

    Peers that are gone go first: a dead one that still counts makes every majority dearer.
    """
    gone = sorted(voters - peers - {own})
    if gone:
        return Change(REMOVE, gone[0])
    heirs = [peer for peer in sorted(voters & peers) if peer != own and matched.get(peer, 0) >= last_index]
    if own not in peers:
        return Change("hand_over", heirs[0]) if heirs else None
    # Who was never heard from is not near the end of the log, however short it is.
    heard = {peer: index for peer, index in matched.items() if index > 0}
    ready = [peer for peer in sorted(heard.keys() & peers - voters) if heard[peer] + LAG_MAX >= last_index]
    return Change(ADD, ready[0]) if ready else None


class Stranger(Struct, frozen=True):
    """How somebody who connects presents itself; ``wanted``: the peer it means to reach."""

    cluster_id: str
    peer_id: int
    incarnation: int
    wanted: int
    registered_index: int


class NotAdmitted(Struct, frozen=True):
    kind: Literal["stranger", "stale", "removed"]
    text: str


def why_refuse(
    stranger: Stranger,
    *,
    cluster_id: str,
    own: int,
    state: ClusterState,
    voters: Collection[int],
    applied: int,
) -> NotAdmitted | None:
    """Whether ``own``, who has applied the log up to ``applied``, lets somebody in.

    A peer that this member does not know yet is let in while its log ends before the peer's registration:
    without it there might be no majority to learn from. One that was removed stays until its vote is gone.
    """
    if stranger.cluster_id != cluster_id:
        return NotAdmitted("stranger", f"this is a member of cluster {cluster_id}")
    if stranger.wanted != own:
        return NotAdmitted("stranger", f"this is peer {own}")
    if stranger.peer_id == own:
        return NotAdmitted("stranger", f"this is peer {own} itself")
    known = state.peers.get(stranger.peer_id)
    if known is None and stranger.peer_id in voters:
        return None
    if known is None:
        late = applied < stranger.registered_index
        return None if late else NotAdmitted("removed", f"peer {stranger.peer_id} is not of the cluster")
    if stranger.incarnation < known.incarnation:
        return NotAdmitted("stale", f"peer {stranger.peer_id} runs as incarnation {known.incarnation}")
    return None


def why_refuse_router(
    stranger: Stranger, *, cluster_id: str, own: int, state: ClusterState, stopped: bool
) -> NotAdmitted | None:
    """As ``why_refuse``, of one who is no peer and only calls. ``stopped``: ``own`` is no member any more."""
    if stranger.cluster_id != cluster_id:
        return NotAdmitted("stranger", f"this is a member of cluster {cluster_id}")
    if stranger.wanted != own:
        return NotAdmitted("stranger", f"this is peer {own}")
    if stranger.peer_id == own or stranger.peer_id in state.peers:
        return NotAdmitted("stranger", f"{stranger.peer_id} is a peer of the cluster")
    return NotAdmitted("removed", f"peer {own} is no member any more") if stopped else None


class Keeper:
    """Makes the changes while this member leads. Start on a running event loop; ``close`` it."""

    def __init__(self, log: RaftLog) -> None:
        self._log = log
        self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _keep(self) -> None:
        while True:
            with contextlib.suppress(NotAppended, OutcomeUnknown, TimeoutError):  # the next round tries again
                await self._step()
            await asyncio.sleep(KEEP_S)

    async def _step(self) -> None:
        status, peers = self._log.status(), frozenset(self._log.state.peers)
        # A removed leader, too, has this to do: it hands over, so that another one can take its vote.
        if status.role != "Leader" or status.error is not None or frozenset(status.voters) == peers:
            return
        change = await self._change(status, peers)
        if change is None:
            return
        _log.info("raft_voters_change", verb=change.verb, peer=change.peer)
        if change.verb == "hand_over":
            self._log.hand_over(change.peer)
        else:
            await self._log.change_voters(change.verb, change.peer)

    async def _change(self, status: RaftStatus, peers: frozenset[int]) -> Change | None:
        voters = frozenset(status.voters)
        matched = await self._log.matched(voters | peers)
        own = self._log.peer_id
        return next_change(own=own, voters=voters, peers=peers, matched=matched, last_index=matched[own])
