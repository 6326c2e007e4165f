"""A pod on a machine: its container, its probes, and how it ends; what a kubelet does, as far as it matters.

Periods of probes are divided by ``HASTE``; thresholds and timeouts are the manifest's.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from tests_cluster.containers import Container, Json
from tests_cluster.network import NetworkNode

HASTE = 5.0
TICK_S = 0.05
RESTART_S = 1.0  # until a container that ended is started again


class Probe:
    """One probe of a container; ``passed`` None until it has reached a threshold."""

    def __init__(
        self, spec: Json, address: str, ports: Mapping[str, int], *, default_failures: int = 3
    ) -> None:
        get = spec["httpGet"]
        port = ports.get(get["port"], get["port"]) if isinstance(get["port"], str) else get["port"]
        self._url = f"{get.get('scheme', 'HTTP').lower()}://{address}:{port}{get['path']}"
        self._period_s = spec.get("periodSeconds", 10) / HASTE
        self._timeout_s = spec.get("timeoutSeconds", 1)
        self._failures = spec.get("failureThreshold", default_failures)
        self._due_s = time.monotonic() + spec.get("initialDelaySeconds", 0) / HASTE
        self._failed = 0
        self.passed: bool | None = None

    def look(self, client: httpx.Client) -> None:
        """Ask, if it is time to."""
        if time.monotonic() < self._due_s:
            return
        self._due_s = time.monotonic() + self._period_s
        try:
            good = client.get(self._url, timeout=self._timeout_s).status_code < 400
        except httpx.TransportError:
            good = False
        self._failed = 0 if good else self._failed + 1
        if good:
            self.passed = True
        elif self._failed >= self._failures:
            self.passed = False


class Pod:
    """Started when made; ``terminate`` ends it as Kubernetes does. Its first container alone is run.

    ``ends``: what happened to its processes: exit statuses, and ``killed`` for each that had to be.
    """

    def __init__(
        self,
        name: str,
        spec: Json,
        *,
        revision: str,
        node: NetworkNode,
        variables: Mapping[str, str],
        volumes: Mapping[str, Path],
        log: Path,
    ) -> None:
        self.name, self.revision, self.node, self.log_path = name, revision, node, log
        self.terminating = False
        self.ends: list[int | str] = []
        self._spec, self._container_spec = spec, spec["containers"][0]
        self._container = Container(self._container_spec, node, variables, volumes)
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self.gone = threading.Event()
        self.ready = False
        self._client = httpx.Client(trust_env=False)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def port(self, name: str) -> int:
        return self._ports[name]

    def url(self, port: str = "http") -> str:
        return f"http://{self.node.address}:{self.port(port)}"

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    # --- the container ----------------------------------------------------------------------------------

    @property
    def _ports(self) -> dict[str, int]:
        return {port["name"]: port["containerPort"] for port in self._container_spec.get("ports", ())}

    def _run(self) -> None:
        while self._process is None or not (self._ended.is_set() or self.terminating):
            with self._lock:
                if self._ended.is_set():
                    return
                self._process = self._container.launch(self._container.command, self.log_path)
            self._watch(self._process)
            self.ready = False
            if self.terminating:  # its container is not started again
                return
            self.ends.append(self._process.wait())
            self._ended.wait(RESTART_S)

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """Until the process ends, or is to be started again."""
        spec, address = self._container_spec, self.node.address
        probes = {
            kind: Probe(spec[kind], address, self._ports)
            for kind in ("startupProbe", "livenessProbe", "readinessProbe")
            if kind in spec
        }
        started = probes.pop("startupProbe", None)
        while process.poll() is None and not self._ended.is_set():
            if started is not None and not started.passed:
                started.look(self._client)
                failed = started.passed is False
            else:
                for probe in probes.values():
                    probe.look(self._client)
                self.ready = bool(probes["readinessProbe"].passed) and not self.terminating
                failed = "livenessProbe" in probes and probes["livenessProbe"].passed is False
            if failed and not self.terminating:
                self.ends.append("probe failed")
                process.kill()
                process.wait()
            self._ended.wait(TICK_S)

    # --- the end ----------------------------------------------------------------------------------------

    def crash(self) -> None:
        """kill -9 of the process; the container is started again."""
        assert self._process is not None
        self._process.kill()

    def vanish(self) -> None:
        """Its machine is gone: nobody ends it well, and nobody starts it again."""
        self.terminating, self.ready = True, False
        self._finish(signal.SIGKILL)

    def terminate(self) -> None:
        """In the background; ``gone`` is set at the end."""
        self.terminating, self.ready = True, False
        threading.Thread(target=self._terminate, name=f"end of {self.name}", daemon=True).start()

    def _terminate(self) -> None:
        deadline_s = time.monotonic() + self._spec.get("terminationGracePeriodSeconds", 30)
        command = self._container_spec.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command")
        if command is not None:
            hook = self._container.launch(command, self.log_path)
            with contextlib.suppress(subprocess.TimeoutExpired):
                hook.wait(max(deadline_s - time.monotonic(), 0))
            hook.kill()
        self._finish(signal.SIGTERM, deadline_s)

    def _finish(self, number: signal.Signals, deadline_s: float = 0.0) -> None:
        with self._lock:  # no process is started from here on
            self._ended.set()
        self._thread.join()
        process = self._process
        assert process is not None
        if process.poll() is None:
            process.send_signal(number)
        try:
            self.ends.append(process.wait(max(deadline_s - time.monotonic(), 0) if deadline_s else 10))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self.ends.append("killed")
        self._client.close()
        self.gone.set()
