"""Waiting until the other peers, and all routers, know what this one does.

A peer that gives no answer is not waited for: it may be down. It is told of everything before it routes
anything once it is up again; one that merely cannot be reached from here may still act on what it knew.
"""

from __future__ import annotations

import asyncio

from consensus.log import ClusterLog
from node.client.asking import until
from node.peer.calls import PeerCalls
from node.peer.cluster_client import ask_known_index

LONG_S = 60.0
SILENT_S = 3.0
CALL_S = 1.0


async def known_everywhere(metadata: ClusterLog, calls: PeerCalls) -> None:
    """Return when every peer that answers, and who follows it, has come as far as this one had when it was
    called.

    Raises: TimeoutError: one answers, and does not come.
    """
    commit = metadata.status().commit
    async with asyncio.timeout(LONG_S):
        await asyncio.gather(*(_has_come(calls, peer, commit) for peer in metadata.state.peers))


async def _has_come(calls: PeerCalls, peer: int, commit: int) -> None:
    async def follows() -> bool:
        return await ask_known_index(calls, peer, timeout_s=CALL_S) >= commit

    await until(follows, patience_s=SILENT_S)
