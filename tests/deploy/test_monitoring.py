"""What Prometheus and Grafana are given: alerts from their one source, a dashboard of metrics that exist."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.deploy.rendering import CHART, ROOT, one, profile, rendered
from tests.live import LiveNode
from tests.vecraft.test_alerts import ELSEWHERE

RULES = CHART / "files" / "vecraft-rules.yml"
WITHOUT_COUNT = re.compile(r"_(bucket|sum|count)$")
# Only members of a cluster have these, or nodes that have answered requests over gRPC.
ELSEWHERE_TOO = {*ELSEWHERE, "grpc_responses_duration_seconds", "up"}


def test_the_chart_brings_the_alerts_of_those_without_kubernetes() -> None:
    assert (ROOT / "deploy/prometheus/vecraft-rules.yml").resolve() == RULES
    spec = one(rendered(profile("production")), "PrometheusRule")["spec"]
    assert spec == yaml.safe_load(RULES.read_text())


@pytest.mark.slow
def test_promtool_takes_the_alerts_and_the_queries_of_the_dashboard(tmp_path: Path) -> None:
    spec = one(rendered(profile("production")), "PrometheusRule")["spec"]
    asked = [{"record": f"panel:{place}", "expr": _plain(query)} for place, query in enumerate(_queries())]
    spec["groups"].append({"name": "dashboard", "rules": asked})
    written = tmp_path / "rules.yml"
    written.write_text(yaml.safe_dump(spec))
    done = subprocess.run(["promtool", "check", "rules", str(written)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_dashboard_shows_metrics_that_exist(tmp_path: Path) -> None:
    with LiveNode(tmp_path) as node:
        assert httpx.put(
            f"{node.url}/collections/c", json={"vectors": {"size": 2, "distance": "Dot"}}
        ).is_success
        points = {"points": [{"id": 1, "vector": [1, 2]}]}
        assert httpx.put(f"{node.url}/collections/c/points?wait=true", json=points).is_success
        text = httpx.get(f"{node.url}/metrics").text
    known = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")} | ELSEWHERE_TOO
    asked = {name for query in _queries() for name in re.findall(r"([a-z_]+)\{", query)}
    assert asked
    assert {WITHOUT_COUNT.sub("", name) for name in asked} - known == set()


def test_the_dashboard_is_one_that_the_sidecar_finds() -> None:
    manifest = one(rendered(profile("production")), "ConfigMap", "vecraft-dashboard")
    assert manifest["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert manifest["metadata"]["namespace"] == "monitoring"
    assert json.loads(manifest["data"]["vecraft.json"]) == _dashboard()


def test_panels_neither_share_an_id_nor_lie_on_each_other() -> None:
    panels = _dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        grid = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_nodes_are_scraped_one_by_one_under_the_name_that_alerts_know() -> None:
    manifests = rendered(profile("production"))
    monitor = one(manifests, "ServiceMonitor")["spec"]
    service = one(manifests, "Service", "vecraft-headless")
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert {"targetLabel": "job", "replacement": "vecraft", "action": "replace"} in endpoint["relabelings"]


def _dashboard() -> dict[str, Any]:
    return json.loads((CHART / "files" / "dashboard.json").read_text())


def _queries() -> Iterator[str]:
    for panel in _dashboard()["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))


def _plain(query: str) -> str:
    """Grafana's variables replaced as it would."""
    return re.sub(r"\$\w+", "x", query.replace("$__rate_interval", "5m"))
