"""The dashboard's page of a cluster, on a real one."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.dashboard.driver import Visit, browsing
from tests_cluster.cluster import clustered
from tests_cluster.view import View

pytestmark = pytest.mark.slow


def test_peers_and_replicas_are_shown_moved_and_drained(tmp_path: Path) -> None:
    with clustered(tmp_path, 2) as cluster, View(cluster) as view, browsing() as browser:
        view.wait_joined(2)
        view.create("c", replicas=1, shard_number=1, replication_factor=1)
        view.put(cluster[0], "c", range(50), 1)
        (source,) = view.holders("c", 0)
        (target,) = {view.peer_id(node) for node in cluster} - {source}

        visit = Visit(browser, cluster[0].url)
        page = visit.go("cluster")
        peers = page.get_by_role("region", name="Peers")
        expect(peers.get_by_role("row")).to_have_count(3)
        expect(peers.get_by_text("Leader")).to_be_visible()
        shards = page.get_by_role("region", name="Shards and their replicas")
        expect(shards.get_by_text("Active")).to_have_count(1)

        shards.get_by_role("button", name=f"Change replica of shard 0 on peer {source}").click()
        page.get_by_label("What").select_option("Copy it to another peer")
        page.get_by_role("button", name="Do it").click()
        view.wait_states("c", {(0, source): "Active", (0, target): "Active"})
        expect(shards.get_by_text("Active")).to_have_count(2)
        shards.get_by_role("button", name=f"Change replica of shard 0 on peer {source}").click()
        expect(page.get_by_label("What").get_by_role("option")).to_have_count(1)  # nowhere to move it to
        page.get_by_role("button", name="Do it").click()
        view.wait_states("c", {(0, target): "Active"})

        row = peers.get_by_role("row").filter(has_text=str(target))
        row.get_by_role("button", name="Drain").click()
        page.get_by_role("dialog").get_by_role("button", name="Drain").click()
        draining = row.get_by_text("draining", exact=True)
        expect(draining).to_be_visible()
        view.wait_states("c", {(0, source): "Active"})
        row.get_by_role("button", name="Stop draining").click()
        expect(draining).to_have_count(0)
        visit.witness.complain()
