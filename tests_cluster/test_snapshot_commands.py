"""``vecraft snapshot`` against a real node."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.live import LiveNode
from vecraft.cli import main

pytestmark = pytest.mark.slow

POINTS = [{"id": number, "vector": [number, 1.0], "payload": {"n": number}} for number in range(20)]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNode]:
    with LiveNode(tmp_path_factory.mktemp("snapshots")) as running:
        httpx.put(f"{running.url}/collections/c", json={"vectors": {"size": 2, "distance": "Dot"}})
        httpx.put(f"{running.url}/collections/c/points?wait=true", json={"points": POINTS})
        yield running


def count(node: LiveNode, name: str) -> int:
    answer = httpx.post(f"{node.url}/collections/{name}/points/count", json={"exact": True})
    found: int = answer.json()["result"]["count"]
    return found


def test_a_collection_comes_back_from_a_snapshot_that_was_fetched(
    node: LiveNode, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = ["--url", node.url]
    assert main(["snapshot", "create", "c", *url]) == 0
    name = capsys.readouterr().out.strip()
    assert main(["snapshot", "list", "c", "--json", *url]) == 0
    assert [each["name"] for each in json.loads(capsys.readouterr().out)] == [name]
    file = tmp_path / "fetched.snapshot"
    assert main(["snapshot", "download", "c", name, "--output", str(file), *url]) == 0
    assert main(["snapshot", "restore", "copy", str(file), *url]) == 0
    assert count(node, "copy") == len(POINTS)
    location = (node.directory / "snapshots/c" / name).as_uri()
    assert main(["snapshot", "restore", "again", location, *url]) == 0
    assert count(node, "again") == len(POINTS)
    file.write_bytes(file.read_bytes()[:-1000])
    assert main(["snapshot", "restore", "damaged", str(file), *url]) == 1
    assert main(["snapshot", "delete", "c", name, *url]) == 0
    assert main(["snapshot", "delete", "c", name, *url]) == 1


def test_everything_and_one_shard_are_snapshots_too(
    node: LiveNode, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = ["--url", node.url]
    for scope in ([], ["c", "--shard", "0"]):
        assert main(["snapshot", "create", *scope, *url]) == 0
        name = capsys.readouterr().out.strip()
        named = [*scope[:1], name, *scope[1:]]
        assert main(["snapshot", "download", *named, "--output", str(tmp_path / name), *url]) == 0
        assert main(["snapshot", "delete", *named, *url]) == 0
    assert main(["snapshot", "list", *url]) == 0
