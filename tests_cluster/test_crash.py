"""A node that is killed under load keeps every write it acknowledged, and nothing it acknowledged as
deleted comes back.

``make crash ROUNDS=200`` runs many rounds, ``SEED=n`` repeats one run; the default is short enough for
every test run. Rounds share one storage, so damage that shows only later is found too.
"""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path
from typing import Any

import httpx

from tests.live import LiveNode
from tests_cluster.ledger import DIM, Json, Writer, vector_of

ROUNDS = int(os.environ.get("CRASH_ROUNDS") or 6)
SEED = int(os.environ.get("CRASH_SEED") or random.SystemRandom().randint(1, 10**6))
WRITERS = 4
POINTS_PER_WRITER = 300
RUN_S = (0.2, 2.0)
COLLECTION = "crash"
ENVIRONMENT = {
    "VECRAFT__STORAGE__WAL__WAL_CAPACITY_MB": "1",
    "VECRAFT__STORAGE__OPTIMIZERS__INDEXING_THRESHOLD": "8",  # KiB: graphs are built while we write
    "VECRAFT__STORAGE__OPTIMIZERS__FLUSH_INTERVAL_SEC": "1",
}


def test_acknowledged_writes_survive_kill_9(tmp_path: Path) -> None:
    print(f"seed {SEED}: repeat with `make crash ROUNDS={ROUNDS} SEED={SEED}`")
    rng = random.Random(SEED)
    with LiveNode(tmp_path / "node", environment=ENVIRONMENT) as node:
        create(node)
        writers = [make_writer(node, owner, rng) for owner in range(WRITERS)]
        for number in range(ROUNDS):
            one_round(node, writers, run_s=rng.uniform(*RUN_S))
            print(
                f"round {number}: {sum(writer.acknowledged for writer in writers)} writes so far", flush=True
            )
        assert all(writer.acknowledged > ROUNDS for writer in writers)


def create(node: LiveNode) -> None:
    body = {"vectors": {"size": DIM, "distance": "Euclid"}}
    assert httpx.put(f"{node.url}/collections/{COLLECTION}", json=body, timeout=30).status_code == 200
    for field, schema in (("owner", "integer"), ("version", "integer")):
        index = {"field_name": field, "field_schema": schema}
        url = f"{node.url}/collections/{COLLECTION}/index?wait=true"
        assert httpx.put(url, json=index, timeout=30).status_code == 200


def make_writer(node: LiveNode, owner: int, rng: random.Random) -> Writer:
    return Writer(
        owner=owner,
        first=owner * 1000,
        count=POINTS_PER_WRITER,
        rng=random.Random(rng.random()),
        url=node.url,
        collection=COLLECTION,
    )


def one_round(node: LiveNode, writers: list[Writer], *, run_s: float) -> None:
    failures: list[BaseException] = []

    def work(writer: Writer) -> None:
        try:
            writer.run_until_broken()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(writer,)) for writer in writers]
    for thread in threads:
        thread.start()
    time.sleep(run_s)  # the moment of death is the point
    node.kill()
    for thread in threads:
        thread.join()
    assert not failures, failures
    node.start()
    check(node, writers)


def check(node: LiveNode, writers: list[Writer]) -> None:
    with httpx.Client(base_url=f"{node.url}/collections/{COLLECTION}", timeout=60) as http:
        found = everything(http)
        known = {point_id for writer in writers for point_id in writer.allowed}
        assert set(found) <= known
        for writer in writers:
            writer.settle(found)
        assert post(http, "/points/count", {"exact": True})["count"] == len(found)
        for writer in writers:
            searches_answer(http, writer)


def searches_answer(http: httpx.Client, writer: Writer) -> None:
    """Every living point is its own nearest neighbour, by graph and exactly."""
    living = [point_id for point_id in writer.allowed if writer.state(point_id) is not None]
    for point_id in living[:3]:
        state = writer.state(point_id)
        assert state is not None
        query = vector_of(point_id, state.version)
        for exact in (False, True):
            body = {"query": query, "limit": 1, "params": {"exact": exact}}
            assert post(http, "/points/query", body)["points"][0]["score"] == 0.0
    owned = {"filter": {"must": [{"key": "owner", "match": {"value": writer.owner}}]}, "exact": True}
    assert post(http, "/points/count", owned)["count"] == len(living)


def everything(http: httpx.Client) -> dict[int, Json]:
    found: dict[int, Json] = {}
    offset: int | None = 0
    while offset is not None:
        page = post(http, "/points/scroll", {"limit": 500, "offset": offset, "with_vector": True})
        found |= {record["id"]: record for record in page["points"]}
        offset = page["next_page_offset"]
    return found


def post(http: httpx.Client, path: str, body: object) -> Any:
    answer = http.post(path, json=body)
    assert answer.status_code == 200, f"{path}: {answer.text}"
    return answer.json()["result"]
