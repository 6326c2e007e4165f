"""Snapshots: made, fetched, put back, deleted."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.dashboard.data import call
from tests.dashboard.driver import Visit
from tests.live import LiveNode

pytestmark = pytest.mark.slow


def test_a_collection_is_what_its_snapshot_holds(visit: Visit, node: LiveNode, tmp_path: Path) -> None:
    """A snapshot is made and fetched; the collection changes and is recovered from the file."""
    call(node.url, "PUT", "/collections/kept", {"vectors": {"size": 1, "distance": "Dot"}})
    points = [{"id": 1, "vector": [1], "payload": {"as": "it was"}}]
    call(node.url, "PUT", "/collections/kept/points?wait=true", {"points": points})
    page = visit.go("collections", "kept", "snapshots")
    expect(page.get_by_text("No snapshots yet")).to_be_visible()
    page.get_by_role("button", name="Create snapshot").click()
    expect(page.get_by_role("row")).to_have_count(2)
    (made,) = call(node.url, "GET", "/collections/kept/snapshots")
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Download {made['name']}").click()
    file = tmp_path / made["name"]
    download.value.save_as(file)
    assert file.stat().st_size == made["size"]

    call(node.url, "POST", "/collections/kept/points/delete?wait=true", {"points": [1]})
    page.get_by_role("button", name="Recover").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Recover").click()
    expect(dialog.get_by_text("From where?")).to_be_visible()
    dialog.get_by_label("File").set_input_files(file)
    dialog.get_by_role("button", name="Recover").click()
    expect(page.get_by_text("Recovered kept")).to_be_visible()
    assert call(node.url, "POST", "/collections/kept/points/count", {})["count"] == 1

    page.get_by_role("button", name=f"Delete {made['name']}").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No snapshots yet")).to_be_visible()
    call(node.url, "DELETE", "/collections/kept")


def test_everything_is_kept_in_one_snapshot(visit: Visit, node: LiveNode) -> None:
    page = visit.go("snapshots")
    page.get_by_role("button", name="Create snapshot").click()
    expect(page.get_by_role("row").filter(has_text="full-snapshot-")).to_have_count(1)
    (made,) = call(node.url, "GET", "/snapshots")
    page.get_by_role("button", name=f"Delete {made['name']}").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No snapshots yet")).to_be_visible()
