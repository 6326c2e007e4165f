"""The dashboard's pages of a cluster, on a real one."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.dashboard.data import call
from tests.dashboard.driver import NARROW, Visit, browsing, settled
from tests.dashboard.reading import NAMELESS, POOR_CONTRAST, SHIFTED
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


def test_shard_keys_backups_and_quotas_of_a_cluster(tmp_path: Path) -> None:
    with clustered(tmp_path, 2) as cluster, View(cluster) as view, browsing() as browser:
        view.wait_joined(2)
        url = cluster[0].url
        config = {"vectors": {"size": 1, "distance": "Dot"}, "sharding_method": "custom"}
        call(url, "PUT", "/collections/keyed", config)
        visit = Visit(browser, url)
        _keys_are_added_and_deleted(visit, view.peer_id(cluster[1]))
        _quotas_are_set(visit)
        _a_backup_comes_back(visit)
        visit.witness.complain()


def _keys_are_added_and_deleted(visit: Visit, other_peer: int) -> None:
    url, page = visit.witness.url, visit.go("cluster")
    expect(page.get_by_text("No shard keys yet")).to_be_visible()
    dialog = page.get_by_role("dialog")
    page.get_by_role("button", name="Add shard key").click()
    dialog.get_by_label("Kind").select_option("Number")
    page.keyboard.press("Enter")
    expect(dialog.get_by_text("A whole number from 0")).to_be_visible()
    dialog.get_by_label("Key").fill(str(2**64 - 1))
    dialog.get_by_label("Shards").fill("2")
    dialog.get_by_label(f"Peer {other_peer}").check()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Added shard key")).to_be_visible()
    keys = page.get_by_role("region", name="Shard keys")
    expect(keys.get_by_role("row")).to_have_count(2)
    page.get_by_role("button", name="Add shard key").click()
    dialog.get_by_label("Key").fill("7")
    page.keyboard.press("Enter")
    expect(keys.get_by_role("row")).to_have_count(3)
    listed = call(url, "GET", "/collections/keyed/shards")["shard_keys"]
    assert sorted(map(str, listed)) == sorted(map(str, [{"key": "7"}, {"key": 2**64 - 1}]))
    remote = call(url, "GET", "/collections/keyed/cluster")["remote_shards"]
    at_other = [shard for shard in remote if shard["shard_key"] == 2**64 - 1]
    assert [shard["peer_id"] for shard in at_other] == [other_peer] * 2

    points = [{"id": 1, "vector": [1]}]
    call(url, "PUT", "/collections/keyed/points?wait=true", {"points": points, "shard_key": "7"})
    page.get_by_role("button", name=f"Delete shard key {2**64 - 1}").click()
    dialog.get_by_role("textbox").fill(str(2**64 - 1))
    page.keyboard.press("Enter")
    expect(keys.get_by_role("row")).to_have_count(2)
    assert call(url, "GET", "/collections/keyed/shards")["shard_keys"] == [{"key": "7"}]


def _quotas_are_set(visit: Visit) -> None:
    url, page = visit.witness.url, visit.go("cluster")
    usage = page.get_by_role("region", name="Memory and disk")
    expect(usage.get_by_role("row")).to_have_count(3)
    expect(page.get_by_text("No quota is set")).to_be_visible()
    dialog = page.get_by_role("dialog")
    page.get_by_role("button", name="Change quotas").click()
    dialog.get_by_label("Keep to quotas").check()
    dialog.get_by_label("Memory, in percent").fill("101")
    page.keyboard.press("Enter")
    expect(dialog.get_by_text("A whole number from 1 to 100.")).to_be_visible()
    dialog.get_by_label("Memory, in percent").fill("1")
    dialog.get_by_label("Margin, in percent").fill("0")
    page.keyboard.press("Enter")
    expect(page.get_by_text("A node that uses 1 % of memory takes no more data")).to_be_visible()
    assert call(url, "GET", "/quotas")["config"] == {
        "enabled": True,
        "max_resident_memory_percent": 1,
        "max_disk_usage_percent": None,
        "release_margin_percent": 0,
    }
    page.get_by_role("button", name="Change quotas").click()
    dialog.get_by_label("Keep to quotas").uncheck()
    page.keyboard.press("Enter")
    expect(page.get_by_text("No quota is set")).to_be_visible()


def _a_backup_comes_back(visit: Visit) -> None:
    url, page = visit.witness.url, visit.go("snapshots")
    expect(page.get_by_text("No backups on this node yet")).to_be_visible()
    page.get_by_role("button", name="Back up the cluster").click()
    expect(page.get_by_text("Backed up 1 point of 1 collection")).to_be_visible()
    backups = page.get_by_role("region", name="Backups of the cluster")
    expect(backups.get_by_role("row")).to_have_count(2)
    restore, dialog = backups.get_by_role("button", name="Restore"), page.get_by_role("dialog")
    visit.witness.expected.append("409 (Conflict)")
    restore.click()
    dialog.get_by_role("button", name="Restore").click()
    expect(page.get_by_text("already exists")).to_be_visible()
    call(url, "DELETE", "/collections/keyed")
    restore.click()
    dialog.get_by_role("button", name="Cancel").click()
    assert not call(url, "GET", "/collections/keyed/exists")["exists"]
    restore.click()
    dialog.get_by_role("button", name="Restore").click()
    expect(page.get_by_text("Restored ")).to_be_visible()
    assert call(url, "POST", "/collections/keyed/points/count", {})["count"] == 1


def test_what_only_a_cluster_shows_can_be_read_on_a_narrow_screen(tmp_path: Path) -> None:
    with clustered(tmp_path, 2) as cluster, View(cluster) as view, browsing() as browser:
        view.wait_joined(2)
        url = cluster[0].url
        config = {"vectors": {"size": 1, "distance": "Dot"}, "sharding_method": "custom"}
        call(url, "PUT", "/collections/keyed", config)
        call(url, "PUT", "/collections/keyed/shards", {"shard_key": "a key that is rather long" * 3})
        call(url, "POST", "/cluster/backups")
        visit = Visit(browser, url)
        visit.size(NARROW)
        for theme in ("light", "dark"):
            visit.theme(theme)
            for name, last in (("cluster", "Memory and disk"), ("snapshots", "Backups of the cluster")):
                page = visit.go(name)
                page.get_by_role("region", name=last).wait_for()
                settled(page)
                assert page.evaluate(SHIFTED) < 0.1, (theme, name)
                assert not visit.is_too_wide(), (theme, name)
                assert page.evaluate(POOR_CONTRAST) == [], (theme, name)
                assert page.evaluate(NAMELESS) == [], (theme, name)
        visit.witness.complain()
