"""Snapshots on the command line, against a server that answers what it is told to."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.vecraft.commands.server import Answer, Asked, serving
from vecraft.cli import main

CONTENT = bytes(range(256)) * 100
CHECKSUM = hashlib.sha256(CONTENT).hexdigest()
SNAPSHOT = {"name": "s.snapshot", "creation_time": "2026-01-01T00:00:00", "size": 25600, "checksum": CHECKSUM}


def answer(asked: Asked) -> Answer:
    path = asked.path.partition("?")[0]
    if asked.method == "GET":
        return Answer(raw=CONTENT) if path.endswith(".snapshot") else Answer(result=[SNAPSHOT])
    return Answer(result=SNAPSHOT if path.endswith("/snapshots") else True)


@pytest.mark.parametrize(
    ("scope", "folder"),
    [
        ([], "/snapshots"),
        (["c"], "/collections/c/snapshots"),
        (["c", "--shard", "3"], "/collections/c/shards/3/snapshots"),
    ],
)
def test_each_kind_has_its_folder(
    scope: list[str], folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(answer) as server:
        url = ["--url", server.url]
        assert main(["snapshot", "create", *scope, *url]) == 0
        assert capsys.readouterr().out == "s.snapshot\n"
        assert main(["snapshot", "list", *scope, *url]) == 0
        assert "25.0 KiB" in capsys.readouterr().out
        where = ["--output", str(tmp_path / "here")]
        name = [*scope[:1], "s.snapshot", *scope[1:]]
        assert main(["snapshot", "download", *name, *url, *where]) == 0
        assert main(["snapshot", "delete", *name, *url]) == 0
    assert (tmp_path / "here").read_bytes() == CONTENT
    assert [each.path.partition("?")[0] for each in server.asked] == [
        folder,
        folder,
        folder,
        f"{folder}/s.snapshot",
        f"{folder}/s.snapshot",
    ]


def test_what_does_not_come_as_it_is_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(asked: Asked) -> Answer:
        whole = answer(asked)
        return Answer(raw=whole.raw[:-1]) if whole.raw else whole

    monkeypatch.chdir(tmp_path)
    with serving(damaged) as server:
        assert main(["snapshot", "download", "c", "s.snapshot", "--url", server.url]) == 1
    assert "not what the server has" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_uploaded_with_its_checksum_and_a_url_is_left_to_the_server(tmp_path: Path) -> None:
    (tmp_path / "s.snapshot").write_bytes(CONTENT)
    with serving(answer) as server:
        url = ["--url", server.url]
        assert (
            main(["snapshot", "restore", "c", str(tmp_path / "s.snapshot"), "--priority", "replica", *url])
            == 0
        )
        assert main(["snapshot", "restore", "c", "https://a/s.snapshot", "--shard", "1", *url]) == 0
        assert main(["snapshot", "restore", "c", str(tmp_path / "none"), *url]) == 1
    upload, recovery = server.asked
    assert upload.path == (f"/collections/c/snapshots/upload?wait=true&priority=replica&checksum={CHECKSUM}")
    assert CONTENT in upload.body
    assert recovery.path == "/collections/c/shards/1/snapshots/recover?wait=true"
    assert json.loads(recovery.body) == {"location": "https://a/s.snapshot"}
