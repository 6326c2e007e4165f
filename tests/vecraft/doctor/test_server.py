"""The doctor at a server: findings from what it tells of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.ports import free_port
from tests.vecraft.commands.server import Answer, Asked, serving
from vecraft import __version__
from vecraft.asking import (
    Answering,
    ClusterView,
    Collection,
    Consensus,
    Details,
    Member,
    Own,
    Peers,
    Raft,
    Replica,
    Shard,
    Telemetry,
)
from vecraft.cli import main
from vecraft.doctor import server
from vecraft.doctor.findings import Finding
from vecraft.doctor.server import ServerFacts, Usage, judge, judge_cluster

WELL = ServerFacts(url="http://a", unready="", collections={}, cluster=None)
NOON, LATER = "2026-01-01T12:00:00.500000Z", "2026-01-01T12:00:09.000000Z"


def told(findings: list[Finding]) -> str:
    assert all(each.what and each.why and each.mend for each in findings)
    return "; ".join(f"{each.severity}: {each.what}" for each in findings)


def member(peer: int, **changed: Any) -> Member:
    whole = Member(peer, f"http://n{peer}:6335/", "", __version__, "Normal", False, 1, 1)
    return replace(whole, **changed)


def answering(when: str = NOON, thread: str = "working") -> Answering:
    return Answering(True, Details(consensus_thread_status=Consensus(thread, when)))


def wanting(wanted: int, *, cached: int) -> ServerFacts:
    return replace(WELL, collections={"c": server.Collection("green", "ok", Usage(0, 1, cached, wanted))})


def view(**changed: Any) -> ClusterView:
    peers = Peers({"1": answering(), "2": answering()})
    whole = ClusterView(
        Own("enabled", 1, Raft(1, 1, leader=1)), [member(1), member(2)], Telemetry(cluster=peers)
    )
    return replace(whole, **changed)


def with_replicas(*states: str) -> ClusterView:
    shard = Shard(0, [Replica(peer, state) for peer, state in enumerate(states, 1)])
    peers = view().telemetry.cluster
    return view(telemetry=Telemetry({"c": Collection("c", [shard])}, peers))


def with_peers(**peers: Answering) -> ClusterView:
    return view(telemetry=Telemetry(cluster=Peers({name[1:]: each for name, each in peers.items()})))


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (view(), ""),
        (view(own=Own("enabled", 1, Raft(1, 1))), "error: the cluster has no leader"),
        (with_peers(p1=answering()), "error: peer 2 at http://n2:6335/ does not answer"),
        (with_peers(p1=answering(), p2=answering(thread="stopped")), "error: peer 2 has stopped agreeing"),
        (
            with_peers(p1=answering(), p2=answering(LATER)),
            "warning: the clocks of peers 1 and 2 are 8 s apart",
        ),
        (view(members=[member(1), member(2, draining=True, replicas=0)]), "warning: peer 2 is drained"),
        (view(members=[member(1), member(2, version="0.1")]), "warning: peers run different versions"),
        (view(members=[member(1, version="0.1")]), "warning: the peers run 0.1"),
        (with_replicas("Active", "Dead"), "warning: c, shard 0: dead on 2, active on 1 peers"),
        (with_replicas("Dead", "Dead"), "error: c, shard 0: dead on 1, 2"),
        (with_replicas("Active", "Partial"), ""),
    ],
)
def test_what_a_cluster_may_suffer_from(seen: ClusterView, words: str) -> None:
    findings = judge_cluster(seen)
    assert bool(findings) is bool(words)
    assert words in told(findings)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (WELL, ""),
        (replace(WELL, unready="shard 0 of c"), "error: it is not ready: shard 0 of c"),
        (replace(WELL, collections={"c": server.Collection("red")}), "error: collection c is red"),
        (
            replace(WELL, collections={"c": server.Collection("yellow", server._Optimizer("no memory"))}),
            "error: collection c cannot be optimized: no memory",
        ),
        (wanting(9 << 30, cached=1 << 30), "warning: the collections want 9.0 GiB"),
        (wanting(9 << 30, cached=8 << 30), ""),
        (
            replace(WELL, collections={"c": server.Collection(refusal="no replica (HTTP 503)")}),
            "error: collection c cannot be asked about: no replica (HTTP 503)",
        ),
        (replace(WELL, cluster=view()), ""),
    ],
)
def test_what_a_server_may_suffer_from(seen: ServerFacts, words: str) -> None:
    findings = judge(seen, available_bytes=4 << 30)
    assert bool(findings) is bool(words)
    assert words in told(findings)


def test_memory_of_another_machine_is_not_judged() -> None:
    assert judge(wanting(9 << 40, cached=0), available_bytes=None) == []


def test_a_server_is_asked_about_everything_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(asked: Asked) -> Answer:
        answers: dict[str, Any] = {
            "/collections": {"collections": [{"name": "c"}, {"name": "lost"}]},
            "/collections/c": {"status": "red", "optimizer_status": {"error": "disk full"}},
            "/collections/c/memory": {"total": {"ram_bytes": 5}},
            "/collections/lost": Answer(503, "no replica"),
            "/cluster": {"status": "disabled"},
        }
        if asked.path == "/readyz":
            return Answer(503, raw=b"some shards are not ready")
        found = answers[asked.path]
        return found if isinstance(found, Answer) else Answer(result=found)

    monkeypatch.chdir(tmp_path)
    with serving(answer) as running:
        assert main(["doctor", "--url", running.url]) == 2
    text = capsys.readouterr().out
    for words in ("some shards are not ready", "collection c is red", "disk full", "no replica"):
        assert words in text


def test_a_server_that_is_not_there_is_an_error_if_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", "--url", f"http://127.0.0.1:{free_port()}"]) == 2
    assert "connection refused" in capsys.readouterr().out
    with serving(lambda _: Answer(403, "Forbidden: Global access is required")) as running:
        assert main(["doctor", "--url", running.url]) == 2
    assert "VECRAFT_API_KEY" in capsys.readouterr().out
