"""A cluster as one of its members describes it: three requests, whatever its size."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

from vecraft.client import Client
from vecraft.exits import CommandFailed

SHARD_DETAILS = 3  # the level of detail of telemetry at which replicas tell their points


class Raft(Struct, frozen=True):
    term: int
    commit: int
    leader: int | None = None
    role: str | None = None


class Consensus(Struct, frozen=True):
    consensus_thread_status: str = "working"
    last_update: str | None = None
    err: str | None = None


class Own(Struct, frozen=True):
    """``GET /cluster``; without cluster mode only the status is told."""

    status: str
    peer_id: int = 0
    raft_info: Raft = Raft(0, 0)
    consensus_thread_status: Consensus = Consensus()


class Member(Struct, frozen=True):
    """``GET /cluster/peers``: a peer as agreed on."""

    id: int
    uri: str
    zone: str
    version: str
    node_type: str
    draining: bool
    replicas: int
    primaries: int


class Details(Struct, frozen=True):
    version: str = ""
    role: str | None = None
    is_voter: bool = False
    term: int = 0
    commit: int = 0
    consensus_thread_status: Consensus = Consensus()


class Answering(Struct, frozen=True):
    responsive: bool
    details: Details | None = None


class Peers(Struct, frozen=True):
    peers: dict[str, Answering] = {}


class Replica(Struct, frozen=True):
    peer_id: int
    state: str
    num_points: int | None = None
    vectors_size_bytes: int | None = None


class Shard(Struct, frozen=True):
    id: int
    replicas: list[Replica]
    key: int | str | None = None


class Transfer(Struct, frozen=True, rename={"source": "from", "target": "to"}):
    shard_id: int
    source: int
    target: int
    method: str = ""
    sync: bool = False
    comment: str = ""


class Collection(Struct, frozen=True):
    id: str
    shards: list[Shard] = []
    shard_transfers: list[Transfer] = []

    def states(self) -> Counter[str]:
        return Counter(replica.state for shard in self.shards for replica in shard.replicas)

    def points(self) -> int:
        """The most that any replica of a shard tells, over all shards."""
        return sum(max((each.num_points or 0 for each in shard.replicas), default=0) for shard in self.shards)


class Telemetry(Struct, frozen=True):
    collections: dict[str, Collection] = {}
    cluster: Peers = Peers()


class ClusterView(Struct, frozen=True):
    own: Own
    members: list[Member]
    telemetry: Telemetry

    def answering(self, peer_id: int) -> Answering:
        return self.telemetry.cluster.peers.get(str(peer_id), Answering(False))


def look(client: Client) -> ClusterView | None:
    """None: the server is on its own. Raises: ClientError."""
    own = client.get("/cluster", Own)
    if own.status != "enabled":
        return None
    members = client.get("/cluster/peers", list[Member])
    telemetry = client.get("/cluster/telemetry", Telemetry, details_level=SHARD_DETAILS, timeout=2)
    return ClusterView(own, members, telemetry)


def require(client: Client) -> ClusterView:
    """Raises: CommandFailed if the server is on its own."""
    view = look(client)
    if view is None:
        raise CommandFailed(f"{client.url} is a node on its own; cluster.enabled would make it a cluster")
    return view
