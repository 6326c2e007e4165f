"""What a vector takes: bytes of disk, of private memory, and of files that searches want in the page cache.

One server per dimension and quantization, with points that have no payload; every vector has its place in a
graph. Disk is measured after a clean stop, memory after the next start and some hundred searches, above
what an empty server takes. So it can be multiplied: by the points, and by the replicas.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import Struct

from vecraft.bench.data import generate
from vecraft.bench.quality import upsert_body
from vecraft.bench.report import Measurement, Report
from vecraft.bench.server import Server, wait_green

QUANTIZATIONS: dict[str, Any] = {
    "none": None,
    "scalar": {"scalar": {"type": "int8"}},
    "product": {"product": {"compression": "x16"}},
    "binary": {"binary": {}},
    "turbo": {"turbo": {}},
}
_COLLECTION = "sizes"
_BATCH_BYTES = 4 << 20
_SEARCHES = 300
_GREEN_TIMEOUT_S = 7200.0


class SizesPlan(Struct, frozen=True):
    points: int
    dims: tuple[int, ...]
    quantizations: tuple[str, ...]
    folder: Path


class _Sizes(Struct, frozen=True):
    """Bytes, of all points together. ``walked``: of the graph and its codes."""

    disk: int
    vectors: int
    walked: int
    private: int


def measure(plan: SizesPlan) -> Report:
    empty = _private_of_an_empty_server(plan.folder / "empty")
    measurements = []
    for dim in plan.dims:
        for name in plan.quantizations:
            found = _measure(plan.folder / f"{dim}-{name}", plan.points, dim, QUANTIZATIONS[name])
            for what, value in (
                ("disk", found.disk),
                ("of it the vectors", found.vectors),
                ("of it graph and codes", found.walked),
                ("private memory", max(0, found.private - empty)),
            ):
                measurements.append(Measurement(f"{dim}, {name}: {what}", value / plan.points, "B/vector"))
    facts = {"data": f"generated, {plan.points:,} points without payload", "empty server": f"{empty:,} B"}
    return Report("sizes: what a vector takes", facts, measurements)


def _private_of_an_empty_server(folder: Path) -> int:
    with Server(folder) as server:
        server.start()
        return _private_bytes(server.pid)


def _measure(folder: Path, points: int, dim: int, quantization: Any) -> _Sizes:
    with Server(folder) as server:
        server.start()
        _fill(server, points, dim, quantization)
        server.terminate()
        disk = sum(path.stat().st_blocks * 512 for path in (folder / "storage").rglob("*") if path.is_file())
        server.start()
        queries = next(generate(_SEARCHES, dim, seed=1))
        client = server.client()
        for query in queries:
            client.call("POST", f"/collections/{_COLLECTION}/points/query", {"query": query, "limit": 10})
        private = _private_bytes(server.pid)
        (part,) = client.call("GET", f"/collections/{_COLLECTION}/memory")["vectors"]
        client.close()
        server.terminate()
    return _Sizes(disk, part["storage"]["disk_bytes"], part["index"]["disk_bytes"], private)


def _fill(server: Server, points: int, dim: int, quantization: Any) -> None:
    path, rows = f"/collections/{_COLLECTION}", [*generate(points, dim, seed=0)]
    client = server.client()  # now: one that is silent for long is closed
    optimizers = {"indexing_threshold": 1, "default_segment_number": 1}
    body = {"vectors": {"size": dim, "distance": "Cosine"}, "optimizers_config": optimizers}
    client.call("PUT", path, body | ({"quantization_config": quantization} if quantization else {}))
    stored, batch = 0, max(1, _BATCH_BYTES // (dim * 4))
    for block in rows:
        for start in range(0, len(block), batch):
            part = block[start : start + batch]
            client.send("PUT", f"{path}/points?wait=true", upsert_body(stored, part))
            stored += len(part)
    wait_green(client, _COLLECTION, indexed_at_least=points, timeout_s=_GREEN_TIMEOUT_S)
    client.close()


def _private_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("RssAnon:", "RssShmem:")))
