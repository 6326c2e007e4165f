"""The cluster's endpoints over REST: bodies, status codes, texts; in a cluster and on a single node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from aiohttp.test_utils import TestClient
from msgspec.structs import replace

from consensus.buckets import shard_of
from consensus.commands import CreateShardKey
from consensus.state import ReplicaState, TransferMethod
from protos.errors import Timeout
from protos.filters import decode_filter
from protos.ids import id_key
from router.auth.gate import OPEN
from router.cluster import ClusterOperations
from router.cluster.checking import ReadyCheck
from router.cluster.local_shards import LocalShardOperations
from router.collections import CollectionOperations
from router.monitoring.inventory import Inventory
from router.monitoring.issues import Issues
from router.monitoring.metrics import Requests
from router.monitoring.telemetry import Process
from router.points import PointOperations
from router.queries.operations import SearchOperations
from router.rest.app import create_app
from router.rest.service import ServiceEndpoints
from tests.router.cluster.fakes import STATUS, ClusterLog, ClusterNode, FakeCluster, FakeShardKeys
from tests.router.fakes import FakePoint
from tests.router.rest.conftest import Answer, AppServer, Rest


class Member(Rest):
    """Peer 1 of three, with a collection ``c``: shard 0 on peers 1 and 2, shard 1 on peers 2 and 3."""

    log: ClusterLog
    cluster: FakeCluster
    keys: FakeShardKeys
    operations: ClusterOperations

    async def change(self, change: Any, name: str = "c", query: str = "") -> Answer:
        return await self.post(f"/collections/{name}/cluster{query}", change)


@pytest.fixture
async def member() -> AsyncIterator[Member]:
    log, node, cluster, keys = ClusterLog(), ClusterNode(), FakeCluster(), FakeShardKeys()
    log.add_collection()
    await node.reconcile(log.state)
    del node.shards["c", 1]  # another node's
    collections = CollectionOperations(log, node)
    operations = ClusterOperations(log, cluster, keys)
    local_shards, ready = LocalShardOperations(log, node), ReadyCheck(log, cluster)
    endpoints = ServiceEndpoints(
        process=Process(id="p", version="1.19.0", started=datetime.now(UTC), search_threads=2),
        commit=None,
        inventory=Inventory(log, node),
        requests=Requests(),
        issues=Issues(),
        cluster=operations,
        ready=ready,
    )
    app = create_app(
        collections,
        PointOperations(collections, node),
        SearchOperations(collections, node),
        cluster=operations,
        local_shards=local_shards,
        gate=OPEN,
        extra_routes=endpoints.routes(),
    )
    async with TestClient(AppServer(app)) as client:
        found = Member(client, node)
        found.log, found.cluster, found.keys, found.operations = log, cluster, keys, operations
        yield found
    await ready.close()
    await collections.close()


# --- status and members ----------------------------------------------------------------------------


async def test_the_cluster_shows_its_peers(member: Member) -> None:
    result = (await member.get("/cluster")).result
    assert result.keys() == {
        "status", "peer_id", "peers", "raft_info", "consensus_thread_status", "message_send_failures",
    }  # fmt: skip
    assert result["status"] == "enabled"
    assert result["peers"]["3"] == {"uri": "http://node-3:6335/"}


async def test_a_removed_peer_still_answers(member: Member) -> None:
    member.cluster.raft = replace(STATUS, stopped=True)
    result = (await member.get("/cluster")).result
    assert result["consensus_thread_status"] == {"consensus_thread_status": "stopped"}


async def test_recovering_answers_true(member: Member) -> None:
    assert (await member.post("/cluster/recover")).result is True
    member.cluster.catch_up_failure = Timeout("No barrier within 10 s")
    answer = await member.post("/cluster/recover")
    assert (answer.status, answer.error) == (408, "Timeout: No barrier within 10 s")


async def test_a_peer_is_removed(member: Member) -> None:
    answer = await member.delete("/cluster/peer/3")
    assert answer.status == 400
    assert answer.error == "Bad request: Cannot remove peer 3 as there are shards on it"
    assert (await member.delete("/cluster/peer/3?force=true&timeout=5")).result is True
    assert (await member.get("/cluster")).result["peers"].keys() == {"1", "2"}
    answer = await member.delete("/cluster/peer/3")
    assert (answer.status, answer.error) == (400, "Bad request: Peer 3 does not exist")


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/cluster/peer/x", 400, "Deserialize error in path parameters: "),
        ("/cluster/peer/99999999999999999999", 400, "Deserialize error in path parameters: "),
        ("/cluster/peer/3?force=yes", 400, "Deserialize error in query parameters: "),
        ("/cluster/peer/3?timeout=0", 422, "timeout: value 0 invalid"),
    ],
)
async def test_wrong_parameters_of_a_removal_are_refused(
    member: Member, path: str, status: int, text: str
) -> None:
    answer = await member.delete(path)
    assert (answer.status, text in answer.error) == (status, True)


async def test_members_are_listed_with_what_they_hold(member: Member) -> None:
    assert (await member.put("/cluster/peer/3/drain?timeout=5")).result is True
    first, _, third = (await member.get("/cluster/peers")).result
    assert first == {
        "id": 1,
        "uri": "http://node-1:6335/",
        "zone": "",
        "version": "1.19.0",
        "node_type": "Normal",
        "draining": False,
        "replicas": 1,
        "primaries": 1,
    }
    assert (third["draining"], third["replicas"]) == (True, 1)
    assert (await member.delete("/cluster/peer/3/drain")).result is True
    assert not member.log.state.peers[3].draining


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/cluster/peer/9/drain", 400, "Bad request: Peer 9 does not exist"),
        ("/cluster/peer/x/drain", 400, "Deserialize error in path parameters: "),
        ("/cluster/peer/1/drain?timeout=0", 422, "timeout: value 0 invalid"),
    ],
)
async def test_draining_what_is_no_peer_is_refused(member: Member, path: str, status: int, text: str) -> None:
    answer = await member.put(path)
    assert (answer.status, text in answer.error) == (status, True)
    assert not any(peer.draining for peer in member.log.state.peers.values())


# --- metadata keys ---------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None]}, [], "text", 7, False])
async def test_a_metadata_key_holds_any_json(member: Member, value: Any) -> None:
    key = "/cluster/metadata/keys/my%2Fkey"
    response = await member.client.put(f"{key}?wait=true", json=value)
    assert response.status == 200
    assert (await member.get(key)).result == value
    assert (await member.get("/cluster/metadata/keys")).result == ["my/key"]
    assert (await member.delete(f"{key}?wait=true")).result is True
    assert (await member.get(key)).json["result"] is None
    assert (await member.get("/cluster/metadata/keys")).result == []


async def test_putting_null_deletes_a_key(member: Member) -> None:
    key = "/cluster/metadata/keys/k?wait=true"
    await member.put(key, 1)
    response = await member.client.put(key, data=b"null", headers={"Content-Type": "application/json"})
    assert (await response.json())["result"] is True
    assert (await member.get("/cluster/metadata/keys")).result == []


async def test_metadata_that_is_not_json_is_refused(member: Member) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await member.put("/cluster/metadata/keys/k", data=b"{", headers=headers)
    assert (answer.status, answer.error.startswith("Format error in JSON body: ")) == (400, True)
    deep = b"[" * 2000 + b"]" * 2000
    answer = await member.put("/cluster/metadata/keys/k", data=deep, headers=headers)
    assert answer.status == 400
    assert member.log.commands == []


# --- replica sets ----------------------------------------------------------------------------------

ENDS = {"shard_id": 0, "from_peer_id": 1, "to_peer_id": 3}


@pytest.mark.parametrize(("operation", "sync"), [("move_shard", False), ("replicate_shard", True)])
async def test_a_transfer_is_started(member: Member, operation: str, sync: bool) -> None:
    answer = await member.change({operation: {**ENDS, "method": "stream_records"}}, query="?timeout=5")
    assert answer.result is True
    (transfer,) = member.log.collection().transfers
    assert (transfer.sync, transfer.method) == (sync, TransferMethod.STREAM_RECORDS)
    assert member.log.shard(0).replicas[3] is ReplicaState.PARTIAL


async def test_without_a_method_a_users_transfer_is_a_snapshot(member: Member) -> None:
    await member.change({"replicate_shard": ENDS})
    assert member.log.collection().transfers[0].method is TransferMethod.SNAPSHOT


async def test_a_transfer_is_restarted_and_aborted(member: Member) -> None:
    await member.change({"replicate_shard": {**ENDS, "method": "snapshot"}})
    answer = await member.change({"restart_transfer": {**ENDS, "method": "snapshot"}})
    assert (answer.status, "its configuration did not change" in answer.error) == (400, True)
    assert (await member.change({"restart_transfer": {**ENDS, "method": "wal_delta"}})).result is True
    assert member.log.collection().transfers[0].method is TransferMethod.WAL_DELTA
    assert (await member.change({"abort_transfer": ENDS})).result is True
    assert member.log.collection().transfers == ()
    answer = await member.change({"abort_transfer": ENDS})
    assert answer.status == 404
    assert answer.error == "Not found: Shard transfer 1 -> 3 for collection c:0 does not exist"


async def test_a_replica_is_dropped(member: Member) -> None:
    assert (await member.change({"drop_replica": {"shard_id": 0, "peer_id": 2}})).result is True
    assert member.log.shard(0).replicas.keys() == {1}
    answer = await member.change({"drop_replica": {"shard_id": 0, "peer_id": 1}})
    assert answer.status == 400
    assert "Shard 0 must have at least one active replica after removing 1" in answer.error


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        (
            {"move_shard": {**ENDS, "to_peer_id": 1}},
            422,
            'cannot transfer shard to itself, "to_peer_id" must be different than',
        ),
        ({"move_shard": {**ENDS, "shard_id": 9}}, 400, "Bad request: Shard 9 of c does not exist"),
        ({"move_shard": {**ENDS, "to_peer_id": 9}}, 400, "Bad request: Peer 9 does not exist"),
        ({"move_shard": {**ENDS, "from_peer_id": 9}}, 400, "Bad request: Peer 9 does not exist"),
        (
            {"move_shard": {**ENDS, "from_peer_id": 3, "to_peer_id": 1}},
            400,
            "Bad request: Shard 0 is not active on peer 3",
        ),
        (
            {"drop_replica": {"shard_id": 0, "peer_id": 3}},
            400,
            "Bad request: Peer 3 has no replica of shard 0",
        ),
        (
            {"start_resharding": {"direction": "up"}},
            400,
            "Bad request: resharding is only supported in Qdrant Cloud",
        ),
        *(
            (
                {operation: {}},
                400,
                "Bad request: resharding is not in progress for collection c",
            )
            for operation in (
                "abort_resharding",
                "finish_migrating_points",
                "commit_read_hash_ring",
                "commit_write_hash_ring",
                "finish_resharding",
            )
        ),
        ({"replicate_points": {"from_shard_key": "a", "to_shard_key": "a"}}, 422, "must be different than"),
        (
            {"create_sharding_key": {"shard_key": "a", "shards_number": 0}},
            422,
            "Validation error in JSON body: [shards_number: value 0 invalid, must be 1 or larger]",
        ),
    ],
)
async def test_a_change_that_cannot_be_is_refused(
    member: Member, change: Any, status: int, text: str
) -> None:
    answer = await member.change(change)
    assert (answer.status, text in answer.error) == (status, True), answer.body
    assert member.log.collection().transfers == ()


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"move_shard": ENDS, "abort_transfer": ENDS},
        {"no_such_operation": {}},
        {"move_shard": None},
        {"move_shard": {"shard_id": 0}},
        {"move_shard": {**ENDS, "shard_id": -1}},
        {"move_shard": {**ENDS, "method": "telepathy"}},
        {"restart_transfer": ENDS},
        {"start_resharding": {}},
        {"start_resharding": {"direction": "sideways"}},
        {"drop_sharding_key": {"shard_key": -1}},
        {"drop_sharding_key": {"shard_key": 1.5}},
        {"drop_sharding_key": {"shard_key": True}},
        {"create_sharding_key": {"shard_key": "a", "initial_state": "Asleep"}},
        [],
    ],
)
async def test_a_body_that_is_not_exactly_one_operation_is_refused(member: Member, change: Any) -> None:
    answer = await member.change(change)
    assert (answer.status, answer.error.startswith("Format error in JSON body: ")) == (400, True)
    assert answer.json["time"] == 0.0


async def test_an_unknown_collection_is_not_found(member: Member) -> None:
    answer = await member.change({"abort_resharding": {}}, name="unknown")
    assert answer.status == 404
    assert answer.error == "Not found: Collection `unknown` doesn't exist!"


async def test_points_are_replicated_by_filter(member: Member) -> None:
    member.log.add_collection("k", custom=True)
    member.log.apply(CreateShardKey("k", "all", ((1,),)))
    member.log.apply(CreateShardKey("k", 7, ((2,),), ReplicaState.PARTIAL))
    condition = {"must": [{"key": "tenant", "match": {"value": "a"}}]}
    body = {"replicate_points": {"from_shard_key": "all", "to_shard_key": 7, "filter": condition}}
    assert (await member.change(body, name="k")).result is True
    (transfer,) = member.log.collection("k").transfers
    assert (transfer.shard_id, transfer.target_shard_id, transfer.source, transfer.target) == (0, 1, 1, 2)
    assert transfer.filter is not None
    assert decode_filter(msgspec.json.decode(transfer.filter)) == decode_filter(condition)


async def test_a_filter_that_is_none_is_refused(member: Member) -> None:
    body = {"from_shard_key": "a", "to_shard_key": "b", "filter": {"no_such": []}}
    answer = await member.change({"replicate_points": body})
    assert answer.status == 400


# --- shard keys ------------------------------------------------------------------------------------


async def test_a_shard_key_is_created_and_deleted_by_either_route(member: Member) -> None:
    key = {"shard_key": "a", "shard_number": 2, "placement": [1, 3], "initial_state": "Partial"}
    assert (await member.put("/collections/c/shards?timeout=3", key)).result is True
    assert (await member.change({"create_sharding_key": key}, query="?timeout=3")).result is True
    first, second = member.keys.created
    assert first == second
    assert first == (
        "c",
        "a",
        {
            "shards_number": 2,
            "replication_factor": None,
            "placement": (1, 3),
            "initial_state": ReplicaState.PARTIAL,
            "timeout_ms": 3000,
        },
    )
    assert (await member.post("/collections/c/shards/delete", {"shard_key": 9})).result is True
    assert (await member.change({"drop_sharding_key": {"shard_key": 9}})).result is True
    assert member.keys.deleted == [("c", 9, None), ("c", 9, None)]


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 400, "Format error in JSON body: "),
        ({"shard_key": "a", "replication_factor": 0}, 422, "replication_factor"),
        ({"shard_key": "a", "placement": []}, 400, "Bad request: Shard key placement must not be empty"),
        (
            {"shard_key": "a", "initial_state": "Dead"},
            400,
            "Bad request: Initial state cannot be Dead, only Active or Partial",
        ),
    ],
)
async def test_a_wrong_shard_key_is_refused(member: Member, body: Any, status: int, text: str) -> None:
    answer = await member.put("/collections/c/shards", body)
    assert (answer.status, text in answer.error) == (status, True)
    assert member.keys.created == []


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/shards"), ("POST", "/shards/delete"), ("POST", "/cluster")]
)
async def test_a_single_node_refuses_changes_of_its_shards(rest: Rest, method: str, path: str) -> None:
    await rest.create("c")
    answer = await rest.call(method, f"/collections/c{path}", {})
    assert (answer.status, answer.error) == (405, "Qdrant is running in standalone mode")
    assert (await rest.get("/collections/c/shards")).result == {"shard_keys": None}


async def test_a_single_node_tells_of_its_shards_before_it_refuses_to_remove_itself(rest: Rest) -> None:
    assert (await rest.delete("/cluster/peer/1")).status == 405
    await rest.create("c")
    answer = await rest.delete("/cluster/peer/1")
    assert answer.status == 400
    assert answer.error == "Bad request: Cannot remove peer 1 as there are shards on it"
    assert (await rest.delete("/cluster/peer/1?force=true")).status == 405


# --- one node's replica ----------------------------------------------------------------------------


def fill(member: Member) -> list[int]:
    """Put points of both shards into shard 0. Returns: its own."""
    (shard,) = member.shards()
    for number in range(30):
        shard.points[number] = FakePoint(0, {"n": number}, {})
    return [n for n in range(30) if shard_of(member.log.collection(), id_key(n)) == 0]


async def test_a_replica_is_read_by_itself(member: Member) -> None:
    own, base = fill(member), "/collections/c/shards/0/points"
    only_own = {"hash_ring_filter": {"expected_shard_id": 0}}
    assert (await member.post(f"{base}/count", {})).result == {"count": 30}
    assert (await member.post(f"{base}/count", only_own)).result == {"count": len(own)}
    found = (await member.post(base, {"ids": list(range(30)), **only_own})).result
    assert [point["id"] for point in found] == own
    page = (await member.post(f"{base}/scroll", {"limit": 2, "with_vector": True, **only_own})).result
    assert page["points"] == [{"id": number, "payload": {"n": number}, "vector": {}} for number in own[:2]]
    assert page["next_page_offset"] == own[2]


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/collections/c/shards/x/points/count", 400, "Deserialize error in path parameters: "),
        ("/collections/c/shards/4294967296/points/count", 400, "Deserialize error in path parameters: "),
        ("/collections/c/shards/1/points/count", 503, "Shard temporarily unavailable: "),
        ("/collections/c/shards/9/points/count", 404, "Not found: Shard 9 of c does not exist"),
        ("/collections/u/shards/0/points/count", 404, "Not found: Collection `u` doesn't exist!"),
        ("/collections/c/shards/0/points/count?timeout=0", 422, "timeout: value 0 invalid"),
        ("/collections/c/shards/1/cleanup", 503, "Shard temporarily unavailable: "),
        ("/collections/c/shards/0/cleanup?wait=1", 400, "Deserialize error in query parameters: "),
    ],
)
async def test_a_replica_that_is_not_here_is_told(member: Member, path: str, status: int, text: str) -> None:
    answer = await member.post(path, {})
    assert (answer.status, text in answer.error) == (status, True), answer.body


async def test_a_shard_is_cleaned(member: Member) -> None:
    own = fill(member)
    answer = await member.post("/collections/c/shards/0/cleanup?wait=true")
    assert answer.result == {"status": "completed", "operation_id": 0}
    assert list(member.shards()[0].points) == own


async def test_a_cleaning_that_is_not_waited_for_is_accepted(member: Member) -> None:
    answer = await member.post("/collections/c/shards/0/cleanup")
    assert answer.status == 202
    assert answer.json.keys() == {"status", "time"}
    assert answer.json["status"] == "accepted"


# --- readiness, metrics, telemetry -----------------------------------------------------------------


async def test_a_member_is_ready_when_it_has_caught_up(member: Member) -> None:
    member.cluster.commits = {2: 20, 3: 20}
    answer = await member.get("/readyz")
    assert (answer.status, answer.body) == (503, b"some shards are not ready")
    assert answer.headers["Content-Type"].startswith("text/plain")
    member.cluster.raft = replace(STATUS, applied=20)
    while (answer := await member.get("/readyz")).status == 503:
        pass
    assert (answer.status, answer.body) == (200, b"all shards are ready")


async def test_metrics_tell_of_the_cluster(member: Member) -> None:
    text = (await member.get("/metrics")).body.decode()
    assert "cluster_enabled 1.0" in text
    assert "cluster_peers_total 3.0" in text
    assert "collection_points" in text


async def test_telemetry_of_the_cluster_is_merged(member: Member) -> None:
    await member.change({"replicate_shard": ENDS})
    member.cluster.comments = {member.log.collection().transfers[0]: "creating snapshot (0.5s)"}
    result = (await member.get("/cluster/telemetry?details_level=3")).result
    assert result["cluster"]["peers"]["1"]["responsive"] is True
    assert result["cluster"]["peers"]["2"] == {"uri": "http://node-2:6335/", "responsive": False}
    (shown,) = result["collections"]["c"]["shard_transfers"]
    assert shown["comment"] == "creating snapshot (0.5s)"
    own = result["collections"]["c"]["shards"][0]["replicas"][0]
    assert (own["peer_id"], own["status"]) == (1, "green")


async def test_telemetry_shows_this_members_view(member: Member) -> None:
    result = (await member.get("/telemetry?details_level=3")).result
    assert result["cluster"]["enabled"] is True
    (collection,) = result["collections"]["collections"]
    here, elsewhere = collection["shards"]
    assert here["local"]["status"] == "green"
    assert elsewhere["local"] is None
    assert elsewhere["replicate_states"] == {"2": "Active", "3": "Active"}


async def test_the_description_tells_the_operations(member: Member) -> None:
    document = (await member.get("/openapi.json")).json
    change = document["paths"]["/collections/{collection_name}/cluster"]["post"]
    schema = change["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    body = document["components"]["schemas"][schema.rsplit("/", 1)[1]]
    assert {"move_shard", "replicate_points", "create_sharding_key"} <= body["properties"].keys()
    assert "/cluster/peer/{peer_id}" in document["paths"]
