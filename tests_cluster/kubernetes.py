"""An installation of the chart without a cluster to install it into: its pods are processes.

::

    with Network(8) as network, installed(tmp_path, network, {"replicaCount": 3}) as release:
        release.wait_ready()
        release.scale(5)
        release.restart()               # one pod after another, from the highest ordinal
        release.lose(1)                 # a machine with the pod's disk
        release.evict(0)                # as draining a machine asks; the disruption budget may refuse

What the chart renders is taken at its word: the StatefulSet's template, claims, ConfigMap, Secret and
budget, the routers' Deployment if there is one (``routers``, by name), and which of both the Service selects.
A pod that is made anew has another address, and names lead there at once (`/etc/hosts` of each namespace).
Who may take traffic is what readiness probes say, and that is known ``ENDPOINTS_LAG_S`` later.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.deploy.kubernetes_api import KubernetesApi, kubernetes_api
from tests.deploy.rendering import Manifest, container, each, one, rendered
from tests.live import Program, wait_for
from tests_cluster.containers import expanded, image
from tests_cluster.kubelet import Pod
from tests_cluster.network import Network, NetworkNode
from vecraft.ending import EXIT_REMOVED

RELEASE, NAMESPACE = "vecraft", "default"
RECONCILE_S = 0.05
ENDPOINTS_LAG_S = 1.0
LOG_TAIL = 8_000
Values = Mapping[str, Any]


class Installation:
    """``programs``: the code that an image's tag stands for; another tag is this checkout's.
    ``secrets``: the files of Secrets that somebody else makes, by name.
    """

    def __init__(
        self,
        directory: Path,
        network: Network,
        api: KubernetesApi,
        values: Values,
        programs: Mapping[str, Program] | None = None,
        secrets: Mapping[str, Mapping[str, bytes]] | None = None,
    ) -> None:
        self.pods: dict[int, Pod] = {}
        self.routers: dict[str, Pod] = {}
        self.history: list[Pod] = []  # every one there ever was
        self._directory, self._network, self._api = directory, network, api
        self._programs, self._secrets = dict(programs or {}), dict(secrets or {})
        self._free: deque[NetworkNode] = deque(network)
        self._lock = threading.RLock()
        self._restarts = self._router_number = 0
        self._endpoints: list[Pod] = []
        self._coming: deque[tuple[float, list[Pod]]] = deque()
        self._stop = threading.Event()
        self._values: dict[str, Any] = {}
        self.upgrade(values)
        self._thread = threading.Thread(target=self._run, name="statefulset", daemon=True)
        self._thread.start()

    # --- what an operator does --------------------------------------------------------------------------

    def upgrade(self, values: Values) -> None:
        """``helm upgrade --reuse-values``; keys that were generated are kept."""
        with self._lock:
            self._values = _merged(self._values, values)
            self._manifests = rendered(self._values, name=RELEASE, namespace=NAMESPACE)
            self._template = one(self._manifests, "StatefulSet")["spec"]
            if "apiKey" not in self._values:
                self._values["apiKey"] = self.secret("api-key")
                self._values["readOnlyApiKey"] = self.secret("read-only-api-key")
                self._manifests = rendered(self._values, name=RELEASE, namespace=NAMESPACE)
                self._template = one(self._manifests, "StatefulSet")["spec"]
            deployments = each(self._manifests, "Deployment")
            self._router_template = deployments[0]["spec"] if deployments else None
            self._api.replicas = self._template["replicas"]

    def scale(self, replicas: int) -> None:
        self.upgrade({"replicaCount": replicas})

    def scale_routers(self, replicas: int) -> None:
        """As an autoscaler does."""
        self.upgrade({"router": {"replicas": replicas}})

    def crash_router(self) -> str:
        """kill -9 of a router's process; its container is started again. Returns: the pod's name."""
        name, pod = next((name, pod) for name, pod in sorted(self.routers.items()) if pod.ready)
        pod.crash()
        self.wait_for(lambda: not pod.ready, seconds=10, what=f"{name} to be missed")
        return name

    def restart(self) -> None:
        """``kubectl rollout restart``."""
        with self._lock:
            self._restarts += 1

    def lose(self, ordinal: int) -> None:
        """The pod's machine is gone, and the pod's disk with it."""
        with self._lock:
            pod = self.pods[ordinal]
            pod.vanish()
            shutil.rmtree(self._claim(pod.name, "storage"))

    def stop_all(self, *, lost: Sequence[int] = ()) -> None:
        """All pods at once, as when a cluster is switched off; the disks of ``lost`` are gone afterwards.

        They are made anew, at other addresses.
        """
        with self._lock:
            for pod in self.pods.values():
                pod.terminate()
            for pod in self.pods.values():
                pod.gone.wait()
            for ordinal in lost:
                shutil.rmtree(self._claim(self.pods[ordinal].name, "storage"))

    def crash(self, ordinal: int) -> None:
        """kill -9 of the process; the pod, its address and its disk stay."""
        pod = self.pods[ordinal]
        pod.crash()
        self.wait_for(lambda: not pod.ready, seconds=10, what=f"{pod.name} to be missed")

    def evict(self, ordinal: int) -> bool:
        """Returns: whether the disruption budget allowed it."""
        budget = one(self._manifests, "PodDisruptionBudget", RELEASE)["spec"]
        with self._lock:
            healthy = sum(pod.ready for pod in self.pods.values())
            missing = self._template["replicas"] - healthy
            if self.pods[ordinal].ready and missing + 1 > budget["maxUnavailable"]:
                return False
            self.pods[ordinal].terminate()
            return True

    def secret(self, key: str) -> str:
        return _secret(one(self._manifests, "Secret", f"{RELEASE}-keys"), key)

    # --- what it comes to -------------------------------------------------------------------------------

    def ready(self) -> list[Pod]:
        """Pods that the Service selects and that may take traffic."""
        with self._lock:
            among = self.routers if self._service_selects_routers() else self.pods
            return [pod for _, pod in sorted(among.items()) if pod.ready]  # type: ignore[type-var]

    def _service_selects_routers(self) -> bool:
        selector = one(self._manifests, "Service", RELEASE)["spec"]["selector"]
        template = self._router_template
        return template is not None and selector == template["selector"]["matchLabels"]

    def endpoints(self) -> list[Pod]:
        """Where the service sends new connections."""
        with self._lock:
            return list(self._endpoints)

    def wait_ready(self, *, seconds: float = 60.0) -> None:
        """All pods that are wanted, and no other, are there, of the latest revision, and ready."""

        def settled() -> bool:
            with self._lock:
                wanted, revision = self._template["replicas"], self._revision()
                good = [pod for pod in self.pods.values() if pod.ready and pod.revision == revision]
                routers = [pod for pod in self.routers.values() if pod.ready]
                wanted_routers = self._wanted_routers()
                served = wanted_routers if self._service_selects_routers() else wanted
                return (
                    len(good) == len(self.pods) == wanted
                    and len(routers) == len(self.routers) == wanted_routers
                    and len(self._endpoints) == served
                )

        self.wait_for(settled, seconds=seconds, what="the pods to be ready")

    def wait_for(self, condition: Callable[[], Any], *, seconds: float, what: str) -> None:
        try:
            wait_for(condition, seconds=seconds, what=what)
        except AssertionError as error:
            for pod in (*self.pods.values(), *self.routers.values()):
                error.add_note(f"{pod.name}: ready {pod.ready}, ends {pod.ends}")
            raise

    def assert_ended_well(self) -> None:
        """Each container that ended did so once, and by itself: as it was told, or since it had left."""
        for pod in self.history:
            assert pod.ends in ([], [0], [EXIT_REMOVED]), f"{pod.name} at {pod.node.address}: {pod.ends}"

    # --- the StatefulSet's controller -------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.wait(RECONCILE_S):
            with self._lock:
                self._reconcile()
                self._publish()

    def _reconcile(self) -> None:
        wanted = self._template["replicas"]
        for ordinal, pod in list(self.pods.items()):
            if pod.gone.is_set():
                del self.pods[ordinal]
                self._free.append(pod.node)
                self._write_hosts()
            elif ordinal >= wanted and not pod.terminating:
                pod.terminate()
        for ordinal in range(wanted):
            if ordinal not in self.pods:
                self._create(ordinal)
        self._update(wanted)

        self._reconcile_routers()

    def _reconcile_routers(self) -> None:
        """The Deployment's: as many as wanted, each under a new name; who is too many goes."""
        for name, pod in list(self.routers.items()):
            if pod.gone.is_set():
                del self.routers[name]
                self._free.append(pod.node)
        staying = [pod for _, pod in sorted(self.routers.items()) if not pod.terminating]
        wanted = self._wanted_routers()
        for pod in staying[wanted:]:
            pod.terminate()
        for _ in range(wanted - len(staying)):
            assert self._router_template is not None
            self._router_number += 1
            name = f"{RELEASE}-router-{self._router_number}"
            self.routers[name] = self._start(name, self._router_template["template"], "")

    def _wanted_routers(self) -> int:
        return 0 if self._router_template is None else int(self._router_template["replicas"])

    def _update(self, wanted: int) -> None:
        """One after another, from the highest ordinal, each when those before are ready."""
        for ordinal in reversed(range(wanted)):
            pod = self.pods[ordinal]
            if pod.revision != self._revision():
                if not pod.terminating:
                    pod.terminate()
                return
            if not pod.ready:
                return

    def _revision(self) -> str:
        text = json.dumps([self._template["template"], self._restarts], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _publish(self) -> None:
        now, found = time.monotonic(), self.ready()
        latest = self._coming[-1][1] if self._coming else self._endpoints
        if found != latest:
            self._coming.append((now + ENDPOINTS_LAG_S, found))
        while self._coming and self._coming[0][0] <= now:
            self._endpoints = self._coming.popleft()[1]

    # --- pods -------------------------------------------------------------------------------------------

    def _create(self, ordinal: int) -> None:
        name = f"{RELEASE}-{ordinal}"
        self.pods[ordinal] = self._start(name, self._template["template"], self._revision())
        self._write_hosts()

    def _start(self, name: str, template: Manifest, revision: str) -> Pod:
        spec, node = template["spec"], self._free.popleft()
        assert not spec.get("initContainers"), "these are not played"
        own = self._directory / "pods" / f"{name}-{len(self.history)}"
        pod = Pod(
            name,
            spec,
            revision=revision,
            node=node,
            variables=self._variables(name, template),
            volumes=self._volumes(name, spec, own),
            log=self._directory / f"{name}.log",
        )
        self.history.append(pod)
        return pod

    def _claim(self, pod: str, claim: str) -> Path:
        return self._directory / "claims" / f"{claim}-{pod}"

    def _volumes(self, pod: str, spec: Manifest, own: Path) -> dict[str, Path]:
        folders = {
            claim["metadata"]["name"]: self._claim(pod, claim["metadata"]["name"])
            for claim in self._template.get("volumeClaimTemplates", ())
            if not any(volume["name"] == claim["metadata"]["name"] for volume in spec.get("volumes", ()))
        }
        for volume in spec.get("volumes", ()):
            name = volume["name"]
            folders[name] = self._api.account if "projected" in volume else own / name
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        for volume in spec.get("volumes", ()):
            if "configMap" in volume:
                data = one(self._manifests, "ConfigMap", volume["configMap"]["name"])["data"]
                for file, text in data.items():
                    (folders[volume["name"]] / file).write_text(text)
            if "secret" in volume:
                for file, content in self._secrets[volume["secret"]["secretName"]].items():
                    (folders[volume["name"]] / file).write_bytes(content)
        return folders

    def _variables(self, pod: str, template: Manifest) -> dict[str, str]:
        spec = container(self._pod_of(template))
        program = self._programs.get(spec["image"].rpartition(":")[2], Program())
        found = {**image(program, self._directory / "bin" / program.root.name), **self._api.environment}
        fields = {"metadata.name": pod, "metadata.namespace": NAMESPACE, "spec.nodeName": f"machine-of-{pod}"}
        for variable in spec.get("env", ()):
            source = variable.get("valueFrom")
            if source is None:
                found[variable["name"]] = expanded(variable["value"], found)
            elif "fieldRef" in source:
                found[variable["name"]] = fields.get(source["fieldRef"]["fieldPath"], "")
            else:
                key = source["secretKeyRef"]
                found[variable["name"]] = _secret(one(self._manifests, "Secret", key["name"]), key["key"])
        return found

    @staticmethod
    def _pod_of(template: Manifest) -> Manifest:
        return {"spec": template["spec"]}

    # --- names ------------------------------------------------------------------------------------------

    def _write_hosts(self) -> None:
        """In place: what is mounted over /etc/hosts is the file, not its name."""
        domain = f"{self._template['serviceName']}.{NAMESPACE}.svc.cluster.local"
        lines = ["127.0.0.1 localhost"]
        lines += [f"{pod.node.address} {pod.name}.{domain}" for pod in self.pods.values()]
        for node in self._network:
            node.hosts.write_text("\n".join([*lines, ""]))

    # --- the end ----------------------------------------------------------------------------------------

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        for pod in (*self.pods.values(), *self.routers.values()):
            if not pod.gone.is_set():
                pod.vanish()

    def show_logs(self) -> None:
        for path in sorted(self._directory.glob("*.log")):
            print(f"--- {path.name}\n{path.read_text(errors='replace')[-LOG_TAIL:]}")


@contextmanager
def installed(
    directory: Path,
    network: Network,
    values: Values,
    programs: Mapping[str, Program] | None = None,
    secrets: Mapping[str, Mapping[str, bytes]] | None = None,
) -> Iterator[Installation]:
    with ExitStack() as stack:
        api = stack.enter_context(
            kubernetes_api(directory / "api", host=network.host_address, name=RELEASE, namespace=NAMESPACE)
        )
        for node in network:
            stack.enter_context(node.own_hosts())
        release = Installation(directory, network, api, values, programs, secrets)
        stack.callback(release.close)
        try:
            yield release
        except BaseException:
            release.show_logs()
            raise


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    both = {**old, **new}
    for name in old.keys() & new.keys():
        if isinstance(old[name], Mapping) and isinstance(new[name], Mapping):
            both[name] = _merged(old[name], new[name])
    return both


def _secret(manifest: Manifest, key: str) -> str:
    text: str | None = manifest.get("stringData", {}).get(key)
    return text if text is not None else base64.b64decode(manifest["data"][key]).decode()
