"""What the peers tell the controller about themselves, over and over; none of it is agreed on.

A report may be lost, late or wrong about what comes next, so it only ever leads to commands that name
the terms and epochs it speaks of. Times are milliseconds of the leader's monotonic clock.
"""

from __future__ import annotations

from msgspec import Struct

ReplicaKey = tuple[str, int]  # (collection uuid, shard id)


class ReplicaReport(Struct, frozen=True, omit_defaults=True):
    """One replica, by its peer.

    ``epoch``: the replica's, as its peer sees it. ``term``, ``seq``: its last durable log entry's.
    ``healthy`` False: its files are missing, damaged or older than its state says, so it must not serve; one
    that is being filled is healthy as long as that goes on. ``ready``, by a primary that leads in ``term``:
    the epochs, by peer, of the replicas that hold everything and that it has waited for with every write
    since it said so in this term; another term, or another process, begins with none. ``recoverable`` False:
    its peer opens nothing (recovery mode), so it is not to be filled.
    """

    epoch: int = 0
    term: int = 0
    seq: int = 0
    healthy: bool = True
    ready: dict[int, int] = {}
    recoverable: bool = True


class PeerReport(Struct, frozen=True, omit_defaults=True):
    """``heard_ms``: when the report came in."""

    heard_ms: int
    incarnation: int = 0
    replicas: dict[ReplicaKey, ReplicaReport] = {}


class Reports(Struct, frozen=True):
    """``since_ms``: since when the leader has been listening; a peer not heard yet is silent since then.

    ``down_since_ms``: since when the leader has had no connection with a peer and could not make one, though
    it tried. Nobody answers there at all: a process that has died is noticed sooner than one that is slow.
    """

    since_ms: int
    peers: dict[int, PeerReport] = {}
    down_since_ms: dict[int, int] = {}

    def silent_ms(self, peer_id: int, now_ms: int) -> int:
        report = self.peers.get(peer_id)
        heard_ms = self.since_ms if report is None else max(self.since_ms, report.heard_ms)
        return now_ms - heard_ms

    def down_ms(self, peer_id: int, now_ms: int) -> int:
        """For how long nobody has answered there; 0: somebody does."""
        return now_ms - self.down_since_ms.get(peer_id, now_ms)
