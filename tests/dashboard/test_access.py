"""Keys and tokens: asked for once, kept for the tab, made in the browser."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, Route, expect

from tests.dashboard.data import SYNSETS
from tests.dashboard.driver import Visit
from tests.live import LiveNode

pytestmark = pytest.mark.slow

KEY = "the key"


def test_a_key_is_asked_for_once_and_forgotten_with_the_tab(visit: Visit) -> None:
    """A guard before the node's API, since only the page is tried."""
    visit.witness.expected.append("401")

    def guard(route: Route) -> None:
        if route.request.headers.get("api-key") == KEY:
            route.continue_()
        else:
            route.fulfill(status=401, body="Must provide an API key or an Authorization bearer token")

    late: list[Route] = []

    def slow_guard(route: Route) -> None:
        """The first refusal comes when there is a key already."""
        if late:
            guard(route)
        else:
            late.append(route)

    page, url = visit.page, visit.witness.url
    for guarded in ("collections", "collections/*"):
        page.route(f"{url}/{guarded}", guard)
    page.route(f"{url}/aliases", slow_guard)
    visit.go("collections")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_have_count(1)
    dialog.get_by_label("API key or access token").fill("wrong")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("The node refused the key")
    dialog.get_by_label("API key or access token").fill(KEY)
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    late[0].fulfill(status=401, body="Must provide an API key or an Authorization bearer token")
    expect(page.get_by_role("link", name=SYNSETS)).to_be_visible()
    expect(dialog).to_have_count(0)
    expect(page.locator(".badge").first).to_have_text("green")
    page.reload()
    expect(page.get_by_role("link", name=SYNSETS)).to_be_visible()
    assert page.evaluate("Object.values(localStorage)") == []
    assert page.evaluate("Object.values(sessionStorage)") == [KEY]
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="API key").click()
    page.get_by_role("button", name="Forget it").click()
    expect(page.get_by_role("dialog")).to_contain_text("asks for an API key")
    assert page.evaluate("sessionStorage.length") == 0


def test_a_token_is_signed_with_the_key_in_the_browser(visit: Visit) -> None:
    page = visit.go("tokens")
    expect(page.get_by_text("does not accept tokens")).to_be_visible()
    page.get_by_label("API key that signs it").fill(KEY)
    expect(page.get_by_text("Each entry needs a collection.")).to_be_visible()
    page.get_by_label("Collection", exact=True).fill(SYNSETS)
    page.get_by_label("Access", exact=True).select_option("Read and write")
    page.get_by_label("One tenant's points only").check()
    page.get_by_label("Tenant field").fill("category")
    page.get_by_label("Tenant value").fill("noun.animal")
    page.get_by_label("Subject").fill("ann")
    page.get_by_label("Expires in").select_option("Never")
    expect(page.locator("pre.code")).to_contain_text('"subject": "ann"')
    expect(page.locator("pre.code")).not_to_contain_text('"exp"')
    expect(page.get_by_label("Access token", exact=True)).to_contain_text(".")
    claims = _checked(str(page.get_by_label("Access token", exact=True).text_content()))
    tenant = [{"key": "category", "value": "noun.animal"}]
    assert claims == {"access": [{"collection": SYNSETS, "access": "rw", "tenant": tenant}], "subject": "ann"}


def test_an_operator_may_hide_the_making_of_tokens(visit: Visit) -> None:
    told = {"result": {"app": {"jwt_rbac": True, "hide_jwt_dashboard": True}}, "status": "ok", "time": 0}
    visit.page.route(f"{visit.witness.url}/telemetry", lambda route: route.fulfill(json=told))
    page = visit.go("tokens")
    expect(page.get_by_text("service.hide_jwt_dashboard")).to_be_visible()
    expect(page.get_by_label("API key that signs it")).to_have_count(0)


def test_a_node_with_a_key_takes_what_the_page_makes(tmp_path: Path, browser: BrowserContext) -> None:
    """The page itself is public; a token that it makes opens the node to its collection alone."""
    settings = {"VECRAFT__SERVICE__API_KEY": KEY, "VECRAFT__SERVICE__JWT_RBAC": "true"}
    with LiveNode(tmp_path, environment=settings) as node:
        create = {"vectors": {"size": 2, "distance": "Dot"}}
        for name in ("open", "closed"):
            headers = {"api-key": KEY}
            httpx.put(f"{node.url}/collections/{name}", json=create, headers=headers).raise_for_status()
        assert httpx.get(f"{node.url}/collections").status_code == 401
        visit = Visit(browser, node.url)
        visit.witness.expected.append("401")
        page = visit.page
        page.goto(f"{node.url}/dashboard#/tokens")
        page.get_by_label("API key or access token").fill(KEY)
        page.keyboard.press("Enter")
        expect(page.get_by_label("API key that signs it")).to_have_value(KEY)
        expect(page.get_by_text("does not accept tokens")).to_have_count(0)
        page.get_by_label("Collection", exact=True).fill("open")
        expect(page.get_by_label("Access token", exact=True)).to_contain_text(".")
        token = str(page.get_by_label("Access token", exact=True).text_content())

        page.get_by_role("button", name="API key").click()
        page.get_by_role("dialog").get_by_label("API key or access token").fill(token)
        with page.expect_navigation():  # the page is loaded anew with the token
            page.keyboard.press("Enter")
        visit.go("collections")
        expect(page.get_by_role("link", name="open")).to_be_visible()
        expect(page.get_by_role("link", name="closed")).to_have_count(0)
        visit.close()
        visit.witness.complain()


def _checked(token: str) -> Any:
    """The claims of a token whose signature is right."""
    signed, _, signature = token.rpartition(".")
    expected = hmac.new(KEY.encode(), signed.encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64encode(expected).decode().rstrip("=") == signature
    body = signed.partition(".")[2]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
