"""A backup of a cluster is one consistent cut, brings what is new, and fits a cluster of another size."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests_cluster.cluster import Cluster, ClusterNode, clustered
from tests_cluster.history import DIM
from tests_cluster.view import View

pytestmark = pytest.mark.slow

COLLECTIONS = ("a", "b")  # written in turn
WRITERS = 3
BACKUPS = 4
FAILING = 2  # of these, by number: a node is killed meanwhile
TRIES = 10


class Writer:
    """Writes its numbers one after another, each when the one before was acknowledged: to other collections
    and shards each time."""

    def __init__(self, node: ClusterNode, index: int) -> None:
        self.node, self.index, self.acknowledged = node, index, 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        with httpx.Client(base_url=self.node.url, timeout=30) as client:
            number = 1
            while not self._ended.is_set():
                point = {"id": id_of(self.index, number), "vector": [1.0] * DIM}
                path = f"/collections/{COLLECTIONS[number % 2]}/points?wait=false"
                with contextlib.suppress(httpx.TransportError):  # then the same number is tried again
                    if client.put(path, json={"points": [point]}).status_code == 200:
                        self.acknowledged = number
                        number += 1


def id_of(writer: int, number: int) -> int:
    return writer * 1_000_000 + number


@contextmanager
def writing(cluster: Cluster) -> Iterator[list[Writer]]:
    writers = [Writer(cluster[index], index) for index in range(WRITERS)]
    try:
        yield writers
    finally:
        for writer in writers:
            writer.end()


@contextmanager
def failing(node: ClusterNode) -> Iterator[None]:
    """The node is killed a moment later, and comes back: some shards get other primaries."""
    killing = threading.Timer(0.05, node.kill)
    killing.start()
    yield
    killing.join()
    node.start()


def stored_bytes(node: ClusterNode) -> int:
    folder = node.directory / "snapshots/backups/contents"
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def taken(view: View, node: ClusterNode) -> str:
    for _ in range(TRIES):
        answer = view.request(node, "POST", "/cluster/backups", timeout_s=60)
        if answer.status_code == 200:
            return str(answer.json()["result"]["name"])
        assert answer.status_code == 503, answer.text  # no cut while primaries change
    raise AssertionError("no backup")


def restored(view: View, node: ClusterNode, name: str) -> set[int]:
    """The ids of all points."""
    assert view.call(node, "POST", f"/cluster/backups/{name}/recover", timeout_s=60) is True
    found: set[int] = set()
    for collection in COLLECTIONS:
        view.wait_active(collection)
        whole = {"limit": 1_000_000, "with_payload": False}
        page = view.call(node, "POST", f"/collections/{collection}/points/scroll", whole)
        found |= {point["id"] for point in page["points"]}
    return found


def check_cut(found: set[int], known: list[int], backup: str) -> None:
    """Of each writer the first so many, and all that were acknowledged before the call."""
    for index, before in enumerate(known):
        numbers = sorted(one - index * 1_000_000 for one in found if one // 1_000_000 == index)
        assert numbers == list(range(1, len(numbers) + 1)), f"{backup}: a hole in writer {index}"
        assert len(numbers) >= before, f"{backup}: writer {index} misses what was acknowledged"


@pytest.mark.timeout(300)
def test_backups_under_writes_are_consistent_and_fit_a_larger_cluster(tmp_path: Path) -> None:
    options = {"vectors": {"size": DIM, "distance": "Dot"}, "shard_number": 4, "replication_factor": 2}
    backups: dict[str, list[int]] = {}
    with clustered(tmp_path / "three", 3) as cluster, View(cluster) as view:
        view.wait_joined(3)
        for name in COLLECTIONS:
            view.create(name, **options)
        with writing(cluster) as writers:
            for turn in range(BACKUPS):
                cluster.wait_for(
                    lambda turn=turn: all(one.acknowledged > 40 * (turn + 1) for one in writers),
                    what="writes",
                )
                known = [writer.acknowledged for writer in writers]
                with failing(cluster[1]) if turn == FAILING else contextlib.nullcontext():
                    backups[taken(view, cluster[0])] = known
        view.wait_joined(3)
        first = stored_bytes(cluster[0])
        taken(view, cluster[0])
        quiet = stored_bytes(cluster[0])
        taken(view, cluster[0])
        assert stored_bytes(cluster[0]) - quiet < quiet - first or quiet == first
        assert len(view.call(cluster[1], "GET", "/cluster/backups")["backups"]) == 0
        kept = tmp_path / "kept"
        shutil.copytree(cluster[0].directory / "snapshots/backups", kept)
    with clustered(tmp_path / "five", 5) as cluster, View(cluster) as view:
        view.wait_joined(5)
        shutil.copytree(kept, cluster[2].directory / "snapshots/backups")
        for name, known in backups.items():
            found = restored(view, cluster[2], name)
            check_cut(found, known, name)
            refused = view.request(cluster[2], "POST", f"/cluster/backups/{name}/recover")
            assert refused.status_code == 409
            for collection in COLLECTIONS:
                view.assert_replicas_equal(collection)
                view.drop(collection)
