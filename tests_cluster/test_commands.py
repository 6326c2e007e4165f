"""Commands against a real node."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.live import LiveNode, wait_for
from vecraft.cli import main

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNode]:
    with LiveNode(tmp_path_factory.mktemp("commands")) as running:
        yield running


def test_a_collection_is_made_described_copied_and_deleted(
    node: LiveNode, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = ["--url", node.url]
    assert (
        main(["collection", "create", "first", "--size", "8", "--distance", "Dot", "--shards", "2", *url])
        == 0
    )
    assert main(["collection", "create", "first", "--size", "8", *url]) == 1
    assert "already exists" in capsys.readouterr().err
    assert main(["collection", "info", "first", "--json", *url]) == 0
    (tmp_path / "first.json").write_text(capsys.readouterr().out)
    assert main(["collection", "create", "second", "--config", str(tmp_path / "first.json"), *url]) == 0
    assert main(["collection", "info", "second", *url]) == 0
    assert "8 Dot" in capsys.readouterr().out
    assert main(["collection", "alias", "create", "other", "second", *url]) == 0
    assert main(["collection", "alias", "rename", "other", "another", *url]) == 0
    assert main(["collection", "alias", "list", "--json", *url]) == 0
    assert json.loads(capsys.readouterr().out) == [{"alias_name": "another", "collection_name": "second"}]
    assert main(["collection", "alias", "delete", "another", *url]) == 0
    assert main(["collection", "delete", "first", "--yes", *url]) == 0
    assert main(["collection", "list", "--json", *url]) == 0
    assert [each["name"] for each in json.loads(capsys.readouterr().out)] == ["second"]


def test_a_doctor_where_a_node_runs_asks_it(
    node: LiveNode, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the configuration of that folder; the node's own ports are no trouble."""
    monkeypatch.chdir(node.directory)
    monkeypatch.delenv("VECRAFT_URL", raising=False)
    monkeypatch.setenv("VECRAFT__SERVICE__HOST", node.host)
    monkeypatch.setenv("VECRAFT__SERVICE__HTTP_PORT", str(node.port))
    monkeypatch.setenv("VECRAFT__SERVICE__GRPC_PORT", str(node.grpc_port))
    main(["doctor", "--json"])
    shown = json.loads(capsys.readouterr().out)
    assert shown["asked"] == node.url
    assert {"server", "cluster", "storage"} <= set(shown["checked"])
    ours = [each for each in shown["findings"] if each["check"] not in ("machine", "storage")]
    assert ours == []
    assert not [each for each in shown["findings"] if each["severity"] == "error"]


def test_a_doctor_asks_a_node_that_wants_keys_and_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the key and the files of that node's own configuration; others need theirs."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    (tmp_path / "tls").mkdir()
    issued.cert_chain_pems[0].write_to_path(tmp_path / "tls/cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "tls/key.pem")
    authority.cert_pem.write_to_path(tmp_path / "tls/cacert.pem")
    (tmp_path / "tls/key.pem").chmod(0o600)
    secured = {
        "VECRAFT__SERVICE__API_KEY": "0123456789abcdef0123456789abcdef",
        "VECRAFT__SERVICE__ENABLE_TLS": "true",
        "VECRAFT__SERVICE__VERIFY_HTTPS_CLIENT_CERTIFICATE": "true",
    }
    node = LiveNode(tmp_path, environment=secured)
    try:
        node.launch()
        wait_for(lambda: "] serving " in node.log(), what="the node to serve")
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("VECRAFT_URL", raising=False)
        ours = {"HOST": node.host, "HTTP_PORT": str(node.port), "GRPC_PORT": str(node.grpc_port)}
        for name, value in {**{f"VECRAFT__SERVICE__{key}": ours[key] for key in ours}, **secured}.items():
            monkeypatch.setenv(name, value)
        main(["doctor", "--json"])
        shown = json.loads(capsys.readouterr().out)
        assert shown["asked"] == f"https://{node.host}:{node.port}"
        assert [each for each in shown["findings"] if each["check"] not in ("machine", "storage")] == []
        files = ["--ca-cert", "tls/cacert.pem", "--cert", "tls/cert.pem", "--cert-key", "tls/key.pem"]
        asking = ["collection", "list", "--url", f"https://localhost:{node.port}", *files]
        assert main(asking) == 1
        assert "API key" in capsys.readouterr().err
        monkeypatch.setenv("VECRAFT_API_KEY", secured["VECRAFT__SERVICE__API_KEY"])
        assert main(asking) == 0
    finally:
        node.kill()


def test_a_doctor_asks_a_node_on_its_own_and_shows_its_status(
    node: LiveNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["cluster", "status", "--url", node.url]) == 0
    assert "on its own" in capsys.readouterr().out
    assert main(["cluster", "drain", "1", "--url", node.url]) == 1
    assert "standalone mode" in capsys.readouterr().err
