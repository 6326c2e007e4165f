"""Collections on the command line, against a server that answers what it is told to."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.vecraft.commands.server import Answer, Asked, serving
from vecraft.cli import main
from vecraft.commands.collection import Params, creation_body, vector_texts

INFO: dict[str, Any] = {
    "status": "green",
    "optimizer_status": "ok",
    "indexed_vectors_count": 900,
    "points_count": 1000,
    "segments_count": 2,
    "config": {
        "params": {
            "vectors": {"size": 4, "distance": "Dot"},
            "shard_number": 3,
            "replication_factor": 2,
            "on_disk_payload": True,
        },
        "hnsw_config": {"m": 16},
        "quantization_config": None,
    },
    "payload_schema": {"city": {"data_type": "keyword", "points": 10}},
}


def _collections(asked: Asked) -> Answer:
    if asked.path == "/collections":
        return Answer(result={"collections": [{"name": "b"}, {"name": "a"}]})
    return Answer(result=INFO if asked.method == "GET" else asked.path != "/collections/alias")


def test_collections_are_listed_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(_collections) as server:
        assert main(["collection", "list", "--url", server.url]) == 0
        table = capsys.readouterr().out
        assert main(["collection", "list", "--url", server.url, "--json"]) == 0
    assert "1,000" in table
    assert "4 Dot" in table
    assert "\x1b" not in table
    assert [each["name"] for each in json.loads(capsys.readouterr().out)] == ["a", "b"]


def test_one_that_cannot_be_described_does_not_hide_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    def answer(asked: Asked) -> Answer:
        return Answer(503, "no replica") if asked.path == "/collections/a" else _collections(asked)

    with serving(answer) as server:
        assert main(["collection", "list", "--url", server.url]) == 0
    text = capsys.readouterr().out
    assert "no replica" in text
    assert "green" in text


def test_a_description_is_what_a_like_collection_is_created_from(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with serving(_collections) as server:
        assert main(["collection", "info", "a", "--url", server.url]) == 0
        assert "keyword" in capsys.readouterr().out
        assert main(["collection", "info", "a", "--url", server.url, "--json"]) == 0
        (tmp_path / "a.json").write_text(capsys.readouterr().out)
        created = ["collection", "create", "c", "--config", str(tmp_path / "a.json"), "--shards", "5"]
        assert main([*created, "--url", server.url]) == 0
    assert json.loads(server.asked[-1].body) == {
        "vectors": {"size": 4, "distance": "Dot"},
        "shard_number": 5,
        "replication_factor": 2,
        "on_disk_payload": True,
        "hnsw_config": {"m": 16},
    }


def test_a_body_of_the_api_is_taken_as_it_is() -> None:
    body = {"vectors": {"a": {"size": 1, "distance": "Dot"}}, "shard_number": 2}
    assert creation_body(body) == body


def test_deleting_wants_a_yes_and_tells_of_aliases(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with serving(_collections) as server:
        assert main(["collection", "delete", "a", "--url", server.url]) == 2
        assert "give --yes" in capsys.readouterr().err
        assert not [asked for asked in server.asked if asked.method == "DELETE"]
        assert main(["collection", "delete", "a", "--yes", "--url", server.url]) == 0
        assert main(["collection", "delete", "alias", "--yes", "--url", server.url]) == 1
    assert "alias is an alias" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "action"),
    [
        (["create", "x", "a"], {"create_alias": {"collection_name": "a", "alias_name": "x"}}),
        (["delete", "x"], {"delete_alias": {"alias_name": "x"}}),
        (["rename", "x", "y"], {"rename_alias": {"old_alias_name": "x", "new_alias_name": "y"}}),
    ],
)
def test_aliases_are_changed_by_one_action(argv: list[str], action: Any) -> None:
    with serving(lambda _: Answer()) as server:
        assert main(["collection", "alias", *argv, "--url", server.url]) == 0
    assert json.loads(server.asked[0].body) == {"actions": [action]}


def test_vectors_are_told_in_a_few_words() -> None:
    vectors = {
        "a": {"size": 8, "distance": "Cosine", "datatype": "uint8"},
        "b": {"size": 2, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}},
    }
    assert vector_texts(Params(vectors, {"words": {}})) == [
        "a: 8 Cosine uint8",
        "b: 2 Dot, several per point",
        "words: sparse",
    ]
    assert vector_texts(Params({})) == []
