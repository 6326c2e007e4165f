"""Damage that storage may suffer: a torn tail, flipped bits, a full disk, a second process.

In each case the node starts and says what is wrong (collection ``red``, writes refused); it never ends
in a loop of crashes, never loses an acknowledged write in silence, and never spoils its other collections.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live import LiveNode, wait_for

DIM = 8
POINTS = 200
Json = dict[str, Any]


class Api:
    def __init__(self, node: LiveNode) -> None:
        self.http = httpx.Client(base_url=node.url, timeout=60)

    def close(self) -> None:
        self.http.close()

    def create(self, name: str, **options: Any) -> None:
        body = {"vectors": {"size": DIM, "distance": "Euclid"}, **options}
        assert self.http.put(f"/collections/{name}", json=body).status_code == 200

    def upsert(self, name: str, ids: range, *, note: str = "") -> httpx.Response:
        points = [{"id": i, "vector": vector_of(i), "payload": {"n": i, "note": note}} for i in ids]
        return self.http.put(f"/collections/{name}/points?wait=true", json={"points": points})

    def fill(self, name: str) -> None:
        for start in range(0, POINTS, 50):
            assert self.upsert(name, range(start, start + 50)).status_code == 200

    def info(self, name: str) -> Json:
        answer = self.http.get(f"/collections/{name}")
        assert answer.status_code == 200, answer.text
        result: Json = answer.json()["result"]
        return result

    def count(self, name: str) -> httpx.Response:
        return self.http.post(f"/collections/{name}/points/count", json={"exact": True})

    def scroll(self, name: str) -> httpx.Response:
        body = {"limit": 10_000, "with_vector": True}
        return self.http.post(f"/collections/{name}/points/scroll", json=body)


def vector_of(point_id: int) -> list[float]:
    return [float((point_id * 7 + i * 3) % 29) for i in range(DIM)]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[LiveNode]:
    with LiveNode(tmp_path / "node") as live:
        yield live


@pytest.fixture
def api(node: LiveNode) -> Iterator[Api]:
    with contextlib.closing(Api(node)) as found:
        for name in ("harmed", "sound"):
            found.create(name)
            found.fill(name)
        yield found


def shard(node: LiveNode, name: str = "harmed") -> Path:
    return node.storage / "collections" / name / "0"


def last_wal_file(node: LiveNode) -> Path:
    return max(
        (path for path in (shard(node) / "wal").iterdir() if path.is_file()), key=lambda path: path.name
    )


def flip_bit(path: Path, *, at: float) -> None:
    """``at``: how far into the file, from 0 to 1."""
    data = bytearray(path.read_bytes())
    data[int((len(data) - 1) * at)] ^= 0x10
    path.write_bytes(data)


def assert_sound(api: Api, name: str) -> None:
    records = api.scroll(name).json()["result"]["points"]
    assert {record["id"]: record["vector"] for record in records} == {i: vector_of(i) for i in range(POINTS)}


def assert_refused(api: Api) -> None:
    """The harmed collection says so, and neither answers from half of its data nor takes more."""
    info = api.info("harmed")
    assert info["status"] == "red"
    assert info["optimizer_status"] != "ok"
    for answer in (api.count("harmed"), api.scroll("harmed"), api.upsert("harmed", range(5))):
        assert answer.status_code >= 500, answer.text
        assert answer.json()["status"]["error"]


def test_half_a_record_at_the_end_of_the_log_is_cut_off(node: LiveNode, api: Api) -> None:
    node.kill()
    with last_wal_file(node).open("ab") as file:
        file.write(bytes([200, 0, 0, 0, 1, 2, 3]))
    node.start()
    assert_sound(api, "harmed")
    assert api.upsert("harmed", range(POINTS, POINTS + 1)).status_code == 200
    node.restart()
    assert api.count("harmed").json()["result"]["count"] == POINTS + 1


def test_a_flipped_bit_in_the_log_turns_the_collection_red(node: LiveNode, api: Api) -> None:
    """Before any checkpoint, so that the log is needed; a bit in the middle is no torn tail."""
    node.kill()
    flip_bit(last_wal_file(node), at=0.4)
    node.start()
    assert_refused(api)
    assert_sound(api, "sound")
    node.restart()
    assert_refused(api)
    assert api.http.delete("/collections/harmed").json()["result"] is True
    api.create("harmed")
    api.fill("harmed")
    assert_sound(api, "harmed")


@pytest.mark.parametrize("part", ["points.mdb", "segment.json"])
def test_a_damaged_file_of_the_checkpoint_turns_the_collection_red(
    node: LiveNode, api: Api, part: str
) -> None:
    api.http.patch("/collections/harmed", json={"optimizers_config": {"indexing_threshold": 1}})
    wait_for(lambda: api.info("harmed")["indexed_vectors_count"] == POINTS, what="a sealed segment")
    node.stop()
    damaged = list(shard(node).rglob(part))
    assert damaged
    for path in damaged:
        path.write_bytes(b"\0" * min(path.stat().st_size, 16384))
    node.start()
    assert_refused(api)
    assert_sound(api, "sound")


def test_a_storage_is_used_by_one_process_at_a_time(node: LiveNode) -> None:
    second = LiveNode(node.directory)
    assert second.launch().wait() == 1
    assert "in use by another process" in second.log()
    assert httpx.get(f"{node.url}/readyz").status_code == 200


# --- a full disk --------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk(directory: Path, *, mib: int) -> Iterator[None]:
    """A file system of its own. Needs root and the right to mount."""
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(directory)]
    subprocess.run(mount, check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(directory)], check=True)


def test_a_full_disk_refuses_writes_and_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, mib=48):
        ballast = disk / "ballast"
        with LiveNode(disk / "node") as node, contextlib.closing(Api(node)) as api:
            api.create("filled")
            acknowledged = fill_until_refused(api, ballast)
            assert acknowledged > 0
            assert httpx.get(f"{node.url}/readyz").status_code == 200
            ballast.unlink()
            node.restart()
            found = {record["id"] for record in api.scroll("filled").json()["result"]["points"]}
            assert set(range(acknowledged)) <= found
            wait_for(lambda: api.upsert("filled", range(1)).status_code == 200, what="writes to work again")
            node.stop()


def fill_until_refused(api: Api, ballast: Path) -> int:
    """Fill the disk beside the node, then write until it refuses; returns how many ids it took."""
    assert api.upsert("filled", range(10)).status_code == 200
    free = shutil.disk_usage(ballast.parent).free
    with ballast.open("wb") as file:
        file.write(b"\0" * max(0, free - 2 * 1024 * 1024))
    done = 10
    for start in range(done, 6_000, 10):
        answer = api.upsert("filled", range(start, start + 10), note="x" * 20_000)
        if answer.status_code != 200:
            assert answer.status_code in (500, 507), answer.text
            assert answer.json()["status"]["error"].startswith(
                ("Insufficient storage: ", "Service internal error: ")
            )
            return done
        done = start + 10
    raise AssertionError("the disk never became full")
