"""The alert rules we ship: right by promtool, about metrics that exist, each told of in the documentation."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml

from tests.live import ROOT, LiveNode

pytestmark = pytest.mark.slow

RULES = ROOT / "deploy/prometheus/vecraft-rules.yml"
# Only members of a cluster have these, or nodes that have answered requests over gRPC, or lead a shard.
ELSEWHERE = {
    "vecraft_cluster_has_leader",
    "cluster_working_state",
    "grpc_responses_total",
    "vecraft_replica_lag_operations",
}


def rules() -> list[dict[str, str]]:
    found = yaml.safe_load(RULES.read_text())
    return [rule for group in found["groups"] for rule in group["rules"]]


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_rules_and_they_fire_as_their_tests_say() -> None:
    promtool("check", "rules", str(RULES))
    promtool("test", "rules", str(RULES.with_suffix(".test.yml")))


def test_every_alert_has_a_test_and_a_section_that_its_runbook_points_to() -> None:
    tests = RULES.with_suffix(".test.yml").read_text()
    headings = re.findall(r"^### (\w+)$", (ROOT / "docs/OPERATIONS.md").read_text(), re.M)
    names = [rule["alert"] for rule in rules()]
    assert sorted(headings) == sorted(names)
    for rule in rules():
        assert f"alertname: {rule['alert']}" in tests
        runbook = rule["annotations"]["runbook"]  # type: ignore[index]
        assert runbook == f"docs/OPERATIONS.md#{rule['alert'].lower()}"


def test_the_rules_ask_for_metrics_that_a_node_tells(tmp_path: Path) -> None:
    asked = {
        name
        for rule in rules()
        for name in re.findall(r"\b(?:vecraft|cluster|collection|rest|grpc)_\w+", rule["expr"])
    }
    with LiveNode(tmp_path) as node:
        httpx.put(f"{node.url}/collections/c", json={"vectors": {"size": 1, "distance": "Dot"}})
        httpx.put(f"{node.url}/collections/c/points", json={"points": [{"id": 1, "vector": [1]}]})
        text = httpx.get(f"{node.url}/metrics").text
    told = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}
    assert asked - told <= ELSEWHERE
