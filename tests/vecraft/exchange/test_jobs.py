"""Imports and exports as commands, against a server in memory: interrupted, refused, gone on with."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.vecraft.commands.server import Answer, Asked, serving
from vecraft.cli import main
from vecraft.commands.jobs import PointsBar
from vecraft.exchange import exporting
from vecraft.exchange.journal import Journal, Progress

INFO = {"config": {"params": {"vectors": {"size": 2, "distance": "Dot"}}}, "points_count": 3}


class Memory:
    """A collection. ``refuses``: answers instead of taking points, the first of the list first."""

    def __init__(self) -> None:
        self.points: dict[Any, Any] = {}
        self.received: list[Any] = []
        self.refuses: list[Answer] = []
        self.refused_ids: set[Any] = set()
        self.fails_after_pages: int | None = None
        self._lock = threading.Lock()

    def answer(self, asked: Asked) -> Answer:
        if asked.method == "GET":
            return Answer(result=INFO)
        body = json.loads(asked.body)
        with self._lock:
            if asked.method == "POST":
                return self._scroll(body)
            if self.refuses:
                return self.refuses.pop(0)
            ids = [point["id"] for point in body["points"]]
            if self.refused_ids & set(ids):
                return Answer(400, "Wrong input: Vector dimension error")
            self.received += ids
            self.points |= {point["id"]: point for point in body["points"]}
            return Answer(result={"status": "completed"})

    def _scroll(self, body: dict[str, Any]) -> Answer:
        if self.fails_after_pages is not None:
            self.fails_after_pages -= 1
            if self.fails_after_pages < 0:
                return Answer(500, "Service internal error: gone")
        ids = [each for each in sorted(self.points) if each >= body.get("offset", 0)]
        page, rest = ids[: body["limit"]], ids[body["limit"] :]
        points = [self.points[each] for each in page]
        return Answer(result={"points": points, "next_page_offset": rest[0] if rest else None})


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "points.jsonl"
    points = ({"id": number, "vector": [number, 0.5], "payload": {"n": number}} for number in range(100))
    path.write_bytes(b"".join(orjson.dumps(point) + b"\n" for point in points))
    return path


def test_an_import_sends_every_point_once_and_leaves_no_journal(
    lines: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    memory = Memory()
    memory.refuses = [Answer(429, "later", {"Retry-After": "0"}), Answer(503, "later", {"Retry-After": "0"})]
    with serving(memory.answer) as server:
        asked = ["import", "c", str(lines), "--batch-size", "7", "--url", server.url, "--json"]
        assert main(asked) == 0
    assert sorted(memory.received) == list(range(100))
    assert memory.points[3] == {"id": 3, "vector": [3, 0.5], "payload": {"n": 3}}
    output = capsys.readouterr()
    assert json.loads(output.out)["points"] == 100
    assert output.err == ""
    assert [path.name for path in lines.parent.iterdir()] == [lines.name]


def test_a_refused_batch_is_named_and_what_came_before_is_not_sent_again(
    lines: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    memory = Memory()
    memory.refused_ids = {55}
    with serving(memory.answer) as server:
        asked = ["import", "c", str(lines), "--batch-size", "10", "--parallel", "2", "--url", server.url]
        assert main(asked) == 1
        told = capsys.readouterr().err
        assert "points.jsonl, bytes" in told
        assert "Vector dimension error" in told
        assert set(range(50)) <= set(memory.received)
        memory.refused_ids, memory.received = set(), []
        assert main(asked) == 0
    assert set(range(50)).isdisjoint(memory.received)
    assert memory.points.keys() == set(range(100))
    assert "imported 100 points" in capsys.readouterr().err


def test_an_import_that_meets_another_source_is_not_gone_on_with(
    lines: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    memory = Memory()
    memory.refused_ids = {99}
    with serving(memory.answer) as server:
        asked = ["import", "c", str(lines), "--batch-size", "10", "--url", server.url]
        assert main(asked) == 1
        lines.write_bytes(lines.read_bytes() + b'{"id": 100, "vector": [1, 2]}\n')
        memory.refused_ids = set()
        assert main(asked) == 1
        assert "about another job" in capsys.readouterr().err
        assert main([*asked, "--restart"]) == 0
    assert memory.points.keys() == set(range(101))


def test_an_interrupted_import_says_how_it_goes_on(
    lines: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C after the third batch, simulated where progress is told: test workers ignore the signal."""
    memory = Memory()

    def interrupt(_: PointsBar, position: int, points: int) -> None:
        if points == 30:
            raise KeyboardInterrupt

    monkeypatch.setattr(PointsBar, "tell", interrupt)
    with serving(memory.answer) as server:
        asked = ["import", "c", str(lines), "--batch-size", "10", "--parallel", "1", "--url", server.url]
        assert main(asked) == 130
        assert "the same command goes on" in capsys.readouterr().err
        assert len(memory.received) < 100
        first = list(memory.received)
        assert main(asked) == 0
    assert memory.points.keys() == set(range(100))
    assert set(first[:30]).isdisjoint(memory.received[len(first) :])


def test_a_journal_that_cannot_be_written_is_told_before_anything_is_sent(
    lines: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    memory = Memory()
    with serving(memory.answer) as server:
        asked = ["import", "c", str(lines), "--url", server.url]
        assert main([*asked, "--resume", str(lines.parent / "none/journal")]) == 1
        assert "name another by --resume" in capsys.readouterr().err
        assert memory.received == []
        assert main([*asked, "--resume", str(lines.parent / "journal")]) == 0


@pytest.mark.parametrize("target", ["out.jsonl", "out.jsonl.gz", "out.numpy"])
def test_an_export_goes_on_after_a_failure_and_holds_every_point_once(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exporting, "SAVE_S", 0.0)
    memory = Memory()
    memory.points = {n: {"id": n, "vector": [n, 0.5], "payload": {"n": n}} for n in range(50)}
    memory.fails_after_pages = 3
    path = tmp_path / target
    with serving(memory.answer) as server:
        asked = ["export", "c", str(path), "--batch-size", "7", "--url", server.url]
        assert main(asked) == 1
        assert not path.exists()
        memory.fails_after_pages = None
        assert main(asked) == 0
        scrolls = [json.loads(each.body).get("offset") for each in server.asked if each.method == "POST"]
        assert scrolls.count(None) == 1
        assert main(asked) == 1
        assert "--force" in capsys.readouterr().err
        other = Memory()
        with serving(other.answer) as second:
            assert main(["import", "d", str(path), "--url", second.url]) == 0
    assert other.points == memory.points
    assert [each.name for each in tmp_path.iterdir()] == [target]


def test_a_journal_is_whole_or_as_it_was(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", {"command": "x"})
    assert journal.load() == Progress()
    journal.save(Progress(5, 3, {"offset": 7}))
    assert journal.load() == Progress(5, 3, {"offset": 7})
    (tmp_path / "j").write_bytes(b"{")
    with pytest.raises(Exception, match="--restart begins anew"):
        journal.load()
    journal.remove()
    journal.remove()
