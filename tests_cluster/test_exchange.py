"""``vecraft import`` and ``export`` against a real node: equal contents, and a kill in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.live import ROOT, LiveNode, wait_for
from vecraft.cli import main

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(5)
CONFIG = {
    "vectors": {
        "a": {"size": 4, "distance": "Cosine"},
        "half": {"size": 3, "distance": "Dot", "datatype": "float16"},
        "many": {"size": 2, "distance": "Euclid", "multivector_config": {"comparator": "max_sim"}},
    },
    "sparse_vectors": {"words": {}},
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNode]:
    with LiveNode(tmp_path_factory.mktemp("exchange")) as running:
        yield running


def put(node: LiveNode, path: str, body: Any) -> None:
    answer = httpx.put(f"{node.url}{path}", json=body, timeout=30)
    assert answer.status_code == 200, answer.text


def content(node: LiveNode, name: str) -> dict[Any, Any]:
    body = {"limit": 10_000, "with_vector": True}
    answer = httpx.post(f"{node.url}/collections/{name}/points/scroll", json=body, timeout=30)
    return {point["id"]: point for point in answer.json()["result"]["points"]}


def some_points(count: int) -> list[dict[str, Any]]:
    """Integers and UUIDs; not every point has every vector."""
    points = []
    for number in range(count):
        every = {
            "a": RNG.normal(size=4).tolist(),
            "half": RNG.normal(size=3).tolist(),
            "many": RNG.normal(size=(1 + number % 3, 2)).tolist(),
            "words": {"indices": [number, number + 9], "values": RNG.random(2).tolist()},
        }
        vector = {name: value for index, (name, value) in enumerate(every.items()) if (number >> index) & 1}
        point_id = number if number % 2 else f"00000000-0000-4000-8000-{number:012}"
        payload = {"n": number, "ü": [None, {"x": 0.1 * number}]} if number % 5 else None
        points.append({"id": point_id, "vector": vector, "payload": payload})
    return points


@pytest.mark.parametrize("target", ["points.jsonl.gz", "points.numpy", "points.parquet"])
def test_what_is_exported_and_imported_is_equal(target: str, node: LiveNode, tmp_path: Path) -> None:
    source, copy = f"from-{target}", f"to-{target}"
    put(node, f"/collections/{source}", CONFIG)
    put(node, f"/collections/{source}/points?wait=true", {"points": some_points(200)})
    put(node, f"/collections/{copy}", CONFIG)
    asked = ["--url", node.url, "--batch-size", "30"]
    assert main(["export", source, str(tmp_path / target), *asked]) == 0
    assert main(["import", copy, str(tmp_path / target), *asked]) == 0
    found = content(node, copy)
    assert len(found) == 200
    assert found == content(node, source)


def test_an_import_that_is_killed_goes_on_and_loses_nothing(node: LiveNode, tmp_path: Path) -> None:
    """SIGKILL as soon as the journal shows progress; then the same command again."""
    count = 100_000  # takes seconds, of which a hundredth will do
    np.save(tmp_path / "v.npy", RNG.normal(size=(count, 4)).astype(np.float32))
    put(node, "/collections/killed", {"vectors": {"size": 4, "distance": "Dot"}})
    journal = tmp_path / "journal"
    arguments = ["import", "killed", str(tmp_path / "v.npy"), "--url", node.url, "--batch-size", "50"]
    arguments += ["--resume", str(journal)]
    process = subprocess.Popen(
        [sys.executable, "-m", "vecraft.cli", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    def position() -> int:
        return json.loads(journal.read_bytes())["progress"]["position"] if journal.exists() else 0

    wait_for(lambda: position() > 0 or process.poll() is not None, what="progress")
    assert process.poll() is None, "it ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < position() < count
    assert main(arguments) == 0
    assert not journal.exists()
    answer = httpx.post(f"{node.url}/collections/killed/points/count", json={"exact": True})
    assert answer.json()["result"]["count"] == count
