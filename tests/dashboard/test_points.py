"""Points: found, read, changed, deleted."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.data import HOSTILE_NAME, HOSTILE_PAYLOAD, LARGE_ID, SYNSETS, call
from tests.dashboard.driver import Visit
from tests.live import LiveNode

pytestmark = pytest.mark.slow


def _ids(page: Page) -> list[str]:
    return page.locator(".point h3").all_text_contents()


def test_pages_of_points_go_on_and_back(visit: Visit) -> None:
    page = visit.go("collections", SYNSETS, "points")
    expect(page.locator(".point")).to_have_count(20)
    assert _ids(page) == [str(place) for place in range(20)]
    page.get_by_role("button", name="Next").click()
    expect(page.locator(".point h3").first).to_have_text("20")
    page.get_by_role("button", name="Previous").click()
    expect(page.locator(".point h3").first).to_have_text("0")
    expect(page.get_by_role("button", name="Previous")).to_be_disabled()


def test_a_filter_is_put_together_and_kept_in_the_address(visit: Visit, node: LiveNode) -> None:
    wanted = {"must": [{"key": "pos", "match": {"value": "noun"}}, {"key": "relations", "range": {"gte": 5}}]}
    count = call(node.url, "POST", f"/collections/{SYNSETS}/points/count", {"filter": wanted})["count"]
    page = visit.go("collections", SYNSETS, "points")
    for row, (key, operator, value) in enumerate((("pos", "is", "noun"), ("relations", "gte", "5"))):
        page.get_by_role("button", name="Add condition").click()
        page.get_by_label("Field").nth(row).fill(key)
        page.get_by_label("Comparison").nth(row).select_option(operator)
        page.get_by_label("Value").nth(row).fill(value)
    page.get_by_label("At most").select_option("100")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator(".point")).to_have_count(min(count, 100))
    page.reload()
    expect(page.locator(".point")).to_have_count(min(count, 100))
    assert json.loads(page.get_by_label("Filter as JSON").input_value()) == wanted


def test_what_is_similar_to_a_point_is_the_nodes_answer(visit: Visit, node: LiveNode) -> None:
    body = {"query": 7, "limit": 20}
    expected = call(node.url, "POST", f"/collections/{SYNSETS}/points/query", body)["points"]
    page = visit.go("collections", SYNSETS, "points")
    page.get_by_role("article", name="Point 7", exact=True).get_by_role("link", name="Similar").click()
    expect(page.locator(".point h3").first).to_have_text(str(expected[0]["id"]))
    assert _ids(page) == [str(point["id"]) for point in expected]
    expect(page.locator(".point .badge").first).to_have_text(f"{expected[0]['score']:.4f}")
    page.get_by_label("How").select_option("Nearest to a vector")
    page.get_by_label("What").fill("1, 2, x")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_text("A vector is a list of numbers.")).to_be_visible()
    vector = call(node.url, "GET", f"/collections/{SYNSETS}/points/7")["vector"]
    page.get_by_label("What").fill(json.dumps(vector))
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator(".point h3").first).to_have_text("7")


def test_a_payload_is_edited_without_loss_and_a_point_deleted(visit: Visit, node: LiveNode) -> None:
    call(node.url, "PUT", "/collections/edited", {"vectors": {"size": 2, "distance": "Dot"}})
    payload = {"price": 1.0, "big": 2**60 + 1, "tags": ["a"]}
    points = [{"id": LARGE_ID, "vector": [1, 2], "payload": payload}]
    call(node.url, "PUT", "/collections/edited/points?wait=true", {"points": points})
    page = visit.go("collections", "edited", "points")
    page.get_by_role("button", name=f"Edit the payload of {LARGE_ID}").click()
    box = page.get_by_label("Payload, as JSON")
    text = box.input_value()
    assert '"price": 1.0' in text
    box.fill("[1]")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("A payload is an object")).to_be_visible()
    box.fill(re.sub(r'"a"', '"b"', text))
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".point .json")).to_contain_text('"b"')
    (stored,) = call(
        node.url, "POST", "/collections/edited/points", {"ids": [LARGE_ID], "with_payload": True}
    )
    assert stored["payload"] == {**payload, "tags": ["b"]}
    assert isinstance(stored["payload"]["price"], float)
    page.get_by_role("button", name=f"Delete point {LARGE_ID}").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator(".point")).to_have_count(0)
    assert call(node.url, "POST", "/collections/edited/points/count", {})["count"] == 0
    call(node.url, "DELETE", "/collections/edited")


def test_payloads_are_text_whatever_they_hold(visit: Visit) -> None:
    page = visit.go("collections", HOSTILE_NAME, "points")
    expect(page.locator(".point h3")).to_have_text(str(LARGE_ID))
    for fold in page.locator('.json .fold[aria-expanded="false"]').all():
        fold.click()
    expect(page.locator(".point .json")).to_contain_text(HOSTILE_PAYLOAD["script"])
    page.get_by_role("button", name="Vectors").click()
    expect(page.locator(".point .json").nth(1)).to_contain_text("0.5")
    assert page.evaluate("window.harmed") is None
    assert page.locator(".point img, .point script").count() == 0
    assert page.evaluate("({}).harmed") is None


def test_large_payloads_are_folded(visit: Visit, node: LiveNode) -> None:
    call(node.url, "PUT", "/collections/large", {"vectors": {"size": 1, "distance": "Dot"}})
    payload = {"rows": [{"n": n} for n in range(5000)], "text": "x" * 100_000}
    points = [{"id": 1, "vector": [1], "payload": payload}]
    call(node.url, "PUT", "/collections/large/points?wait=true", {"points": points})
    page = visit.go("collections", "large", "points")
    expect(page.get_by_text("99,600 more characters")).to_be_visible()
    assert page.locator(".point *").count() < 100
    page.get_by_role("button", name="5,000 items").click()
    expect(page.get_by_text("4,800 more")).to_be_visible()
    call(node.url, "DELETE", "/collections/large")


def test_a_text_is_looked_for_by_a_model_of_the_node(visit: Visit, node: LiveNode) -> None:
    config = {"sparse_vectors": {"words": {"modifier": "idf"}}}
    call(node.url, "PUT", "/collections/texts", config)
    texts = ["an owl at night", "a violin in a room", "a lighthouse by the sea"]
    points = [
        {"id": place, "vector": {"words": {"text": text, "model": "qdrant/bm25"}}, "payload": {"text": text}}
        for place, text in enumerate(texts)
    ]
    call(node.url, "PUT", "/collections/texts/points?wait=true", {"points": points})
    page = visit.go("collections", "texts", "points")
    page.get_by_label("How").select_option("Nearest to a text")
    page.get_by_label("What").fill("violins")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator(".point h3")).to_have_text(["1"])
    call(node.url, "DELETE", "/collections/texts")
