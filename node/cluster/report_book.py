"""What the leader has heard, from when it became the leader on. Pure: times are arguments.

Lives here: since when the leader listens, the last report of each peer, which reports count.
May not live here: loops, clocks, what follows from a report (``consensus.controller``).

Invariants: what was heard under another Raft term is forgotten; nobody is silent for longer than the leader
has been listening without a break; an older process of a peer never overwrites what a newer one said.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from consensus.reports import PeerReport, Reports
from consensus.state import ClusterState


class ReportBook:
    def __init__(self) -> None:
        self._term: int | None = None
        self._since_ms = 0
        self._peers: dict[int, PeerReport] = {}

    @property
    def leads(self) -> bool:
        return self._term is not None

    def lead(self, term: int | None, now_ms: int) -> None:
        """This node leads in the Raft term ``term``; None: it does not."""
        if term != self._term:
            self._term, self._since_ms = term, now_ms
            self._peers.clear()

    def listen_anew(self, now_ms: int) -> None:
        """The leader itself was not there for a while: the others' silence begins now."""
        self._since_ms = now_ms

    def hear(self, peer_id: int, report: PeerReport, state: ClusterState) -> bool:
        """Take a report in. Returns: does it tell anything new, besides how far the log has come?"""
        peer, known = state.peers.get(peer_id), self._peers.get(peer_id)
        if not self.leads or peer is None or report.incarnation < peer.incarnation:
            return False
        if known is not None and report.incarnation < known.incarnation:
            return False
        self._peers[peer_id] = report
        return known is None or _gist(known) != _gist(report)

    def reports(self, state: ClusterState, down_since_ms: Mapping[int, int]) -> Reports:
        """Of the peers that there are. ``down_since_ms``: see ``Reports``."""
        for peer_id in self._peers.keys() - state.peers.keys():
            del self._peers[peer_id]
        return Reports(self._since_ms, dict(self._peers), dict(down_since_ms))


def _gist(report: PeerReport) -> object:
    return report.incarnation, {key: replace(replica, seq=0) for key, replica in report.replicas.items()}
