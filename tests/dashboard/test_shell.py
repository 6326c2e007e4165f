"""What holds on every page: themes, narrow screens, keys, the way of a reader without a pointer."""

from __future__ import annotations

import pytest
from playwright.sync_api import Route, expect

from tests.dashboard.data import SYNSETS, call
from tests.dashboard.driver import NARROW, Visit, settled
from tests.dashboard.reading import NAMELESS, POOR_CONTRAST, SHIFTED
from tests.live import LiveNode

pytestmark = pytest.mark.slow

PAGES = (
    ("collections",),
    ("collections", SYNSETS),
    ("collections", SYNSETS, "points"),
    ("collections", SYNSETS, "map"),
    ("collections", SYNSETS, "indexes"),
    ("collections", SYNSETS, "settings"),
    ("collections", SYNSETS, "snapshots"),
    ("snapshots",),
    ("console",),
    ("cluster",),
    ("tokens",),
)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_comes_without_moving_can_be_read_and_fits_a_narrow_screen(
    visit: Visit, theme: str
) -> None:
    visit.theme(theme)
    visit.size(NARROW)
    for parts in PAGES:
        page = visit.go(*parts)
        if parts == ("cluster",):
            page.get_by_role("region", name="Memory and disk").wait_for()
        settled(page)
        assert page.evaluate("document.documentElement.dataset.theme") == theme
        assert page.evaluate(SHIFTED) < 0.1, parts
        assert not visit.is_too_wide(), parts
        assert page.evaluate(POOR_CONTRAST) == [], parts
        assert page.evaluate(NAMELESS) == [], parts


def test_the_theme_can_be_chosen_and_is_kept(visit: Visit) -> None:
    page = visit.go("collections")
    page.get_by_role("button", name="Dark theme").click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="Light theme").click()
    assert page.evaluate("localStorage.length") == 0  # as the system has it
    visit.theme("dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_a_journey_without_a_pointer(visit: Visit, node: LiveNode) -> None:
    """From the list to a new collection, its index, a query of it and its end, by keys alone."""
    page = visit.go("collections")
    settled(page)
    keys = page.keyboard
    keys.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    keys.press("Enter")
    expect(page.locator("main")).to_be_focused()
    keys.press("?")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Create a collection")
    keys.press("Escape")
    expect(dialog).to_have_count(0)

    keys.press("n")
    expect(page.get_by_label("Name", exact=True).first).to_be_focused()
    keys.type("by-keys")
    for _ in range(40):  # the focus goes round inside of the dialog
        keys.press("Tab")
        inside = page.evaluate(
            "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
        )
        assert inside
    page.get_by_label("Name", exact=True).first.focus()
    keys.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("by-keys")
    expect(page.get_by_role("heading", level=1)).to_be_focused()

    keys.press("Tab")  # delete
    keys.press("Tab")  # the first tab
    keys.press("Tab")
    expect(page.get_by_role("link", name="Points")).to_be_focused()
    keys.press("Enter")
    expect(page.get_by_text("No points yet")).to_be_visible()

    keys.press("g")
    keys.press("q")
    expect(page.get_by_role("heading", level=1)).to_have_text("Console")
    expect(page.get_by_text("GET has no body")).to_be_visible()
    keys.press("/")
    keys.press("Control+a")
    keys.type("/collections/by-k")
    keys.press("ArrowDown")
    keys.press("Enter")
    keys.press("Control+Enter")
    expect(page.get_by_label("Answer").locator(".badge")).to_have_text("200")

    keys.press("Escape")
    page.locator("main").focus()
    keys.press("g")
    keys.press("c")
    expect(page.get_by_role("link", name="by-keys")).to_be_visible()
    page.get_by_role("link", name="by-keys").focus()
    keys.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    keys.press("Tab")
    keys.press("Enter")
    keys.type("by-keys")
    keys.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Collections")
    assert not call(node.url, "GET", "/collections/by-keys/exists")["exists"]


def test_motion_stops_for_who_asked_for_less(visit: Visit) -> None:
    visit.page.emulate_media(reduced_motion="reduce")
    page = visit.go("collections")
    page.get_by_role("button", name="Create collection").click()
    duration = page.get_by_role("dialog").evaluate("dialog => getComputedStyle(dialog).animationDuration")
    assert duration in ("0.01ms", "1e-05s", "0.00001s")


def test_a_node_that_does_not_answer_is_said(visit: Visit) -> None:
    visit.witness.expected.append("Failed to load resource")
    page = visit.go("collections")
    settled(page)
    page.route("**/collections", lambda route: route.abort())
    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_role("alert")).to_contain_text("The node does not answer")
    page.unroute("**/collections")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("link", name=SYNSETS)).to_be_visible()


def test_a_thousand_collections_are_shown_page_by_page(visit: Visit) -> None:
    """The node's answers are made up here: only the page is tried."""
    names = [f"c{number:04}" for number in range(1000)]
    listed = {"result": {"collections": [{"name": name} for name in names]}, "status": "ok", "time": 0}
    page = visit.page
    page.route("**/collections", lambda route: route.fulfill(json=listed))
    info = call(visit.witness.url, "GET", f"/collections/{SYNSETS}")
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(json={"result": info, "status": "ok", "time": 0})

    page.route(f"{visit.witness.url}/collections/c*", answer)
    visit.go("collections")
    settled(page)
    expect(page.locator("tbody tr")).to_have_count(50)
    assert len(asked) == 50
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("51–100 of 1,000")).to_be_visible()
    page.get_by_role("searchbox").fill("c0999")
    expect(page.get_by_role("link", name="c0999")).to_be_visible()
