"""The map of a collection's vectors."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.conftest import POINTS
from tests.dashboard.data import HOSTILE_NAME, SYNSETS
from tests.dashboard.driver import Visit
from tests.live import wait_for

pytestmark = pytest.mark.slow

# Colours of a canvas that are neither transparent nor drawn by few pixels.
_COLOURS = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const seen = new Map();
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3] < 200) continue;
    const key = [data[at] >> 4, data[at + 1] >> 4, data[at + 2] >> 4].join();
    seen.set(key, (seen.get(key) ?? 0) + 1);
  }
  return [...seen.values()].filter((count) => count > 20).length;
}"""


def _drawn(page: Page, points: int) -> None:
    expect(page.get_by_role("status").filter(has_text=f"{points} point")).to_have_text(f"{points} points")


def test_points_are_drawn_coloured_hidden_and_chosen(visit: Visit) -> None:
    visit.witness.expected.append("willReadFrequently")  # it is this test that reads the canvas
    page = visit.go("collections", SYNSETS, "map")
    _drawn(page, POINTS)
    expect(page.locator(".legend")).to_contain_text("noun.")
    canvas = page.locator("canvas")
    wait_for(lambda: canvas.evaluate(_COLOURS) >= 3, what="points of several colours")
    first = page.locator(".legend-entry").first
    first.click()
    expect(first).to_have_attribute("aria-pressed", "false")
    canvas.focus()
    page.keyboard.press("n")
    expect(page.locator(".map-details .point")).to_be_visible()
    chosen = page.locator(".map-details h3").text_content()
    page.keyboard.press("n")
    expect(page.locator(".map-details h3")).not_to_have_text(str(chosen))
    page.mouse.wheel(0, -400)
    page.get_by_label("Colour by").fill("relations")
    page.get_by_label("Colour by").press("Enter")
    canvas.focus()
    expect(page.locator(".ramp")).to_be_visible()


def test_neighbours_are_laid_out_from_the_distance_matrix(visit: Visit) -> None:
    page = visit.go("collections", SYNSETS, "map")
    _drawn(page, POINTS)
    with page.expect_response(lambda answer: answer.url.endswith("/points/search/matrix/offsets")):
        page.get_by_label("Layout").select_option("Neighbours (UMAP)")
    expect(page.locator('.map-card[aria-busy="false"]')).to_be_visible()
    _drawn(page, POINTS)


def test_a_filter_leaves_points_out(visit: Visit) -> None:
    page = visit.go("collections", SYNSETS, "map")
    _drawn(page, POINTS)
    page.get_by_role("button", name="Add condition").click()
    page.get_by_label("Field").fill("pos")
    page.get_by_label("Value", exact=True).fill("none such")
    page.get_by_role("button", name="Draw").click()
    expect(page.get_by_text("Nothing to draw")).to_be_visible()


def test_one_point_with_a_hostile_payload_is_a_map_too(visit: Visit) -> None:
    page = visit.go("collections", HOSTILE_NAME, "map")
    expect(page.get_by_role("status").filter(has_text="1 point")).to_be_visible()
    page.locator("canvas").focus()
    page.keyboard.press("n")
    expect(page.locator(".map-details .point")).to_be_visible()
    assert page.evaluate("window.harmed") is None
