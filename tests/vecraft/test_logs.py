"""Where logs go, at which levels and in which form, and how that is changed while the process runs."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from protos.errors import BadInput
from protos.request_ids import begin
from vecraft.logs import LogControl
from vecraft.settings import LoggerSettings, OnDiskLogSettings, Settings


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, known = list(root.handlers), root.level, structlog.get_config()
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**known)


def settings(path: Path, **options: Any) -> Settings:
    on_disk = OnDiskLogSettings(enabled=True, log_file=str(path), format="json", log_level="debug")
    return Settings(logger=LoggerSettings(on_disk=on_disk, **options))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def speak(*names: str) -> None:
    for name in names:
        log = structlog.stdlib.get_logger(name)
        log.debug("whispered", by=name)
        log.info("said", by=name)


def test_the_file_has_its_own_level_and_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "node.log"
    LogControl(settings(path))
    speak("node.shard.life")
    assert [(line["event"], line["level"], line["by"]) for line in lines(path)] == [
        ("whispered", "debug", "node.shard.life"),
        ("said", "info", "node.shard.life"),
    ]
    assert "whispered" not in capsys.readouterr().out


def test_standard_output_may_be_json_and_follow_qdrants_targets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    LogControl(Settings(log_level="warn,raft=debug,node::shard=info", logger=LoggerSettings(format="json")))
    speak("consensus.raft.driver", "node.shard.life", "node.engine", "router.load")
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["by"], line["event"]) for line in found] == [
        ("consensus.raft.driver", "whispered"),
        ("consensus.raft.driver", "said"),
        ("node.shard.life", "said"),
    ]


def test_lines_within_a_request_carry_its_id(tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    LogControl(settings(path))
    begin({"x-request-id": "abc"}.get)
    speak("router.rest.app")
    assert {line["request_id"] for line in lines(path)} == {"abc"}


def test_a_change_merges_and_counts_at_once(tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    control = LogControl(settings(path))
    control.change({"log_level": "error", "on_disk": {"log_level": "info,node=off"}})
    speak("node.engine", "router.load")
    assert [line["by"] for line in lines(path)] == ["router.load"]
    shown = control.show()
    assert (shown["log_level"], shown["format"]) == ("error", "text")
    assert shown["on_disk"]["log_file"] == str(path)
    assert shown["on_disk"]["format"] == "json"
    control.change({"on_disk": {"enabled": False}})
    speak("router.load")
    assert len(lines(path)) == 1


@pytest.mark.parametrize(
    "part",
    [
        {"log_level": "loud"},
        {"format": "xml"},
        {"on_disk": {"log_file": "/elsewhere"}},
        {"on_disk": {"log_level": "x=loud"}},
        {"on_disk": 5},
    ],
)
def test_what_cannot_be_changes_nothing(tmp_path: Path, part: dict[str, Any]) -> None:
    control = LogControl(settings(tmp_path / "node.log"))
    before = control.show()
    with pytest.raises(BadInput):
        control.change(part)
    assert control.show() == before


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        LogControl(settings(tmp_path / "missing" / "node.log"))
