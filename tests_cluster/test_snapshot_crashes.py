"""One node, killed at random moments while snapshots are made, uploaded and recovered: all of a collection is
old, or all is new, and nothing is left that lists or leaks."""

from __future__ import annotations

import contextlib
import random
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live import LiveNode

pytestmark = pytest.mark.slow

ROUNDS = 7
POINTS = 3_000
C = "/collections/c"


def contents(client: httpx.Client) -> dict[int, Any]:
    whole = {"limit": 10 * POINTS, "with_payload": True, "with_vector": True}
    page = client.post(f"{C}/points/scroll", json=whole).raise_for_status().json()["result"]
    return {point["id"]: (point["payload"], point["vector"]) for point in page["points"]}


def put(client: httpx.Client, value: int) -> None:
    points = [{"id": i, "vector": [value, i, 1, 1], "payload": {"v": value}} for i in range(POINTS)]
    client.put(f"{C}/points?wait=true", json={"points": points}).raise_for_status()


def call(node: LiveNode, action: str, name: str, data: bytes) -> None:
    with contextlib.suppress(httpx.TransportError), httpx.Client(base_url=node.url, timeout=60) as client:
        if action == "create":
            client.post(f"{C}/snapshots")
        elif action == "recover":
            client.put(f"{C}/snapshots/recover", json={"location": f"{name}"})
        else:
            client.post(f"{C}/snapshots/upload", files={"snapshot": data})


@pytest.mark.timeout(300)
def test_killed_at_any_moment_a_collection_is_old_or_new(tmp_path: Path) -> None:
    rng = random.Random(7)
    with LiveNode(tmp_path) as node, httpx.Client(base_url=node.url, timeout=60) as client:
        body = {"vectors": {"size": 4, "distance": "Dot"}, "shard_number": 3}
        client.put(C, json=body).raise_for_status()
        put(client, 1)
        new = contents(client)
        name = client.post(f"{C}/snapshots").json()["result"]["name"]
        data = client.get(f"{C}/snapshots/{name}").content
        for turn in range(ROUNDS):
            put(client, 100 + turn)
            old = contents(client)
            action = ("recover", "upload", "create")[turn % 3]
            caller = threading.Thread(target=call, args=(node, action, name, data))
            caller.start()
            threading.Event().wait(rng.uniform(0.0, 0.5))
            node.restart()
            caller.join()
            found = contents(client)
            assert found in (old, new), f"round {turn}: a mixture of {action}"
            assert found == old or action != "create"
            check_leftovers(node, client)


def check_leftovers(node: LiveNode, client: httpx.Client) -> None:
    """Every snapshot that is listed is whole; besides them and their checksums there is nothing."""
    root = node.directory / "snapshots"
    listed = {one["name"] for one in client.get(f"{C}/snapshots").json()["result"]}
    files = {path.name for path in root.rglob("*") if path.is_file()}
    assert files == listed | {f"{name}.checksum" for name in listed}
    for name in listed:
        location = {
            "location": f"file://{root}/c/{name}",
            "checksum": (root / "c" / f"{name}.checksum").read_text(),
        }
        answer = client.put("/collections/probe/snapshots/recover", json=location)
        assert answer.status_code == 200, answer.text
        client.delete("/collections/probe")
    ready = node.storage / "restoring"
    assert not ready.exists() or not list(ready.iterdir())
