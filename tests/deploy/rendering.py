"""The chart as Kubernetes would be given it: rendered by Helm's own library, as plain objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import helm_python
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm"
PROFILES = CHART / "ci"  # values files, one per way of installing it

Manifest = dict[str, Any]


def profile(name: str) -> dict[str, Any]:
    """The values of ``deploy/helm/ci/<name>.yaml``."""
    return yaml.safe_load((PROFILES / f"{name}.yaml").read_text()) or {}


def profiles() -> list[str]:
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def rendered(
    values: Mapping[str, Any] | None = None, *, name: str = "vecraft", namespace: str = "default"
) -> list[Manifest]:
    """All objects of an installation with ``values`` over the chart's defaults.

    Raises: helm_python.HelmError if a template or the values are wrong.
    """
    return list(_documents(rendered_text(values, name=name, namespace=namespace)))


def rendered_text(
    values: Mapping[str, Any] | None = None, *, name: str = "vecraft", namespace: str = "default"
) -> dict[str, str]:
    """As ``rendered``, as YAML: by the template's path in the chart."""
    with helm_python.Chart.load(CHART) as chart:
        files = chart.render(dict(values or {}), name=name, namespace=namespace)
    return {path.partition("/")[2]: text for path, text in sorted(files.items()) if path.endswith(".yaml")}


def notes(
    values: Mapping[str, Any] | None = None, *, name: str = "vecraft", namespace: str = "default"
) -> str:
    """What Helm prints after an installation."""
    with helm_python.Chart.load(CHART) as chart:
        files = chart.render(dict(values or {}), name=name, namespace=namespace)
    return next(text for path, text in files.items() if path.endswith("NOTES.txt"))


def one(manifests: list[Manifest], kind: str, name: str | None = None) -> Manifest:
    """The only object of this kind (and name)."""
    (found,) = each(manifests, kind, name)
    return found


def each(manifests: list[Manifest], kind: str, name: str | None = None) -> list[Manifest]:
    return [
        found
        for found in manifests
        if found["kind"] == kind and (name is None or found["metadata"]["name"] == name)
    ]


def container(workload: Manifest, name: str = "vecraft") -> dict[str, Any]:
    """A container of the pod that a StatefulSet, Deployment or Pod is made of."""
    spec = workload["spec"]
    pod = spec["template"]["spec"] if "template" in spec else spec
    (found,) = [each for each in pod["containers"] if each["name"] == name]
    return found


def configuration(manifests: list[Manifest], name: str = "vecraft") -> dict[str, Any]:
    """What the nodes' configuration file holds."""
    return yaml.safe_load(one(manifests, "ConfigMap", name)["data"]["production.yaml"])


def _documents(files: Mapping[str, str]) -> Iterator[Manifest]:
    for text in files.values():
        documents = yaml.load_all(text, Loader=yaml.CSafeLoader)  # a tenth of the time of the one in Python
        yield from (document for document in documents if document)
