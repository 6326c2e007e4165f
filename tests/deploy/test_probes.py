"""What probes of every profile ask is answered by a node, on the port that they ask."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.deploy.rendering import container, one, profile, profiles, rendered
from tests.live import LiveNode
from tests.ports import free_port

pytestmark = pytest.mark.slow


def test_a_node_answers_every_probe(tmp_path: Path) -> None:
    metrics = free_port()
    with LiveNode(tmp_path, environment={"VECRAFT__SERVICE__METRICS_PORT": str(metrics)}) as node:
        ports = {"http": node.url, "metrics": f"http://127.0.0.1:{metrics}"}
        for name in profiles():
            spec = container(one(rendered(profile(name)), "StatefulSet"))
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                asked = spec[probe]["httpGet"]
                assert httpx.get(ports[asked["port"]] + asked["path"]).status_code == 200
                assert httpx.get(f"{ports[asked['port']]}{asked['path']}x").status_code == 404
