"""A cluster on the command line, against a server that answers what it is told to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.vecraft.commands.server import Answer, Asked, serving
from vecraft.cli import main

CLUSTER = {
    "status": "enabled",
    "peer_id": 1,
    "peers": {},
    "raft_info": {"term": 3, "commit": 9, "leader": 2, "role": "Follower"},
    "consensus_thread_status": {"consensus_thread_status": "working", "last_update": "2026-01-01T00:00:00Z"},
}


def member(peer_id: int, **changed: Any) -> dict[str, Any]:
    whole = {"id": peer_id, "uri": f"http://n{peer_id}:6335/", "zone": "", "version": "1", "replicas": 1}
    return {**whole, "node_type": "Normal", "draining": False, "primaries": 0, **changed}


def telemetry(shards: list[dict[int, str]], silent: int = 0, transfers: tuple[Any, ...] = ()) -> Any:
    working = {"consensus_thread_status": "working"}
    details = {"version": "1", "role": "Leader", "commit": 9, "consensus_thread_status": working}
    peers = {str(peer): {"responsive": True, "details": details} for peer in (1, 2, 3) if peer != silent}
    replicas = [
        [{"peer_id": peer, "state": state, "num_points": 7} for peer, state in held.items()]
        for held in shards
    ]
    collection = {
        "id": "c",
        "shards": [{"id": number, "replicas": each} for number, each in enumerate(replicas)],
        "shard_transfers": list(transfers),
    }
    return {"collections": {"c": collection}, "cluster": {"peers": peers}}


class World:
    """Answers; a move that is asked for arrives at the second look."""

    def __init__(self, members: list[Any], shards: list[dict[int, str]], silent: int = 0) -> None:
        self.members, self.shards, self.silent = members, shards, silent
        self.transfers: list[dict[str, Any]] = []
        self.fails = False

    def answer(self, asked: Asked) -> Answer:
        path = asked.path.partition("?")[0]
        if path == "/cluster":
            return Answer(result=CLUSTER)
        if path == "/cluster/peers":
            return Answer(result=self.members)
        if path == "/cluster/telemetry":
            shown = telemetry(self.shards, self.silent, tuple(self.transfers))
            self._finish()
            return Answer(result=shown)
        if path.endswith("/drain"):
            self.members = [
                {**each, "draining": asked.method == "PUT", "replicas": 0} for each in self.members
            ]
            return Answer()
        ends = json.loads(asked.body)["move_shard"]
        self.transfers.append(
            {"shard_id": ends["shard_id"], "from": ends["from_peer_id"], "to": ends["to_peer_id"]}
        )
        return Answer()

    def _finish(self) -> None:
        for transfer in self.transfers:
            if not self.fails:
                held = self.shards[transfer["shard_id"]]
                held[transfer["to"]] = held.pop(transfer["from"])
        self.transfers = []


def test_a_node_on_its_own_has_a_status_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(lambda _: Answer(result={"status": "disabled"})) as server:
        assert main(["cluster", "status", "--url", server.url]) == 0
        assert "on its own" in capsys.readouterr().out
        assert main(["cluster", "status", "--json", "--url", server.url]) == 0
        assert json.loads(capsys.readouterr().out) == {"status": "disabled"}
        assert main(["cluster", "rebalance", "--url", server.url]) == 1


def test_a_status_shows_peers_replicas_and_transfers(capsys: pytest.CaptureFixture[str]) -> None:
    members = [member(1), member(2, draining=True), member(3, node_type="Listener", zone="b")]
    world = World(members, [{1: "Active", 2: "Partial"}], silent=1)
    world.fails = True
    moving = {"shard_id": 0, "from": 1, "to": 2, "method": "snapshot", "comment": "transferring (1.5s)"}
    with serving(world.answer) as server:
        world.transfers = [moving]
        assert main(["cluster", "status", "--url", server.url]) == 0
        text = capsys.readouterr().out
        world.transfers = [moving]
        assert main(["cluster", "status", "--json", "--url", server.url]) == 0
    for words in (
        "leader 2",
        "silent",
        "draining",
        "listening",
        "1 Active, 1 Partial",
        "transferring (1.5s)",
    ):
        assert words in text
    shown = json.loads(capsys.readouterr().out)
    assert [peer["responsive"] for peer in shown["peers"]] == [False, True, True]
    assert shown["collections"]["c"]["shards"] == {"0": {"1": "Active", "2": "Partial"}}
    assert shown["collections"]["c"]["points"] == 7


def test_a_move_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    world = World([member(1), member(2)], [{1: "Active"}])
    with serving(world.answer) as server:
        assert main(["cluster", "move", "c", "0", "--from", "1", "--to", "2", "--url", server.url]) == 0
    assert world.shards == [{2: "Active"}]
    assert "moved" in capsys.readouterr().out


def test_a_move_that_does_not_arrive_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    world = World([member(1), member(2)], [{1: "Active"}])
    world.fails = True
    with serving(world.answer) as server:
        assert main(["cluster", "move", "c", "0", "--from", "1", "--to", "2", "--url", server.url]) == 1
    assert "did not get to peer 2" in capsys.readouterr().err


def test_rebalancing_uses_neither_silent_nor_draining_nor_listening_peers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    members = [member(1), member(2, draining=True), member(3), member(4), member(5, node_type="Listener")]
    world = World(members, [{1: "Active"}, {1: "Active"}, {1: "Dead"}], silent=3)
    with serving(world.answer) as server:
        assert main(["cluster", "rebalance", "--url", server.url]) == 0
        assert "nothing to move" in capsys.readouterr().err
        world.silent = 0
        assert main(["cluster", "rebalance", "--dry-run", "--json", "--url", server.url]) == 0
        (move,) = json.loads(capsys.readouterr().out)["moves"]
        assert (move["source"], move["target"]) == (1, 3)
        assert world.shards[0] == {1: "Active"}
        assert main(["cluster", "rebalance", "--collection", "none", "--url", server.url]) == 1
        assert main(["cluster", "rebalance", "--url", server.url]) == 0
    assert sorted(peer for held in world.shards for peer in held) == [1, 1, 3]


def test_draining_waits_and_can_be_undone() -> None:
    world = World([member(1)], [])
    with serving(world.answer) as server:
        assert main(["cluster", "drain", "1", "--url", server.url]) == 0
        assert world.members[0]["draining"]
        assert main(["cluster", "drain", "1", "--undo", "--url", server.url]) == 0
        assert not world.members[0]["draining"]
    drains = [asked.method for asked in server.asked if asked.path == "/cluster/peer/1/drain"]
    assert drains == ["PUT", "DELETE"]
