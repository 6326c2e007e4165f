"""The chart's jobs as processes beside its pods: a backup, what an installation restores, helm test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.rendering import Manifest, one, rendered
from tests.live import Program, wait_for
from tests_cluster.containers import Container, image
from tests_cluster.kubernetes import NAMESPACE, RELEASE, Installation, installed
from tests_cluster.network import Network, NetworkNode

pytestmark = pytest.mark.slow

JOB_S_MAX = 60.0
VALUES = {"replicaCount": 2, "terminationGracePeriodSeconds": 60, "backup": {"enabled": True, "keep": 1}}


class Jobs:
    """What Kubernetes would do with the pods of Jobs: their containers, one after another."""

    def __init__(self, release: Installation, machine: NetworkNode, directory: Path) -> None:
        self._release, self._machine, self._directory = release, machine, directory

    def run(self, pod: Mapping[str, Any], manifests: list[Manifest], *, url: str | None = None) -> str:
        """Returns: what they said. ``url``: instead of the Service's, whose name leads nowhere here."""
        volumes, log = self._volumes(pod, manifests), self._directory / "job.log"
        for spec in [*pod.get("initContainers", ()), *pod["containers"]]:
            container = Container(spec, self._machine, self._variables(spec, url), volumes)
            status = container.launch(container.command, log).wait(JOB_S_MAX)
            assert status == 0, f"{' '.join(container.command)}: {status}\n{log.read_text()}"
        return log.read_text()

    def _variables(self, spec: Manifest, url: str | None) -> dict[str, str]:
        found = image(Program(), self._directory / "bin")
        for variable in spec["env"]:
            secret = variable.get("valueFrom", {}).get("secretKeyRef")
            name = variable["name"]
            found[name] = self._release.secret(secret["key"]) if secret else variable["value"]
        return found if url is None else {**found, "VECRAFT_URL": url}

    def _volumes(self, pod: Mapping[str, Any], manifests: list[Manifest]) -> dict[str, Path]:
        folders = {}
        for volume in pod["volumes"]:
            folder = folders[volume["name"]] = self._directory / "volumes" / volume["name"]
            folder.mkdir(parents=True, exist_ok=True)
            if "configMap" in volume:
                for name, text in one(manifests, "ConfigMap", volume["configMap"]["name"])["data"].items():
                    (folder / name).write_text(text)
        return folders


@pytest.fixture
def network() -> Iterator[Network]:
    with Network(4) as made:
        yield made


def test_jobs_back_up_restore_and_test(network: Network, tmp_path: Path) -> None:
    *machines, own = network
    with installed(tmp_path, network, VALUES) as release:
        assert len(machines) > 2
        release.wait_ready()
        jobs = Jobs(release, own, tmp_path)
        key = {"api-key": release.secret("api-key")}
        with httpx.Client(base_url=release.pods[0].url(), headers=key, timeout=30) as http:
            _fill(http)
            for _ in range(2):
                jobs.run(_pod(_manifests(), "CronJob"), [])
            (backup,) = http.get("/cluster/backups").json()["result"]["backups"]  # the older one is pruned
            snapshot = http.post("/collections/docs/snapshots").json()["result"]["name"]
            assert http.delete("/collections/docs").json()["result"] is True
            file = f"/vecraft/storage/snapshots/docs/{snapshot}"
            restoring = _manifests(
                restore={"backup": backup},
                snapshotRestoration={"enabled": True, "pvcName": "x", "snapshots": [f"{file}:copy"]},
            )
            jobs.run(_pod(restoring, "Job"), restoring)
            for name in ("docs", "copy"):
                wait_for(lambda name=name: _count(http, name) == 50, what=f"the points of {name}")
            test = _manifests()
            said = jobs.run(one(test, "Pod")["spec"], test, url=release.pods[1].url())
            assert "2 peers" in said or "vecraft-1" in said, said
            names = {each["name"] for each in http.get("/collections").json()["result"]["collections"]}
            assert names == {"docs", "copy"}


def _manifests(**values: Any) -> list[Manifest]:
    return rendered({**VALUES, **values}, name=RELEASE, namespace=NAMESPACE)


def _pod(manifests: list[Manifest], kind: str) -> Mapping[str, Any]:
    spec = one(manifests, kind)["spec"]
    spec = spec["jobTemplate"]["spec"] if kind == "CronJob" else spec
    return spec["template"]["spec"]


def _fill(http: httpx.Client) -> None:
    body = {"vectors": {"size": 2, "distance": "Dot"}, "shard_number": 2}
    assert http.put("/collections/docs", json=body).status_code == 200
    points = [{"id": number, "vector": [number, 1.0]} for number in range(50)]
    assert http.put("/collections/docs/points?wait=true", json={"points": points}).status_code == 200


def _count(http: httpx.Client, name: str) -> int | None:
    answer = http.post(f"/collections/{name}/points/count", json={"exact": True})
    return answer.json()["result"]["count"] if answer.status_code == 200 else None
