"""What the nodes of a cluster say: peers, leader, replicas and their states, what each replica holds.

Everything is asked over the public API (the shards' local endpoints included), so it may be stale, and
nodes may disagree: what waits here waits until all nodes that run agree.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

import httpx

from tests_cluster.cluster import Cluster, ClusterNode
from tests_cluster.history import DIM, vector_of

Json = dict[str, Any]
Replica = tuple[int, int]  # shard id, peer id

ANSWER_S_MAX = 5.0
# So many that with six shards each gets some, all but 1 in 10**4 times; and away from what tests write, since
# a probe that was not answered in time may still arrive.
PROBES = range(1_000_000, 1_000_060)
SERVED_S_MAX = 5.0
PAGE = 1_000
BATCH = 500  # points per request


class View:
    """As a context manager. May be used from several threads."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._http = httpx.Client(timeout=ANSWER_S_MAX, trust_env=False)
        self._peers: dict[int, int] = {}  # of nodes, by index

    def __enter__(self) -> View:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    # --- asking -------------------------------------------------------------------------------------------

    def request(
        self,
        node: ClusterNode,
        method: str,
        path: str,
        body: object = None,
        *,
        timeout_s: float = 30.0,
        **query: Any,
    ) -> httpx.Response:
        return self._http.request(method, node.url + path, json=body, params=query, timeout=timeout_s)

    def call(
        self,
        node: ClusterNode,
        method: str,
        path: str,
        body: object = None,
        *,
        timeout_s: float = 30.0,
        **query: Any,
    ) -> Any:
        """The result; anything but a 200 fails the test."""
        answer = self.request(node, method, path, body, timeout_s=timeout_s, **query)
        assert answer.status_code == 200, f"node {node.member.index}, {method} {path}: {answer.text}"
        return answer.json()["result"]

    def answers(self, node: ClusterNode) -> bool:
        """Does it take requests already?"""
        try:
            return self.request(node, "GET", "/healthz", timeout_s=1.0).status_code == 200
        except httpx.TransportError:
            return False

    def running(self) -> list[ClusterNode]:
        return [node for node in self._cluster if node.runs]

    # --- members ------------------------------------------------------------------------------------------

    def status(self, node: ClusterNode) -> Json:
        status: Json = self.call(node, "GET", "/cluster", timeout_s=ANSWER_S_MAX)
        return status

    def peer_id(self, node: ClusterNode) -> int:
        """Remembered: a node keeps its id, and may be asked about when it is down."""
        if node.member.index not in self._peers:
            self._peers[node.member.index] = self.status(node)["peer_id"]
        return self._peers[node.member.index]

    def forget(self, node: ClusterNode) -> None:
        """It will come back as another peer."""
        self._peers.pop(node.member.index, None)

    def node_of(self, peer_id: int) -> ClusterNode:
        (found,) = (node for node in self._cluster if self._peers.get(node.member.index) == peer_id)
        return found

    def leader(self, among: Iterable[ClusterNode] | None = None, *, seconds: float = 15.0) -> ClusterNode:
        """The node that all running ones (or ``among``) believe to lead, once they agree."""
        asked = list(among or self.running())

        def agreed() -> int | None:
            try:
                believed = {self.status(node)["raft_info"]["leader"] for node in asked}
            except httpx.TransportError:
                return None
            return believed.pop() if len(believed) == 1 else None

        peer_id = self._cluster.wait_for(agreed, seconds=seconds, what="one leader")
        assert peer_id is not None
        for node in asked:
            self.peer_id(node)
        return self.node_of(peer_id)

    def follower(self) -> ClusterNode:
        leader = self.leader()
        return next(node for node in self.running() if node is not leader)

    def wait_joined(self, peers: int | None = None, *, seconds: float = 30.0) -> None:
        """Every running node is ready, has a vote, shows ``peers`` (those that run) and the same leader."""
        wanted = peers or len(self.running())

        def joined() -> bool:
            try:
                statuses = [self.status(node) for node in self.running()]
                ready = all(
                    self.request(node, "GET", "/readyz").status_code == 200 for node in self.running()
                )
            except httpx.TransportError:
                return False
            leaders = {status["raft_info"]["leader"] for status in statuses}
            whole = all(len(s["peers"]) == wanted and s["raft_info"]["is_voter"] for s in statuses)
            return ready and whole and len(leaders) == 1 and None not in leaders

        self._cluster.wait_for(joined, seconds=seconds, what=f"{wanted} peers with a leader")
        for node in self.running():
            self.peer_id(node)

    # --- collections --------------------------------------------------------------------------------------

    def create(self, name: str, *, replicas: int | None = None, **options: Any) -> None:
        """As ``create_quietly``, and all replicas are active on every node on return."""
        self.create_quietly(name, **options)
        self.wait_active(name, replicas=replicas)

    def create_quietly(self, name: str, **options: Any) -> None:
        """By default six shards with two replicas each; the other nodes may not have followed on return."""
        defaults = {"vectors": {"size": DIM, "distance": "Dot"}, "shard_number": 6, "replication_factor": 2}
        self.call(self.running()[0], "PUT", f"/collections/{name}", defaults | options)

    def drop(self, name: str) -> None:
        self.call(self.running()[0], "DELETE", f"/collections/{name}")

    def put(self, node: ClusterNode, name: str, ids: Iterable[int], value: int, **body: Any) -> None:
        """Points that carry ``value``, durable and visible on return."""
        payload = {"value": value, "text": f"{value} " * 20}
        points = [{"id": each, "vector": vector_of(value + each), "payload": payload} for each in ids]
        path = f"/collections/{name}/points"
        for start in range(0, len(points), BATCH):
            batch = {"points": points[start : start + BATCH], **body}
            self.call(node, "PUT", path, batch, wait="true")

    def delete(self, node: ClusterNode, name: str, ids: Iterable[int]) -> None:
        body = {"points": list(ids)}
        self.call(node, "POST", f"/collections/{name}/points/delete", body, wait="true")

    def values(self, node: ClusterNode, name: str, **body: Any) -> dict[int, int]:
        """What every point carries, by id, as a client of the node reads it."""
        whole = {"limit": 10_000, "with_payload": ["value"], **body}
        page = self.call(node, "POST", f"/collections/{name}/points/scroll", whole)
        return {point["id"]: point["payload"]["value"] for point in page["points"]}

    def change(self, node: ClusterNode, name: str, **change: Any) -> None:
        """A cluster operation on a collection (reference 14.7)."""
        assert self.call(node, "POST", f"/collections/{name}/cluster", change) is True

    # --- replicas -----------------------------------------------------------------------------------------

    def collection(self, node: ClusterNode, name: str) -> Json:
        found: Json = self.call(node, "GET", f"/collections/{name}/cluster", timeout_s=ANSWER_S_MAX)
        return found

    def states(self, node: ClusterNode, name: str) -> dict[Replica, str]:
        """As the node sees them."""
        found = self.collection(node, name)
        own = {(shard["shard_id"], found["peer_id"]): shard["state"] for shard in found["local_shards"]}
        others = {(shard["shard_id"], shard["peer_id"]): shard["state"] for shard in found["remote_shards"]}
        return own | others

    def holders(self, name: str, shard_id: int) -> list[int]:
        """The peers with a replica of the shard."""
        states = self.states(self.running()[0], name)
        return sorted(peer for shard, peer in states if shard == shard_id)

    def settled(self, name: str) -> dict[Replica, str] | None:
        """The replicas' states, if every running node tells the same and nothing is moving."""
        try:
            found = [self.collection(node, name) for node in self.running()]
            states = [self.states(node, name) for node in self.running()]
        except (httpx.TransportError, AssertionError):  # a node is still being started
            return None
        if any(each["shard_transfers"] for each in found) or any(each != states[0] for each in states):
            return None
        return states[0]

    def wait_states(self, name: str, wanted: dict[Replica, str], *, seconds: float = 30.0) -> None:
        self._wait_settled(name, lambda states: states == wanted, seconds=seconds, what=f"replicas {wanted}")

    def wait_active(
        self, name: str, *, replicas: int | None = None, seconds: float = 30.0
    ) -> dict[Replica, str]:
        """Until every replica (``replicas`` in all, if given) is Active, and settled."""

        def active(states: dict[Replica, str]) -> bool:
            return set(states.values()) <= {"Active"} and replicas in (None, len(states))

        return self._wait_settled(name, active, seconds=seconds, what=f"every replica of {name} to be active")

    def _wait_settled(
        self, name: str, wanted: Callable[[dict[Replica, str]], bool], *, seconds: float, what: str
    ) -> dict[Replica, str]:
        """The states once they are settled and as wanted."""
        found: list[dict[Replica, str]] = []

        def reached() -> bool:
            states = self.settled(name)
            if states is None or not wanted(states):
                return False
            found.append(states)
            return True

        try:
            self._cluster.wait_for(reached, seconds=seconds, what=what)
        except AssertionError as error:
            for node in self.running():
                seen = self.request(node, "GET", f"/collections/{name}/cluster", timeout_s=ANSWER_S_MAX)
                error.add_note(f"node {node.member.index}: {seen.text}")
            raise
        return found[0]

    # --- contents -----------------------------------------------------------------------------------------

    def content(self, node: ClusterNode, name: str, shard_id: int) -> dict[Any, Json]:
        """What the node's own replica holds, by point id."""
        found: dict[Any, Json] = {}
        offset: Any = None
        while True:
            body = {"limit": PAGE, "offset": offset, "with_payload": True, "with_vector": True}
            page = self.call(node, "POST", f"/collections/{name}/shards/{shard_id}/points/scroll", body)
            found |= {record["id"]: record for record in page["points"]}
            offset = page["next_page_offset"]
            if offset is None:
                return found

    def contents(self, name: str) -> dict[Replica, dict[Any, Json]]:
        """Of every replica that is in sync and whose node runs."""
        readable = {
            replica for replica, state in self.states(self.running()[0], name).items() if state == "Active"
        }
        running = {self.peer_id(node): node for node in self.running()}
        return {
            (shard, peer): self.content(running[peer], name, shard)
            for shard, peer in sorted(readable)
            if peer in running
        }

    def assert_replicas_equal(self, name: str, *, seconds: float = 10.0) -> dict[Any, Json]:
        """The replicas of each shard hold the same; a write nobody acknowledged has ``seconds`` to arrive.

        Returns: all points, each of which is in one shard only.
        """
        deadline = time.monotonic() + seconds
        while differing(contents := self.contents(name)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not differing(contents), "\n".join(differing(contents))
        shards = {shard: records for (shard, _), records in contents.items()}
        points = {point: record for records in shards.values() for point, record in records.items()}
        assert len(points) == sum(map(len, shards.values())), "a point is in two shards"
        return points

    # --- service ------------------------------------------------------------------------------------------

    def wait_served(
        self,
        name: str,
        node: ClusterNode,
        *,
        since_s: float | None = None,
        within_s: float = SERVED_S_MAX,
        vector: Any = None,
        consistency: str = "1",
    ) -> float:
        """Until the node takes a write to every shard and reads it back, which must be within ``within_s``.

        ``since_s``: on the monotonic clock; now, if not given. ``consistency``: of the read; dead replicas
        count in what is more than half. Returns: seconds it took.
        """
        since_s = time.monotonic() if since_s is None else since_s
        vector = [1.0] * DIM if vector is None else vector
        points = [{"id": i, "vector": vector, "payload": {"value": 0}} for i in PROBES]
        path, latest = f"/collections/{name}/points", ""
        while (taken_s := time.monotonic() - since_s) < within_s:
            try:
                wrote = self.request(node, "PUT", path, {"points": points}, timeout_s=2.0, wait="true")
                body = {"filter": {"must": [{"has_id": list(PROBES)}]}, "exact": True}
                query = {"consistency": consistency}
                read = self.request(node, "POST", f"{path}/count", body, timeout_s=2.0, **query)
            except httpx.TransportError as error:
                latest = repr(error)
                continue
            if wrote.status_code == read.status_code == 200 and read.json()["result"]["count"] == len(PROBES):
                return time.monotonic() - since_s
            latest = f"{wrote.text} {read.text}"
            time.sleep(0.05)
        raise AssertionError(f"not served after {taken_s:.1f} s: {latest}")


def differing(contents: dict[Replica, dict[Any, Json]]) -> list[str]:
    """A line per point on which replicas of a shard differ."""
    by_shard: dict[int, dict[int, dict[Any, Json]]] = {}
    for (shard, peer), records in contents.items():
        by_shard.setdefault(shard, {})[peer] = records
    lines = []
    for shard, replicas in by_shard.items():
        for point in sorted({point for records in replicas.values() for point in records}, key=str):
            held = {peer: records.get(point) for peer, records in replicas.items()}
            first = next(iter(held.values()))
            if any(record != first for record in held.values()):
                lines.append(f"shard {shard}, point {point}: {held}")
    return lines
