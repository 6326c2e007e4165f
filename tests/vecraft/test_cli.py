"""The command line, without starting a server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vecraft import __version__
from vecraft.cli import EXIT_BAD_CONFIGURATION, configure, main, parser
from vecraft.commands import TOPICS
from vecraft.configuration import ConfigurationError, Membership


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_version_is_qdrants_first_and_our_own_second(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"qdrant 1.19.0\nvecraft {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["serve"], ["--disable-telemetry"], ["serve", "--stacktrace"]])
def test_serve_is_what_happens_without_a_command(arguments: list[str]) -> None:
    options = parser().parse_args(arguments)
    assert options.command == "serve"
    loaded = configure(options, {})
    assert loaded.settings.telemetry_disabled is ("--disable-telemetry" in arguments)


def test_snapshots_to_recover_first_are_named_by_path_and_collection() -> None:
    arguments = [
        "--snapshot",
        "a:b",
        "--collection-snapshot",
        "/x/y:1.snapshot:c",
        "--storage-snapshot",
        "s",
        "-f",
    ]
    first = configure(parser().parse_args(arguments), {}).restore_first
    assert first.collections == ((Path("a"), "b"), (Path("/x/y:1.snapshot"), "c"))
    assert (first.storage, first.force) == (Path("s"), True)


@pytest.mark.parametrize("text", ["a", "a:", ":b", ""])
def test_a_snapshot_without_a_path_or_a_collection_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="PATH:NAME"):
        configure(parser().parse_args(["--snapshot", text]), {})


def test_cluster_flags_without_a_cluster_are_only_warned_about() -> None:
    options = parser().parse_args(["--uri", "http://a:6335", "--bootstrap", "http://b:6335", "--reinit"])
    assert len(configure(options, {}).warnings) == 3


def test_a_wrong_configuration_ends_the_start_with_its_reasons(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VECRAFT__SERVICE__HTTP_PORT", "soon")
    monkeypatch.setenv("VECRAFT__SERVICE__ENABLE_CORS", "perhaps")
    assert main([]) == EXIT_BAD_CONFIGURATION
    text = capsys.readouterr().err
    assert "service.http_port = 'soon'" in text
    assert "service.enable_cors = 'perhaps'" in text


def test_cluster_flags_may_come_from_variables_and_flags_win() -> None:
    environ = {
        "QDRANT__CLUSTER__ENABLED": "true",
        "QDRANT_URI": "http://a:6335",
        "QDRANT_BOOTSTRAP": "http://b:6335",
    }
    loaded = configure(parser().parse_args(["--uri", "http://c:6335"]), environ)
    assert loaded.membership == Membership(uri="http://c:6335", bootstrap=("http://b:6335",))
    assert not loaded.warnings


def test_peers_to_join_may_be_several_and_stand_in_a_file(tmp_path: Path) -> None:
    environ = {"QDRANT__CLUSTER__ENABLED": "true", "QDRANT_BOOTSTRAP": "http://a:6335, http://b:6335"}
    listed = tmp_path / "peers"
    listed.write_text("http://c:6335\n\nhttp://d:6335\n")
    loaded = configure(parser().parse_args(["--bootstrap-file", str(listed)]), environ)
    assert loaded.membership.bootstrap == tuple(f"http://{name}:6335" for name in "abcd")
    with pytest.raises(ConfigurationError, match="--bootstrap-file"):
        configure(parser().parse_args(["--bootstrap-file", str(tmp_path / "none")]), environ)


def test_an_empty_variable_is_no_flag() -> None:
    environ = {"VECRAFT__CLUSTER__ENABLED": "true", "QDRANT_BOOTSTRAP": ""}
    assert configure(parser().parse_args(["--reinit"]), environ).membership == Membership(reinit=True)


@pytest.mark.parametrize("arguments", ["--help", "--version"])
def test_help_and_version_import_neither_engine_nor_client_nor_tables(arguments: str) -> None:
    """They answer in about a tenth of a second; a bound in time would fail on a busy machine."""
    code = f"""
import sys
from vecraft.cli import main
try:
    main(["{arguments}"])
except SystemExit:
    print(*sorted({{"aiohttp", "grpc", "faiss", "numpy", "rich", "urllib3"}} & sys.modules.keys()))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == ""


def test_help_names_every_other_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in TOPICS)


def test_a_router_needs_a_cluster_to_follow_and_takes_no_snapshots() -> None:
    loaded = configure(parser().parse_args(["--router", "--bootstrap", "http://b:6335"]), {})
    assert (loaded.settings.cluster.enabled, loaded.settings.cluster.router) == (True, True)
    assert loaded.warnings == []
    for arguments, reason in (
        ([], "needs --bootstrap"),
        (["--bootstrap", "http://b:6335", "--snapshot", "a:b"], "no shards"),
        (["--bootstrap", "http://b:6335", "--storage-snapshot", "a"], "no shards"),
    ):
        with pytest.raises(ConfigurationError, match=reason):
            configure(parser().parse_args(["--router", *arguments]), {})


def test_a_router_by_its_setting_needs_the_cluster_to_be_enabled() -> None:
    options = parser().parse_args(["--bootstrap", "http://b:6335", "--uri", "http://a:6335"])
    variables = {"VECRAFT__CLUSTER__ROUTER": "true"}
    with pytest.raises(ConfigurationError, match=r"cluster\.enabled"):
        configure(options, variables)
    variables |= {"VECRAFT__CLUSTER__ENABLED": "true", "VECRAFT__CLUSTER__PEER_ID": "7"}
    assert configure(options, variables).warnings == [
        "cluster.peer_id has no effect on a router",
        "--uri has no effect on a router",
    ]
