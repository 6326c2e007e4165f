"""The console: requests are completed, checked, run and kept."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.dashboard.data import SYNSETS
from tests.dashboard.driver import Visit

pytestmark = pytest.mark.slow


def test_a_query_is_completed_corrected_run_and_kept(visit: Visit) -> None:
    page = visit.go("console")
    path = page.get_by_role("combobox", name="Path")
    expect(page.get_by_text("GET has no body")).to_be_visible()  # what the node offers is known by now
    path.fill(f"/collections/{SYNSETS}/points/que")
    first = page.get_by_role("listbox", name="Paths").get_by_role("option").first
    expect(first).to_contain_text(f"/collections/{SYNSETS}/points/query")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(path).to_have_value(f"/collections/{SYNSETS}/points/query")
    expect(page.get_by_label("Method")).to_have_value("POST")
    expect(page.get_by_text("Body: filter")).to_be_visible()

    body = page.get_by_label("Body, as JSON")
    body.fill('{"query": 5,\n "limit" 3}')
    expect(page.get_by_text("Line 2, column 10: expected a colon after the key")).to_be_visible()
    expect(page.locator(".editor-paper mark")).to_have_text("3")
    body.press("Control+Enter")
    assert body.evaluate("box => [box.selectionStart, box.value[box.selectionStart]]") == [22, "3"]
    body.fill('{"query":5,"limit":3}')
    page.get_by_role("button", name="Format").click()
    expect(body).to_have_value('{\n  "query": 5,\n  "limit": 3\n}')
    body.press("Control+Enter")
    answer = page.get_by_label("Answer")
    expect(answer.locator(".badge")).to_have_text("200")
    expect(answer.locator(".json")).to_contain_text('"status": "ok"')

    page.reload()
    page.get_by_role("button", name="/points/query").click()
    expect(page.get_by_label("Body, as JSON")).to_have_value('{\n  "query": 5,\n  "limit": 3\n}')


def test_a_refusal_is_an_answer(visit: Visit) -> None:
    visit.witness.expected.append("404")
    page = visit.go("console")
    page.get_by_role("combobox", name="Path").fill("/collections/absent")
    page.get_by_role("button", name="Run").click()
    answer = page.get_by_label("Answer")
    expect(answer.locator(".badge")).to_have_text("404")
    expect(answer.locator(".json")).to_contain_text("doesn't exist!")


def test_no_other_host_is_asked(visit: Visit) -> None:
    page = visit.go("console")
    for path in ("https://example.com/collections", "//example.com/collections", "\\\\example.com"):
        page.get_by_role("combobox", name="Path").fill(path)
        page.get_by_role("button", name="Run").click()
        visit.witness.expected.append("404")
        expect(page.get_by_label("Answer").locator(".badge, [role=alert]").first).to_be_visible()


def test_lines_are_indented_as_one_types(visit: Visit) -> None:
    page = visit.go("console")
    body = page.get_by_label("Body, as JSON")
    body.click()
    page.keyboard.type("{}")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.keyboard.type('"a": 1')
    expect(body).to_have_value('{\n  "a": 1\n}')
