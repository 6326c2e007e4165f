"""``vecraft cluster`` against real nodes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests_cluster.cluster import clustered
from tests_cluster.view import View
from vecraft.cli import main

pytestmark = pytest.mark.slow


def test_a_cluster_is_shown_rebalanced_and_a_peer_leaves_without_loss(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A peer joins later and gets its share; another is drained and removed. No point is missing."""
    with clustered(tmp_path, 2) as cluster, View(cluster) as view:
        view.wait_joined(2)
        view.create("c", replicas=12)
        view.put(cluster[0], "c", range(300), 1)
        newcomer = cluster.add()
        newcomer.start()
        view.wait_joined(3)
        server = ["--url", cluster[0].url]

        assert main(["cluster", "rebalance", *server]) == 0
        capsys.readouterr()
        assert main(["cluster", "status", "--json", *server]) == 0
        status = json.loads(capsys.readouterr().out)
        assert [peer["replicas"] for peer in status["peers"]] == [4, 4, 4]
        assert status["collections"]["c"]["points"] == 300
        assert main(["cluster", "status", *server]) == 0
        assert "12 Active" in capsys.readouterr().out

        leaving = view.peer_id(cluster[1])
        assert main(["cluster", "remove", str(leaving), *server]) == 1
        assert "there are shards on it" in capsys.readouterr().err
        assert main(["cluster", "drain", str(leaving), *server]) == 0
        assert main(["cluster", "remove", str(leaving), *server]) == 0
        cluster[1].kill()
        view.wait_joined(2)
        states = view.wait_active("c", replicas=12)
        assert {peer for _, peer in states} == {view.peer_id(cluster[0]), view.peer_id(newcomer)}
        assert view.assert_replicas_equal("c").keys() == set(range(300))

        assert main(["backup", "create", "--json", *server]) == 0
        name = json.loads(capsys.readouterr().out)["name"]
        assert main(["backup", "list", *server]) == 0
        assert capsys.readouterr().out.split() == [name]
        assert main(["collection", "delete", "c", "--yes", *server]) == 0
        assert main(["backup", "restore", name, *server]) == 0
        assert view.values(newcomer, "c").keys() == set(range(300))


def test_a_replica_is_moved_and_the_doctor_misses_a_peer_that_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with clustered(tmp_path, 2) as cluster, View(cluster) as view:
        view.wait_joined(2)
        view.create("c", replicas=1, shard_number=1, replication_factor=1)
        view.put(cluster[0], "c", range(50), 1)
        (source,) = view.holders("c", 0)
        (target,) = {view.peer_id(node) for node in cluster} - {source}
        ends = ["--from", str(source), "--to", str(target), "--method", "stream_records"]
        assert main(["cluster", "move", "c", "0", *ends, "--url", cluster[0].url]) == 0
        view.wait_states("c", {(0, target): "Active"})
        assert view.values(cluster[0], "c").keys() == set(range(50))

        def of_cluster() -> list[str]:
            capsys.readouterr()
            main(["doctor", "--json", "--url", cluster[0].url])
            findings = json.loads(capsys.readouterr().out)["findings"]
            return [each["what"] for each in findings if each["check"] == "cluster"]

        assert of_cluster() == []
        lost = view.peer_id(cluster[1])
        cluster[1].kill()
        cluster.wait_for(
            lambda: any(f"peer {lost}" in what and "does not answer" in what for what in of_cluster()),
            what="the doctor to miss it",
        )
