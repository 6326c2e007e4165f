"""How commands are called and end, whatever their topic."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.vecraft.commands.server import Answer, serving
from tools import document_commands
from vecraft.cli import main
from vecraft.commands import TOPICS
from vecraft.commands.completion import whole_parser
from vecraft.commands.running import topic_parser


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VECRAFT_URL", raising=False)
    monkeypatch.delenv("VECRAFT_API_KEY", raising=False)


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_describes_itself(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([topic, "--help"])
    assert ended.value.code == 0
    assert topic_parser(topic).description
    assert f"vecraft {topic}" in capsys.readouterr().out


def test_the_page_of_commands_is_fresh() -> None:
    assert document_commands.main(["--check"]) == 0, "run `make docs`"


def test_a_wrong_command_line_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (["collection"], ["collection", "paint"], ["nothing"], ["collection", "create", "a"]):
        try:
            status = main(argv)
        except SystemExit as ended:
            status = int(ended.code or 0)
        assert status == 2
    assert "give either --size or --config" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_without_a_server_a_command_ends_with_3_and_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert main(["collection", "list", "--url", url, *arguments]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "connection refused" in line
    if arguments:
        assert json.loads(line)["exit_status"] == 3


def test_a_refusal_ends_with_1_and_the_servers_words(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(lambda _: Answer(404, "Not found: Collection `x` doesn't exist!")) as server:
        assert main(["collection", "info", "x", "--url", server.url]) == 1
    assert capsys.readouterr().err == "vecraft: Not found: Collection `x` doesn't exist! (HTTP 404)\n"


def test_url_and_key_may_come_from_variables_and_files_and_flags_win(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("from a file\n")
    with serving(lambda _: Answer(result={"aliases": []})) as server:
        monkeypatch.setenv("VECRAFT_URL", server.url)
        monkeypatch.setenv("VECRAFT_API_KEY", "from a variable")
        asking = ["collection", "alias", "list"]
        assert main(asking) == 0
        assert main([*asking, "--api-key-file", str(tmp_path / "key")]) == 0
        assert main([*asking, "--api-key", "from an argument"]) == 0
        assert main([*asking, "--api-key", "a", "--api-key-file", "b"]) == 2
        assert main([*asking, "--api-key-file", str(tmp_path / "none")]) == 2
    keys = [asked.headers["api-key"] for asked in server.asked]
    assert keys == ["from a variable", "from a file", "from an argument"]


def test_completion_knows_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in (*TOPICS, "serve", "--config-path", "--api-key-file"))
    assert whole_parser().parse_args(["collection", "info", "a"]).name == "a"
