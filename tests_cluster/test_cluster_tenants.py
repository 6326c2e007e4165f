"""A tenant gets a shard of its own while its clients go on writing (reference 14.1, 14.7)."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests_cluster.cluster import Cluster, clustered
from tests_cluster.history import DIM, vector_of
from tests_cluster.view import Json, View

pytestmark = pytest.mark.slow

NAME = "tenants"
POINTS = 400
TENANT = {"must": [{"key": "tenant", "match": {"value": "big"}}]}
OWN = {"target": "big", "fallback": "others"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with clustered(tmp_path_factory.mktemp("tenants"), 3) as made:
        yield made


class TenantClient:
    """Overwrites the tenant's points in turn, through all nodes, and remembers what was acknowledged."""

    def __init__(self, cluster: Cluster, view: View) -> None:
        self._cluster, self._view = cluster, view
        self.acknowledged: dict[int, int] = {}
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> TenantClient:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        value = 1
        try:
            while not self._stop.is_set():
                point_id = 2 * (value * 7 % (POINTS // 2))
                points = [point(point_id, "big", value)]
                node = self._cluster[value % len(self._cluster)]
                write(self._view, node, {"points": points, "shard_key": OWN})
                self.acknowledged[point_id] = value
                value += 1
        except BaseException as error:
            self._failure = error


def point(point_id: int, tenant: str, value: int) -> Json:
    return {"id": point_id, "vector": vector_of(value), "payload": {"tenant": tenant, "value": value}}


def write(view: View, node: object, body: Json) -> None:
    view.call(node, "PUT", f"/collections/{NAME}/points", body, wait="true")  # type: ignore[arg-type]


def test_a_tenant_moves_into_a_shard_of_its_own_and_loses_nothing(cluster: Cluster, view: View) -> None:
    options = {"sharding_method": "custom", "shard_number": 1, "replication_factor": 2}
    view.create(NAME, replicas=0, vectors={"size": DIM, "distance": "Dot"}, **options)
    view.call(cluster[0], "PUT", f"/collections/{NAME}/shards", {"shard_key": "others"})
    mixed = [point(i, "small" if i % 2 else "big", 0) for i in range(POINTS)]
    write(view, cluster[0], {"points": mixed, "shard_key": OWN})
    target = {"shard_key": "big", "initial_state": "Partial", "shards_number": 1, "replication_factor": 1}
    view.call(cluster[1], "PUT", f"/collections/{NAME}/shards", target)
    assert "Partial" in view.states(cluster[1], NAME).values()
    with TenantClient(cluster, view) as client:
        cluster.wait_for(lambda: len(client.acknowledged) > 10, what="some writes")
        copy = {"filter": TENANT, "from_shard_key": "others", "to_shard_key": "big"}
        view.change(cluster[2], NAME, replicate_points=copy)
        view.wait_active(NAME, replicas=3)
        moved = len(client.acknowledged)
        cluster.wait_for(lambda: len(client.acknowledged) > moved + 20, what="writes to the new shard")
    expected = {i: client.acknowledged.get(i, 0) for i in range(0, POINTS, 2)}
    for node in cluster:
        assert view.values(node, NAME, shard_key="big") == expected
    gone = {"filter": TENANT, "shard_key": "others"}
    view.call(cluster[0], "POST", f"/collections/{NAME}/points/delete", gone, wait="true")
    for node in cluster:
        assert view.values(node, NAME, shard_key=OWN) == expected
        assert len(view.values(node, NAME)) == POINTS
