"""What the chart makes of its values: judged by Helm, by the API's schemas and by Vecraft itself."""

from __future__ import annotations

import tomllib
from pathlib import Path

import helm_python
import kubernetes_validate
import pytest
import yaml

from tests.deploy.rendering import CHART, ROOT, configuration, container, one, profile, profiles, rendered
from vecraft.configuration import load
from vecraft.settings import unmet, without_effect

KUBERNETES = ("1.25", "1.28", "1.31", "1.34", "1.37")

every_profile = pytest.mark.parametrize("name", profiles())


@every_profile
def test_helm_finds_nothing_wrong(name: str) -> None:
    found = helm_python.lint(str(CHART), profile(name), strict=True, kube_version="1.31.0")
    assert found["errors"] == []
    assert {message["error"] for message in found["messages"]} <= {"icon is recommended"}


@every_profile
@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_field(name: str, version: str) -> None:
    for manifest in rendered(profile(name)):
        kubernetes_validate.validate(manifest, version, strict=True)


@every_profile
def test_nodes_take_their_configuration_without_a_warning(name: str, tmp_path: Path) -> None:
    manifests = rendered(profile(name))
    written = tmp_path / "production.yaml"
    written.write_text(yaml.safe_dump(configuration(manifests)))
    environ = {each["name"]: each["value"] for each in _env(manifests) if "value" in each}
    loaded = load(directory=tmp_path, environ=environ, config_path=written)
    assert loaded.warnings + unmet(loaded.settings) + without_effect(loaded.settings) == []


def test_every_port_names_its_protocol() -> None:
    """Server-side apply, as Helm 4 does it, takes ports without one for changed at every upgrade."""
    for manifest in rendered():
        spec = manifest.get("spec", {})
        ports = spec.get("ports", []) if manifest["kind"] == "Service" else []
        if manifest["kind"] == "StatefulSet":
            ports = container(manifest)["ports"]
        assert all(port["protocol"] == "TCP" for port in ports)


def test_probes_ask_ports_and_paths_that_nodes_serve() -> None:
    spec = container(one(rendered(), "StatefulSet"))
    ports = {port["name"] for port in spec["ports"]}
    probes = [spec["startupProbe"], spec["livenessProbe"], spec["readinessProbe"]]
    assert {probe["httpGet"]["port"] for probe in probes} <= ports


def test_a_pod_is_among_the_peers_it_is_told_of_and_the_first_one_founds() -> None:
    manifests = rendered({"replicaCount": 5}, name="db", namespace="search")
    arguments = container(one(manifests, "StatefulSet"))["args"]
    uri = arguments[arguments.index("--uri") + 1]
    peers = one(manifests, "ConfigMap", "db-vecraft")["data"]["peers"].split()
    assert peers == [uri.replace("$(POD_NAME)", f"db-vecraft-{ordinal}") for ordinal in range(5)]


def test_scaling_restarts_no_pod() -> None:
    three, five = (one(rendered({"replicaCount": count}), "StatefulSet")["spec"] for count in (3, 5))
    assert three["template"] == five["template"]


def test_the_chart_is_of_this_version() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (about["version"], about["appVersion"]) == (version, version)


def _env(manifests: list[dict]) -> list[dict]:
    return container(one(manifests, "StatefulSet"))["env"]
