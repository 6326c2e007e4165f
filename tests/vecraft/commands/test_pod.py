"""A pod that starts and stops, against a node and an API server that answer what they are told to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.kubernetes_api import KubernetesApi, kubernetes_api
from tests.vecraft.commands.server import Answer, Asked, serving
from tests.vecraft.commands.test_cluster import CLUSTER, member, telemetry
from vecraft.cli import main
from vecraft.commands import pod
from vecraft.commands.pod import goes_alone
from vecraft.kubernetes import Metadata, Ordinals, Pod, StatefulSet, StatefulSetSpec

THIRD = Pod("db-2", "default", "")


@pytest.fixture
def api(tmp_path: Path) -> Iterator[KubernetesApi]:
    with kubernetes_api(tmp_path) as made:
        yield made


class Node:
    """Peer 1, which loses a replica each time it is looked at while it is drained."""

    def __init__(self, replicas: int, others: int = 2) -> None:
        self.replicas, self.others, self.draining = replicas, others, False
        self.done: list[str] = []

    def answer(self, asked: Asked) -> Answer:
        path = asked.path.partition("?")[0]
        if asked.method != "GET":
            self.done.append(f"{asked.method} {path}")
            self.draining = asked.method == "PUT"
            return Answer()
        if path == "/cluster/peers":
            self.replicas -= 1 if self.draining and self.replicas else 0
            others = [member(2 + number) for number in range(self.others)]
            return Answer(result=[member(1, draining=self.draining, replicas=self.replicas), *others])
        return Answer(result=CLUSTER if path == "/cluster" else telemetry([]))


def stop(
    monkeypatch: pytest.MonkeyPatch, api: KubernetesApi, node: Node, ordinal: int, *arguments: str
) -> int:
    for name, value in api.pod(ordinal).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(pod, "POLL_S", 0.0)
    monkeypatch.setattr(pod, "CONNECTIONS_S", 0.0)
    with serving(node.answer) as server:
        return main(["pod", "stop", "--account", str(api.account), "--url", server.url, *arguments])


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        (StatefulSet(spec=StatefulSetSpec(replicas=3)), False),
        (StatefulSet(spec=StatefulSetSpec(replicas=2)), True),
        (StatefulSet(spec=StatefulSetSpec(replicas=0)), False),
        (StatefulSet(spec=StatefulSetSpec(replicas=1, ordinals=Ordinals(start=2))), False),
        (StatefulSet(spec=StatefulSetSpec(replicas=1, ordinals=Ordinals(start=1))), True),
        (StatefulSet(Metadata(deletion_timestamp="now"), StatefulSetSpec(replicas=1)), False),
        (None, False),
    ],
)
def test_a_pod_goes_alone_only_when_the_others_stay(owner: StatefulSet | None, expected: bool) -> None:
    assert goes_alone(THIRD, owner) is expected


def test_a_pod_that_comes_back_moves_nothing(monkeypatch: pytest.MonkeyPatch, api: KubernetesApi) -> None:
    node = Node(replicas=5)
    assert stop(monkeypatch, api, node, 2) == 0
    assert node.done == []


def test_a_pod_that_is_scaled_away_is_emptied_and_leaves(
    monkeypatch: pytest.MonkeyPatch, api: KubernetesApi
) -> None:
    api.replicas, node = 2, Node(replicas=3)
    assert stop(monkeypatch, api, node, 2) == 0
    assert node.done == ["PUT /cluster/peer/1/drain", "DELETE /cluster/peer/1"]
    assert node.replicas == 0


def test_a_pod_that_is_wanted_again_keeps_what_is_left(
    monkeypatch: pytest.MonkeyPatch, api: KubernetesApi
) -> None:
    api.replicas = 2

    class Wanted(Node):
        def answer(self, asked: Asked) -> Answer:
            if asked.method == "PUT":
                api.replicas = 3
            return super().answer(asked)

    node = Wanted(replicas=3)
    assert stop(monkeypatch, api, node, 2) == 0
    assert node.done == ["PUT /cluster/peer/1/drain", "DELETE /cluster/peer/1/drain"]


def test_emptying_ends_in_time_and_the_peer_stays(
    monkeypatch: pytest.MonkeyPatch, api: KubernetesApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.replicas, node = 2, Node(replicas=10**6)
    assert stop(monkeypatch, api, node, 2, "--within", "0.05") == 1
    assert "replicas; it stops with them" in capsys.readouterr().err
    assert node.done == ["PUT /cluster/peer/1/drain", "DELETE /cluster/peer/1/drain"]


def test_what_an_operator_drained_stays_drained(monkeypatch: pytest.MonkeyPatch, api: KubernetesApi) -> None:
    api.replicas, node = 2, Node(replicas=10**6)
    node.draining = True
    assert stop(monkeypatch, api, node, 2, "--within", "0.05") == 1
    assert node.done == ["PUT /cluster/peer/1/drain"]


def test_nothing_is_moved_if_it_is_not_known_whether_the_pod_comes_back(
    monkeypatch: pytest.MonkeyPatch, api: KubernetesApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.failing, node = True, Node(replicas=3)
    assert stop(monkeypatch, api, node, 2) == 1
    assert "nothing is moved, since it is not known" in capsys.readouterr().err
    assert node.done == []


def test_replicas_that_nobody_can_take_stay(
    monkeypatch: pytest.MonkeyPatch, api: KubernetesApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.replicas, node = 1, Node(replicas=3, others=0)
    assert stop(monkeypatch, api, node, 2) == 1
    assert "no other peer can take" in capsys.readouterr().err
    assert not node.draining


def test_what_is_no_pod_of_a_stateful_set_is_told_so(
    monkeypatch: pytest.MonkeyPatch, api: KubernetesApi, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POD_NAME", "lonely")
    assert main(["pod", "stop", "--account", str(api.account)]) == 1
    assert "POD_NAME='lonely' is not the name of a StatefulSet's pod" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("labels", "zone"), [({"topology.kubernetes.io/zone": "eu-1b", "other": "x"}, "eu-1b"), ({}, "")]
)
def test_the_zone_of_the_machine_becomes_configuration(
    monkeypatch: pytest.MonkeyPatch, api: KubernetesApi, tmp_path: Path, labels: dict[str, Any], zone: str
) -> None:
    api.nodes["machine"] = labels
    for name, value in api.pod(0).items():
        monkeypatch.setenv(name, value)
    written = tmp_path / "config" / "local.yaml"
    assert main(["pod", "zone", "--account", str(api.account), "--write", str(written)]) == 0
    assert yaml.safe_load(written.read_text()) == {"cluster": {"zone": zone}}


def test_a_server_that_the_account_cannot_trust_is_not_told_its_token(
    monkeypatch: pytest.MonkeyPatch, api: KubernetesApi, tmp_path: Path
) -> None:
    with kubernetes_api(tmp_path / "other") as stranger:
        (api.account / "ca.crt").write_bytes((stranger.account / "ca.crt").read_bytes())
        for name, value in api.pod(0).items():
            monkeypatch.setenv(name, value)
        arguments = ["pod", "zone", "--account", str(api.account), "--write", str(tmp_path / "zone.yaml")]
        assert main(arguments) == 1
        assert api.asked == []
