"""What the README and docs/KUBERNETES.md tell people to type is about things that the chart makes."""

from __future__ import annotations

import re
import subprocess

import pytest
import yaml

from tests.deploy.rendering import CHART, ROOT, configuration, each, one, rendered
from tools.chart_schema import schema

PAGE = (ROOT / "docs/KUBERNETES.md").read_text()
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
FIVE = 5


def test_the_readme_and_the_page_tell_the_same_five_commands() -> None:
    (first,) = [block for block in BLOCKS if "helm install vecraft deploy/helm --wait" in block]
    assert first in README
    assert len(first.splitlines()) == FIVE


def test_the_five_commands_are_about_what_is_installed() -> None:
    manifests = rendered(namespace="default")
    (secret,) = set(re.findall(r"get secret (\S+)", README))
    key = re.search(r"\.data\.([a-z-]+)", README)
    assert key is not None
    assert key[1] in one(manifests, "Secret", secret)["data"]
    service, port = re.findall(r"port-forward service/(\S+) (\d+)", README)[0]
    assert int(port) in {each["port"] for each in one(manifests, "Service", service)["spec"]["ports"]}
    image = one(manifests, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert f"docker-image {image}," in README
    for target in re.findall(r"^make (\S.*?)(?:  |$)", README, re.MULTILINE):
        subprocess.run(["make", "-n", *target.split()], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("text", re.findall(r"`([a-z][A-Za-z]+(?:\.[A-Za-z_]+)+)(?:: [a-z0-9]+)?`", PAGE))
def test_values_that_the_page_names_are_values(text: str) -> None:
    if text.endswith((".yaml", ".json", ".md", ".crt", ".key")) or text.startswith("topology."):
        return
    at, whole = schema(), schema()
    for part in text.split("."):
        while "$ref" in at:
            at = whole["$defs"][at["$ref"].rpartition("/")[2]]
        kinds = at.get("anyOf", [at])
        found = [kind["properties"][part] for kind in kinds if part in kind.get("properties", {})]
        if not found and any(kind.get("type") == "object" and "properties" not in kind for kind in kinds):
            return  # Kubernetes' own
        assert found, f"{text}: there is no {part}"
        at = found[0]


def test_the_names_of_a_certificate_are_those_that_the_chart_asks_for() -> None:
    (listed,) = [block.split() for block in BLOCKS if block.startswith("*.")]
    tls = rendered({"tls": {"enabled": True}}, namespace="search")
    assert listed == one(tls, "Certificate", "vecraft-tls")["spec"]["dnsNames"]


def test_claims_and_folders_are_called_as_the_page_says() -> None:
    both = rendered({"snapshotPersistence": {"enabled": True}})
    templates = one(both, "StatefulSet")["spec"]["volumeClaimTemplates"]
    claims = {f"{claim['metadata']['name']}-vecraft" for claim in templates}
    assert {
        name.rpartition("-")[0] for name in re.findall(r"(?:storage|snapshots)-vecraft-\d", PAGE)
    } == claims
    for manifests in (both, rendered()):
        assert f"`{configuration(manifests)['storage']['snapshots_path']}/backups`" in PAGE


def test_profiles_that_the_page_names_exist() -> None:
    named = set(re.findall(r"`([a-z0-9-]+\.yaml)`", PAGE))
    assert {"production.yaml", "tls.yaml", "snapshots-s3.yaml", "minimal.yaml"} <= named
    for name in named:
        assert (CHART / "ci" / name).exists(), name


def test_the_page_names_the_oldest_kubernetes() -> None:
    oldest = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"]
    assert f"Kubernetes {oldest.removeprefix('>=').removesuffix('.0-0')} or later" in PAGE
    assert each(rendered(), "StatefulSet")
