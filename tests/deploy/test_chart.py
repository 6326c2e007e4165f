"""What the chart makes of its values: judged by Helm, by the API's schemas and by Vecraft itself."""

from __future__ import annotations

import json
import re
import tarfile
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml

from tests.deploy.golden import FOLDER, path_of, text_of
from tests.deploy.rendering import (
    CHART,
    Manifest,
    configuration,
    container,
    each,
    notes,
    one,
    profile,
    profiles,
    rendered,
)
from tests.vecraft.commands.server import Answer, Asked, serving
from tools import chart_schema
from vecraft import __version__
from vecraft.cli import parser
from vecraft.commands.running import topic_parser
from vecraft.configuration import Loaded, load
from vecraft.settings import doubtful_keys, unmet, without_effect

OLDEST, NEWEST = "1.27", "1.37"
BETWEEN = [pytest.param(version, marks=pytest.mark.slow) for version in ("1.29", "1.31", "1.34", "1.36")]
KUBERNETES = [OLDEST, *BETWEEN, NEWEST]
FOREIGN = ("cert-manager.io/", "monitoring.coreos.com/")  # have schemas of their own

every_profile = pytest.mark.parametrize("name", profiles())


# --- judged by others -----------------------------------------------------------------------------------


@every_profile
@pytest.mark.parametrize("version", KUBERNETES)
def test_helm_finds_nothing_wrong(name: str, version: str) -> None:
    found = helm_python.lint(str(CHART), profile(name), strict=True, kube_version=f"{version}.0")
    assert found["errors"] == []
    assert {message["error"] for message in found["messages"]} <= {"icon is recommended"}


@every_profile
@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_field(name: str, version: str) -> None:
    for manifest in rendered(profile(name)):
        if not manifest["apiVersion"].startswith(FOREIGN):
            kubernetes_validate.validate(manifest, version, strict=True)


@every_profile
def test_what_a_profile_renders_to_is_what_was_looked_at(name: str) -> None:
    """A change that is meant: ``make chart``."""
    assert text_of(name) == path_of(name).read_text()
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(profiles())


# --- judged by Vecraft ----------------------------------------------------------------------------------


@every_profile
def test_nodes_take_their_configuration_without_a_warning(name: str, tmp_path: Path) -> None:
    loaded = _loaded(rendered(profile(name)), tmp_path)
    settings = loaded.settings
    doubts = loaded.warnings + unmet(settings) + without_effect(settings) + doubtful_keys(settings.service)
    assert doubts == []


@every_profile
def test_every_command_of_every_container_is_one_of_ours(name: str) -> None:
    """Arguments that the parsers refuse would end the test."""
    commands = [words for manifest in rendered(profile(name)) for words in _commands(manifest)]
    assert commands
    for program, *words in commands:
        assert program == "vecraft"
        if words[0] == "serve":
            parser().parse_args(words)
        else:
            topic_parser(words[0]).parse_args(words[1:])


@every_profile
def test_ports_of_probes_and_services_are_those_that_nodes_open(name: str, tmp_path: Path) -> None:
    manifests = rendered(profile(name))
    settings = _loaded(manifests, tmp_path).settings
    served = {
        "http": settings.service.http_port,
        "grpc": settings.service.grpc_port,
        "metrics": settings.service.metrics_port,
    }
    if settings.cluster.enabled:
        served["p2p"] = settings.cluster.p2p.port
    node = container(one(manifests, "StatefulSet"))
    assert {port["name"]: port["containerPort"] for port in node["ports"]} == served
    for service in each(manifests, "Service"):
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= set(served)
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = node[probe]["httpGet"]
        encrypted = settings.service.enable_tls and asked["port"] != "metrics"
        assert (asked["port"] in served, asked["scheme"]) == (True, "HTTPS" if encrypted else "HTTP")
        if settings.service.verify_https_client_certificate:
            assert asked["port"] == "metrics"  # the kubelet has no certificate


def test_files_and_folders_of_the_configuration_are_mounted(tmp_path: Path) -> None:
    manifests = rendered(profile("production"))
    settings = _loaded(manifests, tmp_path).settings
    mounts = [mount["mountPath"] for mount in container(one(manifests, "StatefulSet"))["volumeMounts"]]
    paths = [settings.storage.storage_path, settings.storage.snapshots_path, settings.audit.dir]
    paths += [settings.tls.cert, settings.tls.key, settings.tls.ca_cert]
    for path in paths:
        assert any(path == mount or path.startswith(f"{mount}/") for mount in mounts), path


# --- pods of a cluster ----------------------------------------------------------------------------------


def test_a_pod_is_among_the_peers_it_is_told_of_and_the_first_one_founds() -> None:
    manifests = rendered({"replicaCount": 5}, name="db", namespace="search")
    arguments = container(one(manifests, "StatefulSet"))["args"]
    uri = arguments[arguments.index("--uri") + 1]
    peers = one(manifests, "ConfigMap", "db-vecraft")["data"]["peers"].split()
    assert peers == [uri.replace("$(POD_NAME)", f"db-vecraft-{ordinal}") for ordinal in range(5)]


def test_scaling_restarts_no_pod() -> None:
    three, five = (one(rendered({"replicaCount": count}), "StatefulSet")["spec"] for count in (3, 5))
    assert three["template"] == five["template"]


def test_what_kubernetes_lets_nobody_change_depends_on_little() -> None:
    """An upgrade that touches these is refused, so only values that are about claims may."""

    def fixed(values: dict[str, Any]) -> list[Any]:
        spec = one(rendered(values), "StatefulSet")["spec"]
        return [
            spec[name] for name in ("volumeClaimTemplates", "selector", "serviceName", "podManagementPolicy")
        ]

    others = {
        "image": {"tag": "9.9.9"},
        "replicaCount": 7,
        "additionalLabels": {"team": "search"},
        "podLabels": {"a": "b"},
        "podAnnotations": {"a": "b"},
        "tls": {"enabled": True},
        "config": {"log_level": "DEBUG"},
        "apiKey": "other",
        "serviceAccount": {"name": "other"},
    }
    assert fixed(others) == fixed({})
    assert fixed({"persistence": {"size": "20Gi"}}) != fixed({})


@pytest.mark.parametrize("release", ["v", "vecraft", "r" * 53])
def test_names_stay_within_what_kubernetes_takes(release: str) -> None:
    manifests = rendered(profile("production"), name=release, namespace="n" * 30)
    for manifest in manifests:
        metadata = manifest["metadata"]
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", metadata["name"])
        limit = {"CronJob": 52, "StatefulSet": 52, "ClusterRole": 253, "ClusterRoleBinding": 253}
        assert len(metadata["name"]) <= limit.get(manifest["kind"], 63)
        assert all(len(value) <= 63 for value in metadata["labels"].values())


def test_the_test_asks_the_port_of_rest_wherever_it_stands() -> None:
    ports = [{"name": "grpc", "port": 16334, "targetPort": "grpc"}]
    ports += [{"name": "http", "port": 16333, "targetPort": "http"}]
    variables = container(one(rendered({"service": {"ports": ports}}), "Pod"))["env"]
    assert {"name": "VECRAFT_URL", "value": "http://vecraft.default.svc:16333"} in variables


def test_another_version_of_the_chart_alone_restarts_no_pod() -> None:
    labels = one(rendered(), "StatefulSet")["spec"]["template"]["metadata"]["labels"]
    assert not {"helm.sh/chart", "app.kubernetes.io/version"} & labels.keys()


def test_certificates_are_for_the_names_by_which_nodes_are_reached() -> None:
    manifests = rendered(profile("tls"), name="db", namespace="search")
    names = one(manifests, "Certificate", "db-vecraft-tls")["spec"]["dnsNames"]
    peer = one(manifests, "ConfigMap", "db-vecraft")["data"]["peers"].split()[0]
    host = peer.removeprefix("https://").partition(":")[0]
    assert f"*.{host.partition('.')[2]}" in names
    test = one(manifests, "Pod")["spec"]["containers"][0]
    url = next(variable["value"] for variable in test["env"] if variable["name"] == "VECRAFT_URL")
    assert url.removeprefix("https://").partition(":")[0] in names


@pytest.mark.parametrize(
    ("nodes", "factor", "needed", "missing"),
    [
        (1, 1, 1, 1),  # nothing would be gained by keeping it
        (2, 2, 1, 1),
        (3, 1, 1, 1),
        (3, 2, 1, 1),
        (3, 3, 1, 1),  # the agreement needs two
        (5, 2, 1, 1),
        (5, 3, 1, 2),
        (5, 3, 2, 1),
        (7, 4, 1, 3),
        (9, 3, 1, 2),
    ],
)
def test_as_many_pods_may_be_missing_as_shards_and_the_agreement_can_do_without(
    nodes: int, factor: int, needed: int, missing: int
) -> None:
    collection = {"replication_factor": factor, "write_consistency_factor": needed}
    values = {"replicaCount": nodes, "config": {"storage": {"collection": collection}}}
    assert one(rendered(values), "PodDisruptionBudget")["spec"]["maxUnavailable"] == missing


def test_a_budget_may_be_said() -> None:
    def budget(**given: object) -> dict[str, Any]:
        return one(rendered({"podDisruptionBudget": given}), "PodDisruptionBudget")["spec"]

    assert budget(maxUnavailable=0)["maxUnavailable"] == 0
    assert "maxUnavailable" not in budget(minAvailable="50%")


def test_new_collections_have_a_replica_to_spare_where_there_is_a_node_for_it() -> None:
    for nodes, factor in ((1, 1), (2, 2), (5, 2)):
        found = configuration(rendered({"replicaCount": nodes}))
        assert found["storage"]["collection"]["replication_factor"] == factor


def test_the_zone_comes_from_the_pod_or_from_its_machine() -> None:
    by_pod = rendered({"zone": {"from": "pod"}})
    variables = {each["name"]: each for each in container(one(by_pod, "StatefulSet"))["env"]}
    source = variables["VECRAFT__CLUSTER__ZONE"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert source == "metadata.labels['topology.kubernetes.io/zone']"
    assert each(by_pod, "ClusterRole") == []
    by_node = rendered({"zone": {"from": "node"}})
    spec = one(by_node, "StatefulSet")["spec"]["template"]["spec"]
    assert [step["name"] for step in spec["initContainers"]] == ["zone"]
    rules = one(by_node, "ClusterRole")["rules"]
    assert rules == [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}]
    said = rendered({"config": {"cluster": {"zone": "eu-1"}}})
    assert "VECRAFT__CLUSTER__ZONE" not in {
        each["name"] for each in container(one(said, "StatefulSet"))["env"]
    }


def test_a_node_reads_the_zone_that_its_init_container_wrote(tmp_path: Path) -> None:
    manifests = rendered({"zone": {"from": "node"}})
    spec = one(manifests, "StatefulSet")["spec"]["template"]["spec"]
    node, (step,) = container(one(manifests, "StatefulSet")), spec["initContainers"]
    written = step["args"][step["args"].index("--write") + 1]
    mounted = {mount["mountPath"]: mount["name"] for mount in step["volumeMounts"]}
    assert {"name": mounted[node["workingDir"]], "mountPath": node["workingDir"]} in node["volumeMounts"]
    local = tmp_path / Path(written).relative_to(node["workingDir"])
    local.parent.mkdir()
    local.write_text("cluster: {zone: eu-1b}\n")
    assert _loaded(manifests, tmp_path).settings.cluster.zone == "eu-1b"


def test_files_of_secrets_are_for_the_group_that_volumes_are_given() -> None:
    """Without such a group they belong to root, and must be readable for others."""

    def mode(**values: Any) -> int:
        manifests = rendered({"tls": {"enabled": True}, **values})
        volumes = one(manifests, "StatefulSet")["spec"]["template"]["spec"]["volumes"]
        return next(volume["secret"]["defaultMode"] for volume in volumes if volume["name"] == "tls")

    assert mode() == 0o440
    assert mode(updateVolumeFsOwnership=False) == 0o444
    assert mode(podSecurityContext={"fsGroup": None, "runAsUser": None}) == 0o444


def test_only_the_container_that_asks_has_the_token_of_the_account() -> None:
    values = {"sidecarContainers": [{"name": "other", "image": "x"}]}
    spec = one(rendered(values), "StatefulSet")["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert "volumeMounts" not in spec["containers"][1]


@every_profile
def test_pods_keep_to_the_restricted_standard(name: str) -> None:
    for pod in (found for manifest in rendered(profile(name)) for found in _pods(manifest)):
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        for each_container in pod["containers"] + pod.get("initContainers", []):
            own = each_container["securityContext"]
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert (own["allowPrivilegeEscalation"], own["readOnlyRootFilesystem"]) == (False, True)
        assert not any("hostPath" in volume for volume in pod["volumes"])


@every_profile
def test_jobs_and_tests_are_no_nodes(name: str) -> None:
    """Services, budgets and the StatefulSet select the nodes' pods alone, those of routers the routers'."""
    manifests = rendered(profile(name))
    selector = one(manifests, "StatefulSet")["spec"]["selector"]["matchLabels"]
    routers = [found["spec"]["selector"]["matchLabels"] for found in each(manifests, "Deployment")]
    assert all(service["spec"]["selector"] in [selector, *routers] for service in each(manifests, "Service"))
    assert one(manifests, "Service", "vecraft-headless")["spec"]["selector"] == selector
    for kind in ("CronJob", "Job", "Pod"):
        for manifest in each(manifests, kind):
            labels = _pod_labels(manifest)
            assert not selector.items() <= labels.items()


@every_profile
def test_every_port_names_its_protocol(name: str) -> None:
    """Server-side apply, as Helm 4 does it, takes ports without one for changed at every upgrade."""
    ports = [port for manifest in rendered(profile(name)) for port in _ports(manifest)]
    assert ports
    assert all(port["protocol"] in ("TCP", "UDP") for port in ports)


# --- routers --------------------------------------------------------------------------------------------

ROUTERS: dict[str, Any] = {"router": {"enabled": True}}


def test_without_routers_nothing_of_them_is_there() -> None:
    assert not each(rendered(), "Deployment")
    assert not [found for found in rendered() if found["metadata"]["name"].endswith("-router")]


def test_clients_are_led_to_the_routers_and_nodes_stay_reachable_by_name() -> None:
    manifests = rendered(ROUTERS)
    routers = one(manifests, "Deployment", "vecraft-router")
    labels = routers["spec"]["template"]["metadata"]["labels"]

    def leads_to_routers(found: list[Manifest], service: str) -> bool:
        return one(found, "Service", service)["spec"]["selector"].items() <= labels.items()

    assert leads_to_routers(manifests, "vecraft")
    assert leads_to_routers(manifests, "vecraft-router")
    assert not leads_to_routers(manifests, "vecraft-headless")
    aside = rendered({"router": {"enabled": True, "clientService": False}})
    assert not leads_to_routers(aside, "vecraft")
    assert leads_to_routers(aside, "vecraft-router")


def test_switching_routers_on_restarts_no_node() -> None:
    with_routers, without = (one(rendered(values), "StatefulSet") for values in (ROUTERS, {}))
    assert with_routers == without


def test_a_router_follows_the_peers_and_takes_the_nodes_configuration(tmp_path: Path) -> None:
    """The same file: defaults of new collections, quotas and limits are what they are at a node."""
    manifests = rendered(profile("routers"))
    found, node = container(one(manifests, "Deployment")), container(one(manifests, "StatefulSet"))
    loaded = _loaded(manifests, tmp_path)
    options = parser().parse_args(found["args"])
    assert options.router
    mounts = {mount["mountPath"]: mount for mount in found["volumeMounts"]}
    assert mounts[str(options.bootstrap_file.parent)]["name"] == "config"
    assert options.bootstrap_file.name in one(manifests, "ConfigMap", "vecraft")["data"]
    assert str(options.config_path) in [word for word in node["args"] if isinstance(word, str)]
    assert {each["name"] for each in node["env"]} <= {each["name"] for each in found["env"]}
    paths = [loaded.settings.storage.storage_path, loaded.settings.tls.cert, loaded.settings.tls.ca_cert]
    for path in paths:
        assert any(path == mount or path.startswith(f"{mount}/") for mount in mounts), path


def test_a_router_needs_no_volume_no_account_and_no_peer_port() -> None:
    spec = one(rendered(ROUTERS), "Deployment")["spec"]["template"]["spec"]
    assert not [volume for volume in spec["volumes"] if "persistentVolumeClaim" in volume]
    assert not [volume for volume in spec["volumes"] if "projected" in volume]
    assert {port["name"] for port in spec["containers"][0]["ports"]} == {"http", "grpc", "metrics"}
    assert "lifecycle" not in spec["containers"][0]


def test_an_autoscaler_alone_says_how_many_routers_there_are() -> None:
    manifests = rendered(profile("routers"))
    assert "replicas" not in one(manifests, "Deployment")["spec"]
    scaler = one(manifests, "HorizontalPodAutoscaler")["spec"]
    target = scaler["scaleTargetRef"]
    assert one(manifests, target["kind"], target["name"])["apiVersion"] == target["apiVersion"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 10)
    assert one(rendered(ROUTERS), "Deployment")["spec"]["replicas"] == 2
    assert not each(rendered(ROUTERS), "HorizontalPodAutoscaler")


def test_a_roll_out_takes_a_router_away_when_its_successor_is_ready() -> None:
    strategy = one(rendered(ROUTERS), "Deployment")["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_the_peer_port_is_open_to_nodes_and_routers_and_routers_take_clients_as_nodes_do() -> None:
    manifests = rendered(profile("routers"))
    nodes, routers = (one(manifests, "NetworkPolicy", name)["spec"] for name in ("vecraft", "vecraft-router"))
    (peers,) = [rule for rule in nodes["ingress"] if rule["ports"][0]["port"] == "p2p"]
    allowed = [source["podSelector"]["matchLabels"] for source in peers["from"]]
    assert allowed == [nodes["podSelector"]["matchLabels"], routers["podSelector"]["matchLabels"]]
    assert routers["ingress"] == [rule for rule in nodes["ingress"] if rule is not peers]
    asked = [rule["to"] for rule in routers["egress"] if "to" in rule]
    assert asked == [[{"podSelector": nodes["podSelector"]}]]
    without = one(rendered(), "NetworkPolicy")["spec"]
    assert str(without).count("router") == 0


def test_routers_are_scraped_as_nodes_are() -> None:
    manifests = rendered(profile("routers"))
    selector = one(manifests, "ServiceMonitor")["spec"]["selector"]
    (among,) = selector["matchExpressions"]
    scraped = [
        service["metadata"]["name"]
        for service in each(manifests, "Service")
        if selector["matchLabels"].items() <= service["metadata"]["labels"].items()
        and service["metadata"]["labels"][among["key"]] in among["values"]
    ]
    assert scraped == ["vecraft-router", "vecraft-headless"] or scraped == [
        "vecraft-headless",
        "vecraft-router",
    ]
    for name in scraped:
        assert "metrics" in {port["name"] for port in one(manifests, "Service", name)["spec"]["ports"]}


def test_a_budget_of_the_routers_counts_routers() -> None:
    manifests = rendered(ROUTERS)
    budget = one(manifests, "PodDisruptionBudget", "vecraft-router")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == one(manifests, "Deployment")["spec"]["selector"]
    said = rendered({"router": {"enabled": True, "podDisruptionBudget": {"minAvailable": "50%"}}})
    found = one(said, "PodDisruptionBudget", "vecraft-router")["spec"]
    assert (found["minAvailable"], "maxUnavailable" in found) == ("50%", False)


def test_a_certificate_is_for_the_routers_names_too() -> None:
    names = one(rendered(profile("routers")), "Certificate", "vecraft-tls")["spec"]["dnsNames"]
    assert {"vecraft-router", "vecraft-router.default.svc", "vecraft"} <= set(names)


# --- values that are refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"replicas": 3}, "additional properties 'replicas' not allowed"),
        ({"router": {"replicaCount": 3}}, "additional properties 'replicaCount' not allowed"),
        ({"replicaCount": "3"}, "at '/replicaCount': got string, want integer"),
        ({"replicaCount": 0}, "at '/replicaCount': minimum: got 0, want 1"),
        (
            {"config": {"storage": {"colection": {}}}},
            "at '/config/storage': additional properties 'colection'",
        ),
        ({"config": {"service": {"http_port": "web"}}}, "at '/config/service/http_port': got string"),
        ({"apiKey": {"valueFrom": {}}}, "at '/apiKey/valueFrom': missing property 'secretKeyRef'"),
        ({"persistence": {"size": "10 GB"}}, "at '/persistence/size'"),
        ({"service": {"type": "Cluster"}}, "value must be one of 'ClusterIP', 'NodePort', 'LoadBalancer'"),
        ({"podManagementPolicy": "OrderedReady"}, "at '/podManagementPolicy'"),
        ({"snapshotRestoration": {"snapshots": ["docs"]}}, "at '/snapshotRestoration/snapshots/0'"),
    ],
)
def test_values_that_make_no_sense_are_refused_by_their_place(values: dict[str, Any], reason: str) -> None:
    with helm_python.Chart.load(CHART) as chart, pytest.raises(helm_python.HelmValuesError) as refused:
        chart.validate_schema(values)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"config": {"cluster": {"enabled": False}}}, "the pods would be databases of their own"),
        ({"config": {"service": {"api_key": "secret"}}}, "would stand in a ConfigMap"),
        ({"config": {"service": {"enable_tls": True}}}, "nothing brings certificates"),
        ({"tls": {"enabled": True, "certManager": {"enabled": False}}}, "needs certificates"),
        ({"backup": {"enabled": True, "ordinal": 3}}, "the pods' ordinals go to 2"),
        ({"snapshotRestoration": {"enabled": True}}, "needs snapshotRestoration.pvcName"),
        (
            {"snapshotRestoration": {"enabled": True, "pvcName": "x", "mountPath": "/elsewhere"}},
            "must lie below /vecraft/storage/snapshots/",
        ),
        (
            {
                "metrics": {"prometheusRule": {"enabled": True}},
                "config": {"service": {"metrics_prefix": "x_"}},
            },
            "leave config.service.metrics_prefix unset",
        ),
        ({"podDisruptionBudget": {"minAvailable": 1, "maxUnavailable": 1}}, "not both"),
        ({"config": {"cluster": {"router": True}}}, "would make routers of the nodes"),
        (
            {"router": {"enabled": True}, "replicaCount": 1, "config": {"cluster": {"enabled": False}}},
            "needs a cluster",
        ),
        (
            {"router": {"enabled": True, "autoscaling": {"enabled": True}}},
            "router.resources.requests.cpu",
        ),
        (
            {
                "router": {
                    "enabled": True,
                    "resources": {"requests": {"cpu": 1}},
                    "autoscaling": {"enabled": True, "minReplicas": 9},
                }
            },
            "more than maxReplicas",
        ),
    ],
)
def test_values_that_contradict_each_other_are_refused_with_what_to_do(
    values: dict[str, Any], reason: str
) -> None:
    with pytest.raises(helm_python.HelmError, match=re.escape(reason)):
        rendered(values)


def test_the_schema_knows_todays_settings() -> None:
    assert json.loads((CHART / "values.schema.json").read_text()) == chart_schema.schema()


def test_every_value_that_may_be_set_has_a_default_that_tells_of_it() -> None:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(chart_schema.schema()["properties"]) - {"global"} == set(defaults)


# --- keys -----------------------------------------------------------------------------------------------


def test_keys_are_generated_given_or_taken_from_a_secret() -> None:
    generated = rendered()
    assert {len(key) for key in one(generated, "Secret")["data"].values()} == {64}  # 48 characters, in base64
    values = {"apiKey": "mine", "readOnlyApiKey": False}
    assert one(rendered(values), "Secret")["data"] == {"api-key": "bWluZQ=="}
    elsewhere = {"valueFrom": {"secretKeyRef": {"name": "vault", "key": "k"}}}
    manifests = rendered({"apiKey": elsewhere, "readOnlyApiKey": elsewhere})
    assert each(manifests, "Secret") == []
    variables = {
        each["name"]: each.get("valueFrom") for each in container(one(manifests, "StatefulSet"))["env"]
    }
    assert variables["VECRAFT__SERVICE__API_KEY"] == elsewhere["valueFrom"]
    assert variables["VECRAFT__SERVICE__READ_ONLY_API_KEY"] == elsewhere["valueFrom"]


def test_an_upgrade_keeps_generated_keys() -> None:
    """As Helm renders it beside an API server that has the Secret, and beside one that has not."""
    data = {"api-key": "b2xk", "read-only-api-key": "b2xkZXI="}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "vecraft-keys"}, "data": data}
    kinds = {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [{"name": "secrets", "kind": "Secret", "namespaced": True, "verbs": ["get"]}],
    }
    known: dict[str, Any] = {"/api/v1": kinds, "/api/v1/namespaces/default/secrets/vecraft-keys": secret}

    def answer(asked: Asked) -> Answer:
        path = asked.path.partition("?")[0]
        missing = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "reason": "NotFound",
            "code": 404,
        }
        found = known.get(path, missing)
        status = 404 if found is missing else 200
        headers = {"Content-Type": "application/json"}
        return Answer(status=status, raw=json.dumps(found).encode(), headers=headers)

    def keys() -> dict[str, str]:
        with (
            serving(answer) as server,
            helm_python.Config(kube_apiserver=server.url) as config,
            helm_python.Chart.load(CHART) as chart,
        ):
            files = config.render(chart, {}, name="vecraft", namespace="default", is_upgrade=True)
        return yaml.safe_load(files["vecraft/templates/secret-keys.yaml"])["data"]

    assert keys() == data
    del known["/api/v1/namespaces/default/secrets/vecraft-keys"]
    assert keys().keys() == data.keys()
    assert keys() != data


def test_nodes_show_each_other_the_key_if_there_is_one() -> None:
    assert configuration(rendered())["service"]["enforce_internal_auth"] is True
    assert "enforce_internal_auth" not in configuration(rendered({"apiKey": False}))["service"]


# --- what is printed -------------------------------------------------------------------------------------


@every_profile
def test_the_next_commands_are_about_what_is_there(name: str) -> None:
    manifests, text = rendered(profile(name)), notes(profile(name))
    kinds = {
        "statefulset": "StatefulSet",
        "deployment": "Deployment",
        "secret": "Secret",
        "service": "Service",
    }
    for word, found in re.findall(rf"({'|'.join(kinds)})[/ ](\S+)", text):
        one(manifests, kinds[word], found)
    for pod, command in re.findall(r"exec (\S+) -- vecraft (.+)$", text, re.MULTILINE):
        assert pod == f"{one(manifests, 'StatefulSet')['metadata']['name']}-0"
        topic, *words = command.split()
        topic_parser(topic).parse_args(words)


def test_an_installation_without_a_key_or_backups_is_told_so() -> None:
    text = notes({"apiKey": False, "readOnlyApiKey": False})
    assert "whoever reaches the Service may do everything" in text
    assert "No backups are taken" in text
    assert "One replica of each shard" not in text
    assert "One replica of each shard" in notes(
        {"config": {"storage": {"collection": {"replication_factor": 1}}}}
    )


# --- versions -------------------------------------------------------------------------------------------


def test_what_is_packaged_is_what_is_needed(tmp_path: Path) -> None:
    with tarfile.open(helm_python.package(str(CHART), destination=str(tmp_path))) as package:
        names = {Path(name).relative_to("vecraft").as_posix() for name in package.getnames()}
    wanted = {path.relative_to(CHART).as_posix() for path in CHART.rglob("*") if path.is_file()}
    assert names == {name for name in wanted if not name.startswith("ci/")}


def test_the_chart_is_of_this_version() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (about["version"], about["appVersion"]) == (__version__, __version__)


# --- parts of manifests -----------------------------------------------------------------------------------


def _loaded(manifests: list[Manifest], directory: Path) -> Loaded:
    """As a node reads it: the file, and the variables; those from elsewhere have some value."""
    written = directory / "production.yaml"
    written.write_text(yaml.safe_dump(configuration(manifests)))
    variables = container(one(manifests, "StatefulSet"))["env"]
    environ = {each["name"]: each.get("value", "k" * 48) for each in variables}
    return load(directory=directory, environ=environ, config_path=written)


def _pods(manifest: Manifest) -> list[dict[str, Any]]:
    if manifest["kind"] == "Pod":
        return [manifest["spec"]]
    if manifest["kind"] == "CronJob":
        return [manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]]
    return [manifest["spec"]["template"]["spec"]] if "template" in manifest.get("spec", {}) else []


def _pod_labels(manifest: Manifest) -> dict[str, str]:
    if manifest["kind"] == "CronJob":
        manifest = manifest["spec"]["jobTemplate"]
    template = manifest if manifest.get("kind") == "Pod" else manifest["spec"]["template"]
    return template["metadata"]["labels"]


def _commands(manifest: Manifest) -> list[list[str]]:
    found = []
    for pod in _pods(manifest):
        for one_container in pod["containers"] + pod.get("initContainers", []):
            found.append(one_container["command"] + one_container["args"])
            hook = one_container.get("lifecycle", {}).get("preStop")
            found += [hook["exec"]["command"]] if hook else []
    return found


def _ports(manifest: Manifest) -> list[dict[str, Any]]:
    spec = manifest.get("spec", {})
    if manifest["kind"] == "Service":
        return spec["ports"]
    if manifest["kind"] == "NetworkPolicy":
        return [port for rule in spec["ingress"] + spec.get("egress", []) for port in rule.get("ports", [])]
    containers = [each for pod in _pods(manifest) for each in pod["containers"]]
    return [port for each_container in containers for port in each_container.get("ports", [])]
