"""Write ``deploy/helm/values.schema.json``: what the chart's values may be. Part of ``make chart``.

    python -m tools.chart_schema [--check]

Most of it is stated below; what may stand in ``config`` is generated from Vecraft's own settings, so a
misspelt or mistyped setting is refused before anything is installed. ``--check`` writes nothing and exits
with 1 if the file is stale.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from vecraft.settings import KEY_ALIASES, Settings

FILE = Path(__file__).resolve().parent.parent / "deploy/helm/values.schema.json"

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
TEXTS: Schema = {"type": "array", "items": TEXT}
OBJECT: Schema = {"type": "object"}  # Kubernetes' own, which the API server checks
OBJECTS: Schema = {"type": "array", "items": OBJECT}
COUNT: Schema = {"type": "integer", "minimum": 0}
POSITIVE: Schema = {"type": "integer", "minimum": 1}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
LABELS: Schema = {"type": "object", "additionalProperties": TEXT}
SIZE: Schema = {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$"}
DURATION: Schema = {"type": "string", "pattern": "^([0-9]+(h|m|s|ms))+$"}
RETENTION: Schema = {"enum": ["Retain", "Delete"]}
WISH: Schema = {"enum": ["prefer", "require", "ignore"]}
HOSTNAME: Schema = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"}


def _object(properties: Schema, *, required: list[str] | None = None) -> Schema:
    whole = {"type": "object", "additionalProperties": False, "properties": properties}
    return whole if required is None else {**whole, "required": required}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _either(*kinds: Schema) -> Schema:
    return {"anyOf": list(kinds)}


_SECRET_KEY = _object({"name": TEXT, "key": TEXT, "optional": FLAG}, required=["name", "key"])
_KEY = _either(
    FLAG,
    {"type": "string", "minLength": 1},
    _object(
        {"valueFrom": _object({"secretKeyRef": _SECRET_KEY}, required=["secretKeyRef"])},
        required=["valueFrom"],
    ),
)
_PROBE = _object(
    {
        "enabled": FLAG,
        "initialDelaySeconds": COUNT,
        "periodSeconds": POSITIVE,
        "timeoutSeconds": POSITIVE,
        "failureThreshold": POSITIVE,
        "successThreshold": POSITIVE,
    }
)
_CLAIM = {
    "accessModes": _list({"enum": ["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]}),
    "size": SIZE,
    "storageClassName": _either(TEXT, {"type": "null"}),
    "annotations": LABELS,
}
_SERVICE_PORT = _object(
    {
        "name": TEXT,
        "port": PORT,
        "targetPort": _either(PORT, TEXT),
        "nodePort": PORT,
        "protocol": {"const": "TCP"},
        "appProtocol": TEXT,
        "checksEnabled": FLAG,  # of Qdrant's chart; whether probes ask there is told by the probes here
    },
    required=["name", "port"],
)
_BUDGET = {
    "enabled": FLAG,
    "maxUnavailable": _either(COUNT, TEXT, {"type": "null"}),
    "minAvailable": _either(COUNT, TEXT, {"type": "null"}),
    "unhealthyPodEvictionPolicy": {"enum": ["AlwaysAllow", "IfHealthyBudget"]},
}
_SPREAD = _object({"nodes": WISH, "zones": WISH})
_VARIABLES = _list(_object({"name": TEXT, "value": TEXT, "valueFrom": OBJECT}, required=["name"]))
_RESOURCES = _object({"limits": OBJECT, "requests": OBJECT, "claims": OBJECTS})
_MONITOR = {"enabled": FLAG, "namespace": TEXT, "additionalLabels": LABELS}
_INGRESS_PATH = _object(
    {
        "path": TEXT,
        "pathType": {"enum": ["Prefix", "Exact", "ImplementationSpecific"]},
        "servicePort": PORT,
    }
)

_VALUES: Schema = {
    "global": OBJECT,  # what Helm hands down from a chart that holds this one
    "nameOverride": TEXT,
    "fullnameOverride": TEXT,
    "clusterDomain": HOSTNAME,
    "additionalLabels": LABELS,
    "replicaCount": POSITIVE,
    "image": _object(
        {
            "repository": {"type": "string", "minLength": 1},
            "useUnprivilegedImage": FLAG,  # of Qdrant's chart; ours always is
            "tag": TEXT,
            "digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
            "pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
        }
    ),
    "imagePullSecrets": OBJECTS,
    "updateConfigurationOnChange": FLAG,
    "env": _VARIABLES,
    "args": TEXTS,
    "lifecycle": _object({"preStop": OBJECT, "postStart": OBJECT, "stopSignal": TEXT}),
    "resources": _RESOURCES,
    "apiKey": _KEY,
    "readOnlyApiKey": _KEY,
    "tls": _object(
        {
            "enabled": FLAG,
            "rest": FLAG,
            "p2p": FLAG,
            "verifyClients": FLAG,
            "secretName": TEXT,
            "certManager": _object(
                {
                    "enabled": FLAG,
                    "issuerRef": _object({"name": TEXT, "kind": TEXT, "group": TEXT}),
                    "duration": DURATION,
                    "renewBefore": DURATION,
                }
            ),
        }
    ),
    "zone": _object({"from": {"enum": ["auto", "pod", "node", "none"]}, "label": TEXT}),
    "persistence": _object(_CLAIM),
    "snapshotPersistence": _object({"enabled": FLAG, **_CLAIM}),
    "persistentVolumeClaimRetentionPolicy": _object({"whenDeleted": RETENTION, "whenScaled": RETENTION}),
    "additionalVolumes": OBJECTS,
    "additionalVolumeMounts": OBJECTS,
    "service": _object(
        {
            "type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
            "annotations": LABELS,
            "additionalLabels": LABELS,
            "clusterIP": TEXT,
            "loadBalancerClass": TEXT,
            "loadBalancerSourceRanges": TEXTS,
            "externalTrafficPolicy": {"enum": ["", "Cluster", "Local"]},
            "ports": {**_list(_SERVICE_PORT), "minItems": 1},
        }
    ),
    "router": _object(
        {
            "enabled": FLAG,
            "clientService": FLAG,
            "replicas": POSITIVE,
            "autoscaling": _object(
                {
                    "enabled": FLAG,
                    "minReplicas": POSITIVE,
                    "maxReplicas": POSITIVE,
                    "targetCPUUtilizationPercentage": POSITIVE,
                    "behavior": OBJECT,
                }
            ),
            "env": _VARIABLES,
            "args": TEXTS,
            "resources": _RESOURCES,
            "strategy": _object({"type": {"enum": ["RollingUpdate", "Recreate"]}, "rollingUpdate": OBJECT}),
            "terminationGracePeriodSeconds": {"type": "integer", "minimum": 30},
            "podDisruptionBudget": _object(_BUDGET),
            "spread": _SPREAD,
            "affinity": OBJECT,
            "topologySpreadConstraints": OBJECTS,
            "nodeSelector": LABELS,
            "tolerations": OBJECTS,
            "priorityClassName": TEXT,
            "podAnnotations": LABELS,
            "podLabels": LABELS,
        }
    ),
    "ingress": _object(
        {
            "enabled": FLAG,
            "ingressClassName": TEXT,
            "annotations": LABELS,
            "additionalLabels": LABELS,
            "hosts": _list(_object({"host": TEXT, "paths": _list(_INGRESS_PATH)}, required=["paths"])),
            "tls": _list(_object({"hosts": TEXTS, "secretName": TEXT})),
        }
    ),
    "networkPolicy": _object(
        {
            "enabled": FLAG,
            "clients": OBJECTS,
            "metrics": OBJECTS,
            "additionalIngress": OBJECTS,
            "egress": _object({"enabled": FLAG, "additional": OBJECTS}),
        }
    ),
    "startupProbe": _PROBE,
    "livenessProbe": _PROBE,
    "readinessProbe": _PROBE,
    "terminationGracePeriodSeconds": {"type": "integer", "minimum": 30},
    "minReadySeconds": COUNT,
    "podManagementPolicy": {"const": "Parallel"},
    "updateStrategy": _object({"type": {"enum": ["RollingUpdate", "OnDelete"]}, "rollingUpdate": OBJECT}),
    "podDisruptionBudget": _object(_BUDGET),
    "spread": _SPREAD,
    "affinity": OBJECT,
    "topologySpreadConstraints": OBJECTS,
    "nodeSelector": LABELS,
    "tolerations": OBJECTS,
    "priorityClassName": TEXT,
    "runtimeClassName": TEXT,
    "schedulerName": TEXT,
    "podAnnotations": LABELS,
    "podLabels": LABELS,
    "podSecurityContext": OBJECT,
    "containerSecurityContext": OBJECT,
    "updateVolumeFsOwnership": FLAG,
    "shareProcessNamespace": FLAG,
    "initContainers": OBJECTS,
    "sidecarContainers": OBJECTS,
    "serviceAccount": _object({"create": FLAG, "name": TEXT, "annotations": LABELS}),
    "rbac": _object({"create": FLAG}),
    "metrics": _object(
        {
            "serviceMonitor": _object(
                {
                    **_MONITOR,
                    "scrapeInterval": DURATION,
                    "scrapeTimeout": DURATION,
                    "relabelings": OBJECTS,
                    "metricRelabelings": OBJECTS,
                }
            ),
            "prometheusRule": _object({**_MONITOR, "additionalGroups": OBJECTS}),
            "dashboard": _object(
                {"enabled": FLAG, "namespace": TEXT, "labels": LABELS, "annotations": LABELS}
            ),
        }
    ),
    "backup": _object(
        {
            "enabled": FLAG,
            "schedule": {"type": "string", "pattern": "^(@[a-z]+|\\S+( \\S+){4})$"},
            "timeZone": TEXT,
            "ordinal": COUNT,
            "keep": COUNT,
            "olderThan": {"type": "string", "pattern": "^([0-9]+[smhd])?$"},
            "activeDeadlineSeconds": POSITIVE,
            "successfulJobsHistoryLimit": COUNT,
            "failedJobsHistoryLimit": COUNT,
            "resources": _RESOURCES,
            "nodeSelector": LABELS,
            "tolerations": OBJECTS,
        }
    ),
    "restore": _object(
        {
            "backup": TEXT,
            "ordinal": COUNT,
            "snapshots": _list(
                _object(
                    {
                        "collection": {"type": "string", "minLength": 1},
                        "location": {"type": "string", "pattern": "^(https?|file)://"},
                        "checksum": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                    },
                    required=["collection", "location"],
                )
            ),
        }
    ),
    "snapshotRestoration": _object(
        {
            "enabled": FLAG,
            "pvcName": TEXT,
            "mountPath": {"type": "string", "pattern": "^(/.*)?$"},
            "snapshots": _list({"type": "string", "pattern": "^.+:[^:/]+$"}),
        }
    ),
    "tests": _object({"resources": _RESOURCES}),
}


def schema() -> Schema:
    (config,), definitions = msgspec.json.schema_components([Settings], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of the Vecraft chart",
        **_object({**_VALUES, "config": config}),
        "$defs": {name: _settings(found) for name, found in sorted(definitions.items())},
    }


def _settings(section: Schema) -> Schema:
    """One section of the settings: no keys but its own and their older names."""
    properties = {name: _plain(kind) for name, kind in section["properties"].items()}
    for alias, name in KEY_ALIASES.items():
        if name in properties:
            properties[alias] = properties[name]
    return _object(properties)


def _plain(kind: Any) -> Any:
    """Without defaults, which the node knows."""
    return {key: value for key, value in kind.items() if key != "default"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    text = json.dumps(schema(), indent=1) + "\n"
    if not options.check:
        FILE.write_text(text)
        return 0
    if FILE.read_text() != text:
        print(f"{FILE} is stale: run `make chart`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
