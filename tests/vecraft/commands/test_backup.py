"""Backups on the command line, against a server that answers what it is told to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.vecraft.commands.server import Answer, Asked, serving
from vecraft.cli import main

BACKUP = {
    "name": "b 1",
    "raft_index": 7,
    "created_ms": 1_700_000_000_000,
    "shards": {"c": [{"shard_id": 0, "term": 1, "seq": 5, "points": 1200}]},
}


def test_backups_are_made_listed_and_restored(capsys: pytest.CaptureFixture[str]) -> None:
    def answer(asked: Asked) -> Answer:
        results: dict[str, Any] = {"POST": BACKUP, "GET": {"backups": ["b 1"]}}
        return Answer(result=True if asked.path.endswith("/recover") else results[asked.method])

    with serving(answer) as server:
        url = ["--url", server.url]
        assert main(["backup", "create", *url]) == 0
        text = capsys.readouterr().out
        assert "b 1, as of 2023-11-14 22:13:20 UTC" in text
        assert "1,200" in text
        assert main(["backup", "create", "--json", *url]) == 0
        assert json.loads(capsys.readouterr().out) == BACKUP
        assert main(["backup", "list", *url]) == 0
        assert capsys.readouterr().out == "b 1\n"
        assert main(["backup", "restore", "b 1", *url]) == 0
    assert [asked.path for asked in server.asked] == [
        "/cluster/backups",
        "/cluster/backups",
        "/cluster/backups",
        "/cluster/backups/b%201/recover",
    ]


def test_old_backups_are_removed_by_number_or_age(capsys: pytest.CaptureFixture[str]) -> None:
    pruned = {"removed": ["b 1", "b 2"], "freed_bytes": 1234}
    with serving(lambda _: Answer(result=pruned)) as server:
        url = ["--url", server.url]
        assert main(["backup", "prune", "--keep", "7", "--older-than", "30d", *url]) == 0
        assert capsys.readouterr().out == "b 1\nb 2\n"
        assert main(["backup", "prune", "--keep", "1", "--json", *url]) == 0
        assert json.loads(capsys.readouterr().out) == pruned
        assert main(["backup", "prune", *url]) == 2
        assert "--keep or --older-than is needed" in capsys.readouterr().err
    bodies = [json.loads(asked.body) for asked in server.asked]
    assert bodies == [{"keep": 7, "older_than_sec": 30 * 86_400}, {"keep": 1}]
    assert {asked.path for asked in server.asked} == {"/cluster/backups/prune"}
