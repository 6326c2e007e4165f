"""The pages of collections."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.dashboard.conftest import POINTS
from tests.dashboard.data import HOSTILE_NAME, SYNSETS, call
from tests.dashboard.driver import Visit
from tests.live import LiveNode

pytestmark = pytest.mark.slow


def test_the_list_shows_each_collection_with_its_state(visit: Visit) -> None:
    page = visit.go("collections")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name=SYNSETS))
    expect(row).to_contain_text(f"{POINTS}")
    expect(row).to_contain_text("384 Cosine")
    expect(row.locator(".badge")).to_have_text("green")
    page.get_by_role("searchbox").fill("no such")
    expect(page.get_by_text("Nothing found")).to_be_visible()


def test_a_collection_is_created_given_an_alias_and_an_index_and_deleted_by_name(
    visit: Visit, node: LiveNode
) -> None:
    page = visit.go("collections")
    page.get_by_role("button", name="Create collection").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Create", exact=True).click()
    expect(dialog.get_by_text("A collection needs a name.")).to_be_visible()
    dialog.get_by_label("Name", exact=True).first.fill("made")
    dialog.get_by_label("Size").fill("7")
    dialog.get_by_role("button", name="Add vector").click()
    second = dialog.get_by_role("group").nth(1)
    second.get_by_label("Kind").select_option("Sparse")
    second.get_by_label("Name").fill("words")
    dialog.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("made")
    params = call(node.url, "GET", "/collections/made")["config"]["params"]
    assert params["vectors"]["size"] == 7
    assert list(params["sparse_vectors"]) == ["words"]

    page.get_by_label("New alias").fill("also-made")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("listitem").filter(has_text="also-made")).to_be_visible()
    page.get_by_role("link", name="Payload indexes").click()
    page.get_by_role("button", name="Add index").click()
    page.get_by_label("Field").fill("city.name")
    page.get_by_role("button", name="Create index").click()
    expect(page.get_by_role("row").filter(has_text="city.name")).to_contain_text("keyword")

    page.get_by_role("button", name="Delete").first.click()
    delete = page.get_by_role("dialog").get_by_role("button", name="Delete")
    expect(delete).to_be_disabled()
    page.get_by_label("Type made to confirm").fill("made")
    delete.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Collections")
    assert not call(node.url, "GET", "/collections/made/exists")["exists"]


def test_settings_are_shown_and_changed(visit: Visit, node: LiveNode) -> None:
    call(node.url, "PUT", "/collections/tuned", {"vectors": {"size": 2, "distance": "Dot"}})
    page = visit.go("collections", "tuned", "settings")
    expect(page.locator(".json")).to_contain_text('"ef_construct": 100')
    page.get_by_role("button", name="Change").click()
    box = page.get_by_label("What to change")
    box.fill('{"hnsw_config": {"ef_construct": 123}')
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("alert")).to_contain_text("is never closed (line 1, column 1)")
    box.fill('{"hnsw_config": {"ef_construct": 123}}')
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".json")).to_contain_text('"ef_construct": 123')
    call(node.url, "DELETE", "/collections/tuned")


def test_names_are_text_whatever_they_hold(visit: Visit) -> None:
    page = visit.go("collections")
    page.get_by_role("link", name=HOSTILE_NAME).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE_NAME)
    expect(page.locator(".stats")).to_contain_text("green")
    assert page.evaluate("window.harmed") is None


def test_errors_say_what_is_wrong_and_can_be_tried_again(visit: Visit, node: LiveNode) -> None:
    visit.witness.expected.append("404")
    page = visit.go("collections", "absent")
    expect(page.get_by_role("alert").first).to_contain_text("Collection `absent` doesn't exist!")
    call(node.url, "PUT", "/collections/absent", {"vectors": {"size": 2, "distance": "Dot"}})
    page.get_by_role("button", name="Try again").first.click()
    expect(page.locator(".stats")).to_contain_text("green")
    call(node.url, "DELETE", "/collections/absent")
