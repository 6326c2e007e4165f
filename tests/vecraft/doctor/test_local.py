"""The doctor at a machine: each finding from what was seen, and looking at real files."""

from __future__ import annotations

import fcntl
import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from msgspec.structs import replace

from node.replica import identity as replica_identity
from vecraft.cli import main
from vecraft.doctor import configuration, machine, network, storage, tls
from vecraft.doctor.findings import Finding, exit_status
from vecraft.settings import ServiceSettings, Settings, TlsSettings

ROOMY = storage.StorageFacts(
    path=Path("storage"), exists=True, writable=True, total_bytes=100 << 30, free_bytes=50 << 30
)
FINE = machine.MachineFacts(
    files_soft=65_535,
    files_hard=65_535,
    max_maps=262_144,
    architecture="x86_64",
    flags=frozenset({"avx2"}),
    available_bytes=8 << 30,
)


def told(findings: list[Finding]) -> str:
    assert all(each.what and each.why and each.mend for each in findings)
    return "; ".join(f"{each.severity}: {each.what}" for each in findings)


def test_the_worst_finding_gives_the_exit_status() -> None:
    warning, error = (Finding("c", severity, "w", "y", "m") for severity in ("warning", "error"))
    assert [exit_status(found) for found in ([], [warning], [warning, error])] == [0, 1, 2]


def test_a_configuration_is_examined_as_serve_reads_it(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text("service:\n  htpp_port: 7\nstorage:\n  wal: 3\n")
    loaded, findings = configuration.examine(tmp_path, {}, None)
    assert loaded is None
    assert "error: storage.wal = 3" in told(findings)
    (tmp_path / "config/config.yaml").write_text("service:\n  htpp_port: 7\n")
    loaded, findings = configuration.examine(tmp_path, {}, None)
    assert loaded is not None
    assert "warning: service.htpp_port" in told(findings)
    assert "nearest known key is service.http_port" in told(findings)
    assert configuration.examine(tmp_path / "none", {}, None)[1] == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ""),
        ({"writable": False}, "error: "),
        ({"free_bytes": 4 << 30}, "warning: 4.0 GiB of 100.0 GiB are free"),
        ({"free_bytes": 1 << 20}, "error: 0.0 GiB"),
        ({"free_bytes": 4 << 30, "total_bytes": 8 << 30}, ""),
        ({"file_system": "nfs4"}, "warning: storage is on nfs4"),
        ({"cluster_id": "x"}, "error: storage belongs to a cluster"),
        ({"unreadable": ("replica.json has format 9",)}, "error: replica.json has format 9"),
    ],
)
def test_what_a_storage_folder_may_lack(change: dict[str, Any], words: str) -> None:
    findings = storage.judge(replace(ROOMY, **change), clustered=False)
    assert bool(findings) is bool(words)
    assert words in told(findings)


def test_a_storage_folder_is_looked_at_without_changing_it(tmp_path: Path) -> None:
    path = tmp_path / "storage"
    assert storage.look(path).exists is False
    assert not path.exists()
    replica = path / "collections/c/0"
    replica.mkdir(parents=True)
    (replica / "replica.json").write_text('{"format": 9}')
    (path / ".lock").touch()
    seen = storage.look(path)
    assert (seen.exists, seen.writable, seen.in_use) == (True, True, False)
    assert "has format 9" in seen.unreadable[0]
    with (path / ".lock").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert storage.look(path).in_use


def test_the_format_of_replicas_is_the_engines() -> None:
    """The doctor does without the engine, which takes a second to load."""
    assert storage.REPLICA_FORMAT == replica_identity.FORMAT


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ""),
        ({"files_soft": 1024}, "open 1,024 files"),
        ({"max_maps": 30_000}, "30,000 memory mappings"),
        ({"max_maps": None, "available_bytes": None}, ""),
        ({"flags": frozenset({"sse4_2"})}, "no AVX2"),
        ({"flags": frozenset({"asimd"}), "architecture": "aarch64"}, ""),
        ({"available_bytes": 1 << 29}, "512 MiB of memory are free"),
    ],
)
def test_what_a_machine_may_lack(change: dict[str, Any], words: str) -> None:
    findings = machine.judge(replace(FINE, **change))
    assert bool(findings) is bool(words)
    assert words in told(findings)


def test_this_machine_can_be_looked_at() -> None:
    assert machine.look().files_soft > 0


def test_ports_that_are_taken_or_equal_are_told() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        refused = network.taken("127.0.0.1", {"service.http_port": port})
    findings = network.judge_ports({"service.http_port": port, "service.grpc_port": port}, refused)
    assert f"error: port {port} (service.http_port) cannot be listened on: address already in use" in told(
        findings
    )
    assert "service.grpc_port and service.http_port are both" in told(findings)
    assert network.taken("127.0.0.1", {"service.http_port": port}) == {}
    assert "service.grpc_port" not in network.ports_of(Settings(service=ServiceSettings(grpc_port=None)))


@pytest.mark.parametrize(
    ("service", "words"),
    [
        (ServiceSettings(), "no API key is set, and the server listens on 0.0.0.0"),
        (ServiceSettings(host="127.0.0.1"), ""),
        (ServiceSettings(host="localhost"), ""),
        (ServiceSettings(host="node-1", api_key="k"), "without TLS"),
        (ServiceSettings(api_key="k", enable_tls=True), ""),
        (ServiceSettings(host="::1", api_key="k", jwt_rbac=True), "fewer than 32 bytes"),
        (ServiceSettings(host="::1", api_key="k" * 32, jwt_rbac=True), ""),
    ],
)
def test_who_could_come_in_is_told(service: ServiceSettings, words: str) -> None:
    findings = network.judge_exposure(Settings(service=service))
    assert bool(findings) is bool(words)
    assert words in told(findings)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def tls_settings(folder: Path) -> Settings:
    files = TlsSettings(cert=f"{folder}/cert.pem", key=f"{folder}/key.pem", ca_cert=f"{folder}/ca.pem")
    return Settings(service=ServiceSettings(enable_tls=True), tls=files)


def test_files_of_tls_are_there_fit_and_are_not_about_to_expire(
    tmp_path: Path, authority: trustme.CA
) -> None:
    settings, now = tls_settings(tmp_path), datetime.now(UTC)
    assert tls.examine(Settings(), now) == []
    assert "cert.pem (tls.cert) cannot be read: no such file" in told(tls.examine(settings, now))

    issued = authority.issue_cert("localhost", not_after=now + timedelta(days=90))
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "key.pem").chmod(0o600)
    assert tls.examine(settings, now) == []
    assert "expires in 9 days" in told(tls.examine(settings, now + timedelta(days=80, hours=12)))
    assert "error: the certificate of" in told(tls.examine(settings, now + timedelta(days=91)))
    assert "not valid before" in told(tls.examine(settings, now - timedelta(days=90_000)))

    (tmp_path / "key.pem").chmod(0o644)
    assert "can be read by everybody" in told(tls.examine(settings, now))
    authority.issue_cert("other").private_key_pem.write_to_path(tmp_path / "key.pem")
    assert "is not the key of" in told(tls.examine(settings, now))


def test_without_trouble_nothing_is_told_and_all_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VECRAFT_URL", raising=False)
    monkeypatch.setattr(machine, "look", lambda: FINE)
    monkeypatch.setattr(network, "taken", lambda *_: {})
    monkeypatch.setattr(storage, "look", lambda _: ROOMY)
    monkeypatch.setenv("VECRAFT__SERVICE__HOST", "127.0.0.1")
    assert main(["doctor", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    checked = ["configuration", "machine", "storage", "network", "tls"]
    assert shown == {"exit_status": 0, "asked": None, "findings": [], "checked": checked}
    monkeypatch.setenv("VECRAFT__SERVICE__HTP_PORT", "1")
    assert main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert "why   it does nothing" in text
    assert "well    machine, storage, network, tls" in text
