"""What a simulated node remembers: on disk per replica, and in memory as a primary."""

from __future__ import annotations

from msgspec import Struct

from consensus.reports import ReplicaKey
from consensus.state import ClusterState, NodeType


class Store(Struct):
    """What a node has on disk of one replica, and how far its filling is."""

    seq: int = 0
    sound: bool = True
    epoch: int = 0
    progress: int = 0


class Node(Struct):
    id: int
    view: ClusterState
    zone: str = ""
    node_type: NodeType = "Normal"
    alive: bool = True
    incarnation: int = 1
    stores: dict[ReplicaKey, Store] = {}
    ready: dict[ReplicaKey, dict[int, int]] = {}  # as a primary: peers it waits for, and their epochs
    led: dict[ReplicaKey, int] = {}  # the term it promised that in; another term ends all promises

    @property
    def registered(self) -> bool:
        peer = self.view.peers.get(self.id)
        return peer is not None and peer.incarnation == self.incarnation
