"""Snapshots as a client of a node meets them, over REST and gRPC, and on the command line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from qdrant_client import QdrantClient

from tests.live import LiveNode, wait_for

pytestmark = pytest.mark.slow

POINTS = 300
C = "/collections/c"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNode]:
    with LiveNode(tmp_path_factory.mktemp("snapshots")) as node:
        yield node


@pytest.fixture
def client(node: LiveNode) -> Iterator[httpx.Client]:
    """Collection ``c`` in two shards, with an index."""
    with httpx.Client(base_url=node.url, timeout=60) as client:
        for name in "cde":
            client.delete(f"/collections/{name}")
        fill(client)
        yield client


def fill(client: httpx.Client) -> None:
    body = {"vectors": {"size": 4, "distance": "Dot"}, "shard_number": 2}
    assert client.put(C, json=body).status_code == 200
    points = [{"id": i, "vector": [i, 1, 2, 3], "payload": {"k": i % 7}} for i in range(POINTS)]
    client.put(f"{C}/points?wait=true", json={"points": points}).raise_for_status()
    client.put(f"{C}/index?wait=true", json={"field_name": "k", "field_schema": "integer"}).raise_for_status()


def contents(client: httpx.Client, name: str = "c") -> list[Any]:
    body = {"limit": 10_000, "with_payload": True, "with_vector": True}
    answer = client.post(f"/collections/{name}/points/scroll", json=body)
    points: list[Any] = answer.raise_for_status().json()["result"]["points"]
    return points


def empty(client: httpx.Client) -> None:
    client.post(f"{C}/points/delete?wait=true", json={"filter": {}}).raise_for_status()
    assert contents(client) == []


def made(client: httpx.Client, path: str = C) -> dict[str, Any]:
    found: dict[str, Any] = client.post(f"{path}/snapshots").raise_for_status().json()["result"]
    return found


def downloaded(client: httpx.Client, path: str = C) -> bytes:
    return client.get(f"{path}/snapshots/{made(client, path)['name']}").raise_for_status().content


def uploads_left(node: LiveNode) -> list[Path]:
    return [path for path in (node.directory / "snapshots/tmp").rglob("*") if path.is_file()]


def test_a_collection_comes_back_from_its_file(node: LiveNode, client: httpx.Client) -> None:
    before, snapshot = contents(client), made(client)
    path = node.directory / "snapshots" / "c" / snapshot["name"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == snapshot["checksum"]
    empty(client)
    body = {"location": f"file://{path}", "checksum": snapshot["checksum"]}
    assert client.put(f"{C}/snapshots/recover", json=body).json()["result"] is True
    assert contents(client) == before
    fill_one = client.put(f"{C}/points?wait=true", json={"points": [{"id": 999, "vector": [1, 2, 3, 4]}]})
    assert fill_one.json()["result"]["status"] == "completed"
    node.restart()
    assert len(contents(client)) == POINTS + 1


def test_recoveries_asked_at_the_same_time_all_succeed(node: LiveNode, client: httpx.Client) -> None:
    before, name = contents(client), made(client)["name"]
    body = {"location": f"file://{node.directory}/snapshots/c/{name}"}
    for path in (C, C, "/collections/d", "/collections/d"):
        accepted = client.put(f"{path}/snapshots/recover?wait=false", json=body)
        assert (accepted.status_code, accepted.json()["status"]) == (202, "accepted")
    for path in (C, "/collections/d"):
        assert client.put(f"{path}/snapshots/recover", json=body).json().get("result") is True
    assert contents(client) == contents(client, "d") == before


def test_uploads_and_urls_make_new_collections(node: LiveNode, client: httpx.Client) -> None:
    before, data = contents(client), downloaded(client)
    upload = client.post("/collections/d/snapshots/upload", files={"snapshot": data})
    assert upload.json()["result"] is True
    name = client.get(f"{C}/snapshots").json()["result"][0]["name"]
    url = f"{node.url}{C}/snapshots/{name}"
    recovered = client.put("/collections/e/snapshots/recover", json={"location": url})
    assert recovered.json()["result"] is True
    for copy in "de":
        assert contents(client, copy) == before
        info = client.get(f"/collections/{copy}").json()["result"]
        assert info["payload_schema"]["k"]["points"] == POINTS
        assert info["config"]["params"]["shard_number"] == 2
    assert uploads_left(node) == []


def test_shards_come_back_alone(node: LiveNode, client: httpx.Client) -> None:
    before, shard = contents(client), f"{C}/shards/0"
    name = made(client, shard)["name"]
    live = client.get(f"{shard}/snapshot")
    assert f"{C[13:]}-shard-0-" in live.headers["content-disposition"]
    empty(client)
    assert client.put(f"{shard}/snapshots/recover", json={"location": name}).json()["result"] is True
    half = contents(client)
    assert 0 < len(half) < POINTS
    assert all(point in before for point in half)
    empty(client)
    files = {"snapshot": live.content}
    assert client.post(f"{shard}/snapshots/upload", files=files).json()["result"] is True
    assert contents(client) == half
    wrong = client.post(f"{C}/shards/1/snapshots/upload", files=files)
    assert (wrong.status_code, contents(client)) == (400, half)


def test_what_is_refused_leaves_the_collection_and_no_file(node: LiveNode, client: httpx.Client) -> None:
    before, data = contents(client), downloaded(client)
    damaged = data[:20_000] + b"?" + data[20_001:]
    url = f"{C}/snapshots/upload"
    answers = [
        client.post(url, files={"snapshot": b"not a snapshot"}),
        client.post(url, files={"snapshot": data[:-2000]}),
        client.post(url, files={"snapshot": damaged}),
        client.post(url, files={"other": data}),
        client.post(url, json={}),
        client.post(f"{url}?priority=best", files={"snapshot": data}),
        client.post(f"{url}?checksum={'0' * 64}", files={"snapshot": data}),
        client.put(f"{C}/snapshots/recover", json={"location": f"{node.url}/nothing"}),
    ]
    assert [answer.status_code for answer in answers] == [400] * len(answers)
    assert f"Checksum mismatch: expected {'0' * 64}, actual" in answers[6].text
    short = client.post(f"{url}?checksum=abc", files={"snapshot": data})
    assert (short.status_code, "invalid_sha256_hash" in short.text) == (422, True)
    forbidden = client.put(f"{C}/snapshots/recover", json={"location": f"file://{node.log_path}"})
    assert forbidden.status_code == 403
    metadata = {"location": "http://169.254.169.254/x.snapshot"}
    assert client.put(f"{C}/snapshots/recover", json=metadata).status_code == 403
    assert contents(client) == before
    assert uploads_left(node) == []
    assert not list((node.storage / "restoring").iterdir())


def test_calls_that_are_not_waited_for_are_done_all_the_same(node: LiveNode, client: httpx.Client) -> None:
    answer = client.post(f"{C}/snapshots?wait=false")
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
    wait_for(lambda: client.get(f"{C}/snapshots").json()["result"], what="the snapshot")
    data = downloaded(client)
    empty(client)
    assert client.post(f"{C}/snapshots/upload?wait=false", files={"snapshot": data}).status_code == 202
    wait_for(lambda: len(contents(client)) == POINTS, what="the points")


def test_snapshots_are_counted(client: httpx.Client) -> None:
    made(client)
    metrics = client.get("/metrics").text
    (line,) = [line for line in metrics.splitlines() if line.startswith('snapshot_created_total{id="c"}')]
    counted = float(line.split()[1])
    assert counted >= 1
    for gauge in ("snapshot_creation_running", "snapshot_recovery_running"):
        assert f'{gauge}{{id="c"}} 0.0' in metrics
    made(client)
    shown = client.get("/telemetry?details_level=2").json()["result"]["collections"]["snapshots"]
    assert {key: value for key, value in shown[0].items() if key != "total_snapshot_creations"} == {
        "id": "c",
        "running_snapshots": 0,
        "running_snapshot_recovery": 0,
    }
    assert shown[0]["total_snapshot_creations"] == counted + 1


def test_unknown_names_are_404(client: httpx.Client) -> None:
    for path in (
        "/collections/nope/snapshots",
        f"{C}/snapshots/nope.snapshot",
        f"{C}/snapshots/..%2F..%2Fx.snapshot",
        f"{C}/shards/7/snapshots",
        "/snapshots/nope.snapshot",
    ):
        assert client.get(path).status_code == 404, path
    assert client.delete(f"{C}/snapshots/nope.snapshot").status_code == 404
    assert client.post("/collections/nope/snapshots").status_code == 404


def test_the_client_library_speaks_with_it_over_both_protocols(node: LiveNode, client: httpx.Client) -> None:
    for grpc in (False, True):
        library = QdrantClient(node.url, grpc_port=node.grpc_port, prefer_grpc=grpc, timeout=60)
        snapshot = library.create_snapshot("c")
        assert snapshot is not None
        assert snapshot.name in [one.name for one in library.list_snapshots("c")]
        assert library.recover_snapshot("c", f"{node.url}{C}/snapshots/{snapshot.name}")
        assert library.delete_snapshot("c", snapshot.name)
        full = library.create_full_snapshot()
        assert full is not None
        assert full.name in [one.name for one in library.list_full_snapshots()]
        assert library.delete_full_snapshot(full.name)
        library.close()


def test_a_node_can_begin_with_what_snapshots_hold(
    node: LiveNode, client: httpx.Client, tmp_path: Path
) -> None:
    before = contents(client)
    client.post(
        "/collections/aliases",
        json={"actions": [{"create_alias": {"collection_name": "c", "alias_name": "a"}}]},
    )
    one, full = tmp_path / "one.snapshot", tmp_path / "full.snapshot"
    one.write_bytes(downloaded(client))
    full.write_bytes(client.get(f"/snapshots/{made(client, '')['name']}").content)
    other = LiveNode(
        tmp_path / "other", arguments=("--snapshot", f"{one}:x", "--storage-snapshot", str(full))
    )
    with other, httpx.Client(base_url=other.url) as there:
        assert contents(there, "x") == contents(there, "c") == contents(there, "a") == before
        there.delete("/collections/c")
        other.stop()
        assert other.launch().wait() == 1
        assert "Collection x already exists. Use --force-snapshot to overwrite it." in other.log()
        other.arguments = ("--snapshot", f"{one}:x", "-f")
        other.start()
        assert contents(there, "x") == before


def test_snapshots_may_be_kept_in_a_bucket(tmp_path: Path) -> None:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url, prefix = f"http://{host}:{port}", "QDRANT__STORAGE__SNAPSHOTS_CONFIG__"
    httpx.put(f"{url}/kept").raise_for_status()
    environment = {
        f"{prefix}SNAPSHOTS_STORAGE": "s3",
        f"{prefix}S3_CONFIG__BUCKET": "kept",
        f"{prefix}S3_CONFIG__REGION": "us-east-1",
        f"{prefix}S3_CONFIG__ACCESS_KEY": "key",
        f"{prefix}S3_CONFIG__SECRET_KEY": "secret",
        f"{prefix}S3_CONFIG__ENDPOINT_URL": url,
    }
    node = LiveNode(tmp_path, environment=environment)
    try:
        with node, httpx.Client(base_url=node.url, timeout=60) as client:
            fill(client)
            before, snapshot = contents(client), made(client)
            assert client.get(f"{C}/snapshots").json()["result"] == [snapshot]
            sent = client.get(f"{C}/snapshots/{snapshot['name']}")
            assert hashlib.sha256(sent.content).hexdigest() == snapshot["checksum"]
            empty(client)
            body = {"location": snapshot["name"], "checksum": snapshot["checksum"]}
            assert client.put(f"{C}/snapshots/recover", json=body).json()["result"] is True
            assert contents(client) == before
            assert client.delete(f"{C}/snapshots/{snapshot['name']}").json()["result"] is True
            assert client.get(f"{C}/snapshots/{snapshot['name']}").status_code == 404
            assert [path for path in (tmp_path / "snapshots").rglob("*") if path.is_file()] == []
    finally:
        server.stop()


@pytest.mark.parametrize("part", [b"no header at all--", b'Content-Disposition: form-data; name="\xf1\x16"'])
def test_a_form_that_is_none_is_the_clients_fault(client: httpx.Client, part: bytes) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    body = b"--b\r\n" + part + b"\r\n\r\nx\r\n--b--\r\n"
    answer = client.post(f"{C}/snapshots/upload", content=body, headers=headers)
    assert answer.status_code == 400
    assert "cannot be read" in answer.json()["status"]["error"]
